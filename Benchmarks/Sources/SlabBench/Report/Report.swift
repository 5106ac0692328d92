// SPDX-License-Identifier: Apache-2.0
// The whole run's report.

import Slab

struct Report {
  private let bench: Bench
  private let start = MachineState()
  private let loadAtStart = MachineState.loadAverage
  private var othersPercent = 0.0
  private var cases: [(name: String, report: CaseReport)] = []

  init(bench: Bench) { self.bench = bench }

  mutating func add(_ report: CaseReport, named name: String) { cases.append((name, report)) }

  mutating func finish() { othersPercent = MachineState().othersPercent(since: start) }

  var heading: String {
    var lines = [
      "slab-bench: CPUs \(Processors.allowed.count) (\(MachineState.processor)), "
        + "Linux \(MachineState.kernel), CPU layer \(bench.mode)",
      "rounds \(bench.rounds), figures are medians; load average \(loadAtStart) at the start",
    ]
    lines += bench.missing.map { peer in
      "\(peer.name) is missing: apt-get install -y \(peer.package)"
    }
    return lines.joined(separator: "\n")
  }

  var ending: String {
    let goals = cases.flatMap(\.report.figures).compactMap(\.isReached)
    let noise =
      othersPercent < 2
      ? "other processes used \(fixed(othersPercent, 1)) % of the CPUs meanwhile"
      : "NOISY: other processes used \(fixed(othersPercent, 1)) % of the CPUs meanwhile"
    return "\n\(goals.filter { $0 }.count) of \(goals.count) goals reached; \(noise)"
  }

  var json: JSONValue {
    .object([
      ("processor", .string(MachineState.processor)),
      ("cpus", .integer(Processors.allowed.count)),
      ("kernel", .string(MachineState.kernel)), ("per_cpu_mode", .string(bench.mode)),
      ("rounds", .integer(bench.rounds)), ("load_average", .string(loadAtStart)),
      ("others_percent", .number(othersPercent)),
      ("missing_peers", .array(bench.missing.map { .string($0.name) })),
      ("cases", .object(cases.map { ($0.name, $0.report.json) })),
    ])
  }
}
