// SPDX-License-Identifier: Apache-2.0
// `fork`.

extension Bench {
  func runFork() throws(BenchError) -> CaseReport {
    let answers = try collect(rounds: rounds) { () throws(BenchError) -> Answers in
      try Child.measure(["fork"])
    }
    var report = CaseReport(
      "fork: beside \(ForkMeasurement.threads) threads, until it returns in the parent, ns")
    for (key, title) in [
      ("spinning", "they spin"), ("churning", "their groups come and go"),
    ] {
      for percentile in ["p50", "p99", "max"] {
        report.figures.append(
          Figure(
            "\(title): \(percentile)", unit: "ns", digits: 0,
            samples: try answers.samples("\(key)/\(percentile)")))
      }
    }
    let ratios = zip(
      try answers.samples("churning/p99"), try answers.samples("spinning/p99")
    ).map { $0 / $1 }
    report.figures.append(
      Figure("p99, groups : spinning", unit: "ratio", digits: 2, samples: ratios, atMost: 10))
    return report
  }
}
