// SPDX-License-Identifier: Apache-2.0
// `slab-bench [CASE ...]`.

import ArgumentParser

enum CaseName: String, CaseIterable, ExpressibleByArgument {
  case pair, beyond, groups, shared, offline, leftover, scaling, readers, dying, api, limit, fork
  /// `offline` and `scaling`.
  case destroy
  case all

  var cases: [CaseName] {
    switch self {
    case .destroy: [.offline, .scaling]
    case .all:
      [
        .pair, .beyond, .groups, .shared, .offline, .leftover, .scaling, .readers, .dying, .api,
        .fork, .limit,
      ]
    default: [self]
    }
  }
}

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs cases and reports (the default).",
    discussion: """
      pair      allocate + write + free of 64 bytes charged to a group
      beyond    pairs of 64 to 1,024 bytes with more objects than a CPU's sheaf holds
      groups    a group's whole life, with 1,000 to 100,000 others alive
      shared    groups that share slabs beside isolated ones: memory, life, pairs
      offline   latencies while 100,000 groups are dying
      leftover  what a million child caches leave behind
      scaling   destroying 5,584 to 558,400 child caches
      readers   read-side sections, grace periods, callbacks, beside liburcu
      dying     another tenant's pairs while 100,000 groups are dying
      api       typed slots beside the core's pairs, a class and a pointer
      fork      fork beside 8 threads that spin, and beside 8 whose groups come and go
      limit     what a tenant at its limit costs others, and itself
      destroy   offline and scaling
      """)

  @Argument(help: "Cases to run: \(CaseName.allCases.map(\.rawValue).joined(separator: ", ")).")
  var cases: [CaseName] = [.all]

  @Option(help: "Rounds; in each one everything runs once, in turn.")
  var runs = 9

  @Flag(help: "Print one JSON object instead of tables.")
  var json = false

  func validate() throws {
    guard (1...1000).contains(runs) else {
      throw ValidationError("--runs must be 1 to 1000.")
    }
  }

  func run() throws {
    var wanted: [CaseName] = []
    for name in cases.flatMap(\.cases) where !wanted.contains(name) { wanted.append(name) }
    let bench = try Bench(rounds: runs)
    var report = Report(bench: bench)
    if !json { print(report.heading) }
    for name in wanted {
      let result =
        switch name {
        case .pair: try bench.runPair()
        case .beyond: try bench.runBeyond()
        case .groups: try bench.runGroups()
        case .shared: try bench.runShared()
        case .offline: try bench.runOffline()
        case .leftover: try bench.runLeftover()
        case .readers: try bench.runReaders()
        case .dying: try bench.runDying()
        case .api: try bench.runAPI()
        case .fork: try bench.runFork()
        case .limit: try bench.runLimit()
        default: try bench.runScaling()
        }
      report.add(result, named: name.rawValue)
      if !json { print(result.text) }
    }
    report.finish()
    print(json ? report.json.text : report.ending)
  }
}
