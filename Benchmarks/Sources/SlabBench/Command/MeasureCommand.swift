// SPDX-License-Identifier: Apache-2.0
// `slab-bench measure`: the child's side. Prints `key=value` lines for the parent.

import ArgumentParser
import Slab

struct MeasureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "measure", abstract: "One measurement, in this process.", shouldDisplay: false)

  enum What: String, ExpressibleByArgument {
    case pair, beyond, groups
    case beyondMemory = "beyond-memory"
    case listedMalloc = "malloc-list"
    case sharedPair = "shared-pair"
    case offline, leftover, scaling, count, readers, dying, api, discard, limit, fork
  }

  @Argument var what: What

  @Option(help: "Live groups, child caches, pairs, bytes, or which part.")
  var size = 1000

  @Option(help: "CPUs to use: 1 or 2.")
  var cpus = 2

  @Option(help: "Whose memory the groups' objects are in: isolated or shared.")
  var memory = "isolated"

  @Option(help: "The file name of the library that must be loaded.")
  var preloaded: String?

  func run() throws {
    if let preloaded { try Peer.check(loaded: preloaded) }
    switch what {
    case .pair: try PairMeasurement.run()
    case .beyond: try BeyondMeasurement.run(objectBytes: size)
    case .beyondMemory: try BeyondMemory.run()
    case .groups:
      try GroupsMeasurement.run(
        live: size, cpus: cpus, memory: MemoryPolicy(rawValue: memory) ?? .isolated)
    case .sharedPair: try PairMeasurement.run(PairMeasurement.Pattern.shared)
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
