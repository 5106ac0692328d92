// SPDX-License-Identifier: Apache-2.0
// `groups`: the whole life of a group, among 1,000 to 100,000 others.

extension Bench {
  private static var liveGroups: [Int] { [1_000, 10_000, 100_000] }
  private static var steps: [String] { ["create", "allocate", "offline", "free", "release"] }

  func runGroups() throws(BenchError) -> CaseReport {
    let cpus = min(2, Processors.allowed.count)
    var two: [[Answers]] = Self.liveGroups.map { _ in [] }
    var one = two
    var listed: [[Answers]] = peers.map { _ in [] }
    for _ in 0..<rounds {
      for (index, live) in Self.liveGroups.enumerated() {
        two[index].append(try measure(live: live, cpus: cpus))
        one[index].append(try measure(live: live, cpus: 1))
      }
      for (index, peer) in peers.enumerated() {
        listed[index].append(
          try Child.measure(["malloc-list", "--size", "100000"], under: peer))
      }
    }
    var report = CaseReport(
      "groups: create + 8 objects in 3 caches (1,792 bytes) + offline + free + until released, "
        + "ns a group")
    for (index, live) in Self.liveGroups.enumerated() {
      report.figures.append(
        Figure(
          "\(fixed(Double(live), 0)) live", unit: "ns", digits: 0,
          samples: try two[index].samples("wall"), atMost: 3_000))
    }
    report.figures.append(
      Figure(
        "100,000 live : 1,000 live", unit: "ratio", digits: 2,
        samples: try ratios(two[2], two[0], "wall"), atMost: 1.3))
    report.figures += try details(two, one)
    for (index, peer) in peers.enumerated() {
      report.figures += [
        Figure(
          "\(peer.name) + a list, 100,000 live", unit: "ns", digits: 0,
          samples: try listed[index].samples("wall")),
        Figure(
          "\(peer.name) + a list: resident a live group", unit: "bytes", digits: 0,
          samples: try listed[index].samples("bytes")),
      ]
    }
    report.remarks = [
      "Time is the clock's, from the first group to the last one's release; the user's thread and",
      "the allocator's worker have a CPU each, unless it says 1 CPU. \"+ a list\": the same blocks",
      "by malloc, without isolation, limits or accounting: for context, no goal.",
    ]
    return report
  }

  private func measure(live: Int, cpus: Int) throws(BenchError) -> Answers {
    try Child.measure(["groups", "--size", "\(live)", "--cpus", "\(cpus)"])
  }

  private func ratios(
    _ above: [Answers], _ below: [Answers], _ key: String
  ) throws(BenchError) -> [Double] {
    zip(try above.samples(key), try below.samples(key)).map { $0 / $1 }
  }

  private func details(
    _ two: [[Answers]], _ one: [[Answers]]
  ) throws(BenchError) -> [Figure] {
    var figures: [Figure] = []
    for (index, live) in Self.liveGroups.enumerated() {
      let name = fixed(Double(live), 0)
      figures.append(
        Figure(
          "\(name) live, 1 CPU", unit: "ns", digits: 0, samples: try one[index].samples("wall")))
    }
    figures.append(
      Figure(
        "100,000 live : 1,000 live, 1 CPU", unit: "ratio", digits: 2,
        samples: try ratios(one[2], one[0], "wall")))
    for index in [0, Self.liveGroups.count - 1] {
      let name = fixed(Double(Self.liveGroups[index]), 0)
      let worker = zip(try two[index].samples("cpu"), try two[index].samples("user")).map(-)
      figures += [
        Figure(
          "\(name) live: CPU of the user's thread", unit: "ns", digits: 0,
          samples: try two[index].samples("user")),
        Figure(
          "\(name) live: CPU of the worker", unit: "ns", digits: 0, samples: worker),
        Figure(
          "\(name) live: waiting at the end", unit: "ns", digits: 0,
          samples: try two[index].samples("wait")),
      ]
      for step in Self.steps {
        figures.append(
          Figure(
            "\(name) live: \(step)", unit: "ns", digits: 0,
            samples: try two[index].samples("step-\(step)")))
      }
    }
    figures.append(
      Figure(
        "memory a live group (100,000)", unit: "bytes", digits: 0,
        samples: try two[Self.liveGroups.count - 1].samples("bytes")))
    return figures
  }
}
