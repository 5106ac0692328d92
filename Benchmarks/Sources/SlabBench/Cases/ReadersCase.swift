// SPDX-License-Identifier: Apache-2.0
// `readers` and `dying`.

extension Bench {
  /// What is measured of each side, and slab's goal beside the flavour `memb`.
  private static var rows: [(key: String, title: String, digits: Int, goal: Double)] {
    [
      ("read", "read-side section", 2, 2),
      ("synchronize", "synchronize, no other thread", 0, 1),
      ("synchronize-busy", "synchronize, a thread reads", 0, 1),
      ("barrier", "one callback + barrier", 0, 0.02),
      ("call", "callback, until it has run", 1, 1),
      ("call-free", "allocate + callback that frees", 1, 1),
    ]
  }

  func runReaders() throws(BenchError) -> CaseReport {
    let answers = try collect(rounds: rounds) { () throws(BenchError) -> Answers in
      try Child.measure(["readers"])
    }
    let peers = GracePeriodPeers.all.map(\.name)
    var report = CaseReport("readers: grace periods beside liburcu's, ns each")
    var table = Table(
      ["", "slab", "min..max"] + peers
        + (peers.isEmpty ? [] : ["slab/memb", "min..max", "goal", "reached"]))
    for row in Self.rows where row.key != "synchronize-busy" || Processors.allowed.count > 1 {
      let times = try (["slab"] + peers).map { name throws(BenchError) in
        Figure(
          "\(row.title): \(name)", unit: "ns", digits: row.digits,
          samples: try answers.samples("\(row.key)/\(name)"))
      }
      let ratios = try peers.map { name throws(BenchError) in
        Figure(
          "\(row.title): slab/\(name)", unit: "ratio", digits: row.goal < 1 ? 4 : 2,
          samples: try answers.samples("\(row.key)/ratio-\(name)"),
          atMost: name == "memb" ? row.goal : nil)
      }
      report.figures += times + ratios
      var cells = [row.title] + [fixed(times[0].median, row.digits), times[0].spread]
      cells += times.dropFirst().map { fixed($0.median, row.digits) }
      if let ratio = ratios.first {
        cells += [
          fixed(ratio.median, ratio.digits), ratio.spread, ratio.goalText, ratio.reachedText,
        ]
      }
      table.add(cells)
    }
    let deferred = Figure(
      "allocate + free after a grace period: slab", unit: "ns", digits: 1,
      samples: try answers.samples("deferred/slab"))
    report.figures.append(deferred)
    table.add(["allocate + freeAfterGracePeriod", fixed(deferred.median, 1), deferred.spread])
    report.table = table
    report.remarks = [
      "1,000,000 callbacks a sample, from the first call until the last has run; objects of 64 bytes,",
      "liburcu's by malloc. Callbacks run on the second CPU.",
    ]
    if peers.isEmpty {
      report.remarks.append(
        "liburcu is not in this build: apt-get install -y liburcu-dev, and --traits urcu")
    }
    return report
  }

  func runDying() throws(BenchError) -> CaseReport {
    let pairs = DyingMeasurement.pairs
    var report = CaseReport(
      "dying: another tenant's allocations while 100,000 groups die on the other CPU, ns")
    guard Processors.allowed.count > 1 else {
      report.remarks = ["needs two CPUs"]
      return report
    }
    let answers = try collect(rounds: rounds) { () throws(BenchError) -> Answers in
      try Child.measure(["dying", "--size", "\(Self.dyingGroups)"])
    }
    for (suffix, what) in [("-single", "an allocation"), ("", "\(pairs) pairs")] {
      for percentile in ["p50", "p99", "p99.9", "max"] {
        let quiet = try answers.samples("quiet\(suffix)/\(percentile)")
        let dying = try answers.samples("dying\(suffix)/\(percentile)")
        let hasGoal = percentile == "p99.9" && suffix == "-single"
        report.figures += [
          Figure("\(what), quiet: \(percentile)", unit: "ns", digits: 0, samples: quiet),
          Figure("\(what), dying: \(percentile)", unit: "ns", digits: 0, samples: dying),
          Figure(
            "\(what), dying : quiet, \(percentile)", unit: "ratio", digits: 2,
            samples: zip(dying, quiet).map { $0 / $1 }, atMost: hasGoal ? 1.2 : nil),
        ]
      }
    }
    let clock = try answers.samples("clock").median
    let quiet = try answers.samples("quiet/samples").median
    let dying = try answers.samples("dying/samples").median
    report.remarks = [
      "an allocation has a reading of the clock in it, \(fixed(clock, 0)) ns; 32 pairs are 32"
        + " allocations and the frees of the same objects, and two readings;",
      "1,024 objects are allocated before they are freed: new slabs and the locks are in the samples.",
      "\(fixed(quiet, 0)) samples of pairs a round with nothing dying, \(fixed(dying, 0)) with groups dying.",
    ]
    return report
  }
}
