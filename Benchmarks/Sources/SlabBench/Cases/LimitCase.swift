// SPDX-License-Identifier: Apache-2.0
// `limit`: what a tenant at its limit costs others, and itself.

extension Bench {
  func runLimit() throws(BenchError) -> CaseReport {
    var report = CaseReport("limit: tenants at their limits, and above their high")
    guard Processors.allowed.count > 1 else {
      report.remarks = ["needs two CPUs"]
      return report
    }
    let others = try measureLimit(part: 0)
    for (key, title) in [("quiet", "quiet"), ("limit", "beside a tenant at its limit")] {
      for percentile in ["p50", "p99", "p99.9", "max"] {
        report.figures.append(
          Figure(
            "makeChild + close, \(title): \(percentile)", unit: "ns", digits: 0,
            samples: try others.samples("\(key)/\(percentile)")))
      }
    }
    report.figures.append(
      try ratio("makeChild + close: p99, limit : quiet", others, "limit/p99", "quiet/p99", 1.5))
    let refusals = try measureLimit(part: 1)
    for count in [10, 20_000] {
      report.figures.append(
        Figure(
          "a refusal, \(count) siblings: p50", unit: "ns", digits: 0,
          samples: try refusals.samples("refusal-\(count)/p50")))
    }
    report.figures.append(
      try ratio(
        "a refusal, 20,000 : 10 siblings", refusals, "refusal-20000/p50", "refusal-10/p50", 2))
    let high = try measureLimit(part: 2)
    for (key, title) in [
      ("high-none", "10,000 siblings, no high"), ("high-few", "10 siblings, above high"),
      ("high", "10,000 siblings, above high"),
    ] {
      report.figures.append(
        Figure("an object of 64 bytes, \(title)", unit: "ns", samples: try high.samples(key)))
    }
    report.figures.append(
      try ratio("an object, above high : no high", high, "high", "high-none", 1.5))
    report.remarks = [
      "The tenant at its limit has 320 MiB in 512-byte objects, every other one free;",
      "\(fixed(try others.samples("limit/refusals").median, 0)) refusals a round beside the others' groups.",
    ]
    return report
  }

  private func measureLimit(part: Int) throws(BenchError) -> [Answers] {
    try collect(rounds: min(rounds, 5)) { () throws(BenchError) -> Answers in
      try Child.measure(["limit", "--size", "\(part)"])
    }
  }

  private func ratio(
    _ name: String, _ answers: [Answers], _ key: String, _ base: String, _ goal: Double
  ) throws(BenchError) -> Figure {
    let ratios = zip(try answers.samples(key), try answers.samples(base)).map { $0 / $1 }
    return Figure(name, unit: "ratio", digits: 2, samples: ratios, atMost: goal)
  }
}
