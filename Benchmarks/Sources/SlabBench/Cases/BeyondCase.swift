// SPDX-License-Identifier: Apache-2.0
// `beyond`: slab beside each peer, in one process each, turn by turn; one table for all sizes.

extension Bench {
  func runBeyond() throws(BenchError) -> CaseReport {
    var report = CaseReport(
      "beyond: allocate + write one byte + free charged to a group, more than a CPU's sheaf holds,"
        + " ns of CPU a pair")
    var table = Table(
      ["", "slab"] + peers.map(\.name) + ["fastest", "slab/fastest", "min..max"])
    for bytes in BeyondMeasurement.sizes {
      // answers[peer][round]
      var answers: [[Answers]] = peers.map { _ in [] }
      for _ in 0..<rounds {
        for (index, peer) in peers.enumerated() {
          answers[index].append(
            try Child.measure(["beyond", "--size", "\(bytes)"], under: peer))
        }
      }
      for row in BeyondMeasurement.rows {
        let title = "\(bytes) B: \(row.title)"
        let slab = try answers.flatMap { $0 }.samples("\(row.key)/slab")
        var peerTimes: [Figure] = []
        for (index, peer) in peers.enumerated() {
          peerTimes.append(
            Figure(
              "\(title): \(peer.name)", unit: "ns", digits: 2,
              samples: try answers[index].samples("\(row.key)/peer")))
        }
        let fastest = peers.indices.min { peerTimes[$0].median < peerTimes[$1].median }!
        let own = Figure("\(title): slab", unit: "ns", digits: 2, samples: slab)
        let ratio = Figure(
          "\(title): slab/fastest", unit: "ratio", digits: 2,
          samples: try answers[fastest].samples("\(row.key)/ratio"))
        report.figures += [own] + peerTimes + [ratio]
        table.add(
          [title] + ([own] + peerTimes).map { fixed($0.median, 1) } + [
            peers[fastest].name, fixed(ratio.median, 2), ratio.spread,
          ])
      }
    }
    let memory = try Child.measure(["beyond-memory"])
    for work in BeyondMemory.works {
      let key = work.rawValue
      let (live, charged, later) = (
        try memory("\(key)/live"), try memory("\(key)/charged"), try memory("\(key)/later")
      )
      let title = "charged : live, 64 groups, \(work.title)"
      report.figures += [
        Figure(title, unit: "ratio", digits: 2, samples: [charged / live]),
        Figure("\(title), a second later", unit: "ratio", digits: 2, samples: [later / live]),
      ]
      report.remarks.append(
        "\(BeyondMemory.groups) groups whose loads have swung by \(work.title), of each size:"
          + " \(fixed(charged / 1e6, 1)) MB charged for \(fixed(live / 1e6, 1)) MB that are live,"
          + " \(fixed(later / 1e6, 1)) MB a second later")
    }
    report.table = table
    report.remarks.append(
      "slab/fastest: the median of the rounds' ratios, each of slab and that peer in one process")
    return report
  }
}
