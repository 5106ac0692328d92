// SPDX-License-Identifier: Apache-2.0
// `shared`: groups that share slabs beside isolated ones.

extension Bench {
  private static var liveGroups: [Int] { [10_000, 100_000] }
  private static var policies: [String] { ["isolated", "shared"] }

  func runShared() throws(BenchError) -> CaseReport {
    var pairs: [Answers] = []
    var lives: [[[Answers]]] = Self.policies.map { _ in Self.liveGroups.map { _ in [] } }
    for _ in 0..<rounds {
      pairs.append(try Child.measure(["shared-pair"]))
      for (index, live) in Self.liveGroups.enumerated() {
        for (policy, name) in Self.policies.enumerated() {
          lives[policy][index].append(
            try Child.measure(["groups", "--size", "\(live)", "--memory", name]))
        }
      }
    }
    var report = CaseReport(
      "shared: groups with 8 objects in 3 caches (1,792 bytes), isolated and shared")
    for (index, live) in Self.liveGroups.enumerated() {
      for (policy, name) in Self.policies.enumerated() {
        report.figures += try memoryAndLife(lives[policy][index], "\(live) live, \(name)")
      }
    }
    for key in ["once", "batch", "once-2"] {
      for name in Self.policies {
        report.figures.append(
          Figure(
            "a pair, \(key), \(name)", unit: "ns", digits: 1,
            samples: try pairs.samples("\(name)-\(key)/slab")))
      }
      report.figures.append(
        Figure(
          "a pair, \(key), malloc", unit: "ns", digits: 1,
          samples: try pairs.samples("shared-\(key)/peer")))
    }
    report.remarks = [
      "memory: of the system's, with descriptors of groups, names and tables; charged: usage of the root group.",
      "Life: from create to released, with the worker on a CPU of its own. Pairs of 64 bytes.",
    ]
    return report
  }

  private func memoryAndLife(
    _ answers: [Answers], _ title: String
  ) throws(BenchError) -> [Figure] {
    [
      Figure("\(title): memory", unit: "bytes", digits: 0, samples: try answers.samples("bytes")),
      Figure(
        "\(title): charged", unit: "bytes", digits: 0, samples: try answers.samples("charged")),
      Figure("\(title): life", unit: "ns", digits: 0, samples: try answers.samples("wall")),
    ]
  }
}
