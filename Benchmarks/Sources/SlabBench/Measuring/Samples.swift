// SPDX-License-Identifier: Apache-2.0
// Order statistics.

extension Array where Element == Double {
  /// The middle one, or the mean of the two in the middle; 0 of nothing.
  var median: Double {
    guard !isEmpty else { return 0 }
    let sorted = self.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }
}

/// Durations, kept one by one.
struct Latencies {
  private var samples: [Int] = []

  /// Reserves and touches the room, so that no page fault falls into a measurement.
  init(capacity: Int) {
    samples = Array(repeating: 0, count: capacity)
    samples.removeAll(keepingCapacity: true)
  }

  var count: Int { samples.count }

  mutating func add(_ nanoseconds: Int) { samples.append(nanoseconds) }

  mutating func add(_ others: Latencies) { samples += others.samples }

  /// Prints the percentiles for the parent.
  func report(as key: String) {
    let sorted = samples.sorted()
    func percentile(_ share: Double) -> Int {
      guard !sorted.isEmpty else { return 0 }
      return sorted[Swift.min(sorted.count - 1, Int(share * Double(sorted.count)))]
    }
    emit("\(key)/p50", percentile(0.50))
    emit("\(key)/p99", percentile(0.99))
    emit("\(key)/p99.9", percentile(0.999))
    emit("\(key)/max", sorted.last ?? 0)
    emit("\(key)/samples", sorted.count)
  }
}
