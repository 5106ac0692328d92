// SPDX-License-Identifier: Apache-2.0
// `offline`, `leftover` and `scaling`.

extension Bench {
  static var dyingGroups: Int { 100_000 }

  /// Long ones run less often.
  private var fewRounds: Int { min(rounds, 5) }

  func runOffline() throws(BenchError) -> CaseReport {
    var report = CaseReport(
      "offline: latencies on one CPU while 100,000 groups die on the other, ns")
    guard Processors.allowed.count > 1 else {
      report.remarks = ["needs two CPUs"]
      return report
    }
    let answers = try collect(rounds: rounds) { () throws(BenchError) -> Answers in
      try Child.measure(["offline", "--size", "\(Self.dyingGroups)"])
    }
    for (key, title) in [
      ("offline", "offline"), ("offline-quiet", "offline, nothing dying"),
      ("allocate", "another tenant allocates"),
      ("allocate-quiet", "another tenant, nothing dying"),
    ] {
      for percentile in ["p50", "p99", "p99.9", "max"] {
        report.figures.append(
          Figure(
            "\(title): \(percentile)", unit: "ns", digits: 0,
            samples: try answers.samples("\(key)/\(percentile)"),
            atMost: key == "offline" && percentile == "p99" ? 5_000 : nil))
      }
    }
    let clock = try answers.samples("clock").median
    let offlined = try answers.samples("offline/samples").median
    let allocated = try answers.samples("allocate/samples").median
    report.remarks = [
      "\(fixed(offlined, 0)) offlines and \(fixed(allocated, 0)) allocations a round, each with a"
        + " reading of the clock, \(fixed(clock, 0)) ns, in it;",
      "the allocations are 2,000 at a time, so that 1 in some hundreds takes the slow path.",
    ]
    return report
  }

  func runLeftover() throws(BenchError) -> CaseReport {
    let answers = try collect(rounds: fewRounds) { () throws(BenchError) -> Answers in
      try Child.measure(["leftover"])
    }
    var report = CaseReport(
      "leftover: after 1,000,000 child caches in 20 waves, and a trim, less before")
    func figure(_ name: String, _ unit: String, _ key: String, atMost goal: Double? = nil)
      throws(BenchError)
    {
      report.figures.append(
        Figure(
          name, unit: unit, digits: 0, samples: try answers.samples(key), atMost: goal))
    }
    try figure("child caches made", "", "caches")
    try figure("child caches left", "", "unreleased-caches", atMost: 0)
    try figure("groups left", "", "unreleased-groups", atMost: 0)
    try figure("root caches more", "", "root-caches", atMost: 0)
    try figure("charged more", "bytes", "charged", atMost: 0)
    try figure("systemBytes more", "bytes", "system", atMost: Double(Self.systemGoal))
    try figure("resident more", "bytes", "resident", atMost: Double(Self.residentGoal))
    try figure("systemBytes before", "bytes", "system-before")
    try figure("systemBytes at the peak", "bytes", "system-peak")
    try figure("resident before", "bytes", "resident-before")
    try figure("systemBytes more, before the trim", "bytes", "system-untrimmed")
    try figure("resident more, before the trim", "bytes", "resident-untrimmed")
    try figure("a child cache's life", "ns", "ns")
    report.remarks = [
      "\"Back to where it was\": every counter exactly; systemBytes within 64 KiB and the resident",
      "memory of the whole process within 1 MiB, at any peak.",
    ]
    return report
  }

  private static var systemGoal: Int { 64 << 10 }
  private static var residentGoal: Int { 1 << 20 }

  func runScaling() throws(BenchError) -> CaseReport {
    let sizes = [5_584, 55_840, 558_400]
    var answers: [[Answers]] = sizes.map { _ in [] }
    for _ in 0..<fewRounds {
      for (index, size) in sizes.enumerated() {
        answers[index].append(try Child.measure(["scaling", "--size", "\(size)"]))
      }
    }
    var report = CaseReport(
      "scaling: destroying K child caches, 18.6 a group, ns a cache until the last is released")
    for (index, size) in sizes.enumerated() {
      report.figures.append(
        Figure(
          "\(fixed(Double(size), 0)) caches", unit: "ns", digits: 0,
          samples: try answers[index].samples("destroy")))
    }
    for index in [1, 2] {
      let before = sizes[index - 1]
      let ratios = zip(
        try answers[index].samples("destroy"), try answers[index - 1].samples("destroy")
      ).map { $0 / $1 }
      report.figures.append(
        Figure(
          "\(fixed(Double(sizes[index]), 0)) : \(fixed(Double(before), 0))", unit: "ratio",
          digits: 2, samples: ratios, atMost: 1.3))
    }
    for (index, size) in sizes.enumerated() {
      report.figures.append(
        Figure(
          "\(fixed(Double(size), 0)) caches: making them", unit: "ns", digits: 0,
          samples: try answers[index].samples("create")))
    }
    report.figures.append(
      Figure(
        "systemBytes at the peak of \(fixed(Double(sizes[2]), 0))", unit: "bytes", digits: 0,
        samples: try answers[2].samples("peak")))
    report.remarks = ["Proportional: ten times the caches cost at most 1.3 times as much each."]
    return report
  }
}
