// SPDX-License-Identifier: Apache-2.0
// `pair`: slab beside each peer, in one process each, turn by turn.

extension Bench {
  private static var goal: Double { 0.65 }

  func runPair() throws(BenchError) -> CaseReport {
    // answers[peer][round]
    var answers: [[Answers]] = peers.map { _ in [] }
    for _ in 0..<rounds {
      for (index, peer) in peers.enumerated() {
        answers[index].append(try Child.measure(["pair"], under: peer))
      }
    }
    var report = CaseReport(
      "pair: allocate + write one byte + free, 64 bytes charged to a group, ns a pair")
    var table = Table(
      ["", "slab"] + peers.map(\.name) + [
        "fastest", "slab beside it", "slab/fastest", "min..max", "goal", "reached",
      ])
    for pattern in PairMeasurement.Pattern.all
    where pattern.groups.count <= Processors.allowed.count {
      let figures = try figures(of: pattern, answers)
      report.figures += figures.all
      let ratio = figures.ratio
      table.add(
        [pattern.title] + figures.times.map { fixed($0.median, 2) } + [
          figures.fastest.name, fixed(figures.besideFastest.median, 2), fixed(ratio.median, 2),
          ratio.spread, ratio.goalText, ratio.reachedText,
        ])
    }
    report.table = table
    report.remarks += [
      "slab: the median of all processes; slab beside it: of the processes with the fastest peer alone",
      "slab/fastest: the median of the rounds' ratios, each of slab and that peer in one process",
    ]
    if Processors.allowed.count < 2 { report.remarks.append("two threads need two CPUs") }
    if !missing.isEmpty {
      let names = missing.map(\.name).joined(separator: ", ")
      report.remarks.append("the goal is only compared with the peers that are here: no \(names)")
    }
    return report
  }

  private struct PairFigures {
    var times: [Figure]
    var ratios: [Figure]
    var ratio: Figure
    var fastest: Peer
    /// Slab in the processes that the ratio is of: in others everything may be slower.
    var besideFastest: Figure
    var all: [Figure] { times + ratios + [ratio, besideFastest] }
  }

  private func figures(
    of pattern: PairMeasurement.Pattern, _ answers: [[Answers]]
  ) throws(BenchError) -> PairFigures {
    var slab: [Double] = []
    for round in 0..<rounds {
      var samples: [Double] = []
      for peer in answers { samples.append(try peer[round]("\(pattern.key)/slab")) }
      slab.append(samples.median)
    }
    var times = [Figure("\(pattern.title): slab", unit: "ns", digits: 2, samples: slab)]
    var ratios: [Figure] = []
    for (index, peer) in peers.enumerated() {
      times.append(
        Figure(
          "\(pattern.title): \(peer.name)", unit: "ns", digits: 2,
          samples: try answers[index].samples("\(pattern.key)/peer")))
      ratios.append(
        Figure(
          "\(pattern.title): slab/\(peer.name)", unit: "ratio", digits: 2,
          samples: try answers[index].samples("\(pattern.key)/ratio")))
    }
    let fastest = peers.indices.min { times[$0 + 1].median < times[$1 + 1].median }!
    return PairFigures(
      times: times, ratios: ratios,
      ratio: Figure(
        "\(pattern.title): slab/fastest", unit: "ratio", digits: 2,
        samples: ratios[fastest].samples, atMost: Self.goal),
      fastest: peers[fastest],
      besideFastest: Figure(
        "\(pattern.title): slab beside the fastest", unit: "ns", digits: 2,
        samples: try answers[fastest].samples("\(pattern.key)/slab")))
  }
}
