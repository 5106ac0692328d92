// SPDX-License-Identifier: Apache-2.0
// Every sample of one latency, so that percentiles are exact.

struct Latencies {
  private var samples: [Int] = []

  mutating func add(nanoseconds: Int) {
    samples.append(nanoseconds)
  }

  /// The percentiles of the samples up to now; zeros without any.
  var percentiles: LatencyPercentiles {
    let sorted = samples.sorted()
    /// The least sample that `perMille` of all samples do not exceed.
    func percentile(_ perMille: Int) -> Int {
      let rank = (sorted.count * perMille + 999) / 1000
      return sorted.isEmpty ? 0 : sorted[max(rank, 1) - 1]
    }
    return LatencyPercentiles(
      p50: percentile(500), p99: percentile(990), p999: percentile(999), max: percentile(1000))
  }
}

/// Percentiles in nanoseconds.
struct LatencyPercentiles: Encodable, Equatable {
  var p50: Int
  var p99: Int
  var p999: Int
  var max: Int
}
