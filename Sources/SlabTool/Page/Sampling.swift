// SPDX-License-Identifier: Apache-2.0
// Snapshots of a process over a while: of its counters all the time, of its groups at the end.

struct Sampling {
  var seconds: Double
  var secondsBetween: Double

  /// Until the time is over or a signal comes, after which what there is counts.
  func run(_ connection: inout ServerConnection) throws -> ReportData {
    var samples: [ObservedSnapshot] = []
    if seconds > 0 {
      let signals = StopSignals()
      var progress = ProgressBar()
      let start = MonotonicTime.nanoseconds()
      var passed = 0.0
      while passed < seconds {
        samples.append(try ObservedSnapshot(try connection.ask("snapshot largest=0")))
        progress.show { "\(Int(passed)) of \(Int(seconds)) s" }
        let next = min(Double(samples.count) * secondsBetween, seconds)
        let left = next - MonotonicTime.seconds(since: start)
        if signals.wait(milliseconds: max(Int(left * 1000), 1)) != nil { break }
        passed = MonotonicTime.seconds(since: start)
      }
    }
    samples.append(try ObservedSnapshot(try connection.ask("snapshot largest=10000")))
    let withCaches = try ObservedSnapshot(try connection.ask("snapshot largest=300 caches"))
    return ReportData(samples, withCaches: withCaches)
  }
}
