// `slab-bench measure`: the child's side. Prints `key=value` lines for the parent.

import ArgumentParser

struct MeasureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "measure", abstract: "One measurement, in this process.", shouldDisplay: false)

  enum What: String, ExpressibleByArgument {
    case pair, groups
    case listedMalloc = "malloc-list"
    case offline, leftover, scaling, count, readers, dying, api, discard, limit, fork
  }

  @Argument var what: What

  @Option(help: "Live groups, child caches, pairs, or which part.")
  var size = 1000

  @Option(help: "CPUs to use: 1 or 2.")
  var cpus = 2

  @Option(help: "The file name of the library that must be loaded.")
  var preloaded: String?

  func run() throws {
    if let preloaded { try Peer.check(loaded: preloaded) }
    switch what {
    case .pair: try PairMeasurement.run()
    case .groups: try GroupsMeasurement.run(live: size, cpus: cpus)
    case .listedMalloc: ListedMallocMeasurement.run(live: size)
    case .offline: try OfflineMeasurement.run(dying: size)
    case .leftover: try LeftoverMeasurement.run()
    case .scaling: try ScalingMeasurement.run(childCaches: size)
    case .readers: try ReadersMeasurement.run()
    case .dying: try DyingMeasurement.run(dying: size)
    case .api: try APIMeasurement.run()
    case .discard: try DiscardMeasurement.run()
    case .fork: try ForkMeasurement.run()
    case .limit: try LimitMeasurement.run(part: size)
    case .count: try CountMeasurement.run(pairs: size)
    }
  }
}

/// A line for the parent.
func emit(_ key: String, _ value: Double) { print("\(key)=\(value)") }
func emit(_ key: String, _ value: Int) { print("\(key)=\(value)") }
