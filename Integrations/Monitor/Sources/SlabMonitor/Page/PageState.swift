// SPDX-License-Identifier: Apache-2.0
internal import FoundationEssentials
internal import Slab

/// What the page draws, as JSON; groups and caches as in docs/schema/.
struct PageState: Encodable {
  /// One group in full.
  struct Selected: Encodable {
    let path: String
    let usage, peak: Int
    let max: Int?
    let unused, below: Int
    let caches: [Sample.Cache]
    let events: [String: Int]

    init(_ group: MemoryGroup, path: String) {
      let statistics = group.statistics
      self.path = path
      usage = statistics.current
      peak = group.peak
      max = group.max
      unused = statistics.unused
      below = statistics.below
      caches = statistics.caches
      events = group.events.byName
    }
  }

  private static let cachesAtMost = 50

  let number: Int
  /// Seconds since 1970, and how long the snapshot took.
  let time, took: Double
  let mode: String
  let counters: [String: Int]
  let root: Sample.Group
  let groups: [Sample.Group]
  let rest: [Sample.Rest]
  let groupCount: Int
  let dying: [Sample.Group]
  let caches: [Sample.Cache]
  let cacheCount: Int
  /// Groups by their bytes: the bounds, and how many there are up to each, and above the last.
  let bounds, sizes: [Int]
  let events: [String: Int]

  init(_ sample: Sample) {
    number = sample.number
    time = sample.time
    took = sample.took / .seconds(1)
    mode = sample.perCPUMode
    counters = Dictionary(
      sample.counters.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
    root = sample.root
    groups = sample.largest
    rest = sample.rest
    groupCount = sample.groupCount
    dying = sample.dying
    caches = Array(sample.caches.prefix(Self.cachesAtMost))
    cacheCount = sample.caches.count
    bounds = Histogram.bounds
    sizes = sample.sizes.counts
    events = sample.events.byName
  }

  /// In one line, as an event has it.
  static func encoded(_ value: some Encodable) -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    // All of it is numbers and text: nothing that cannot be encoded.
    return try! encoder.encode(value)
  }
}

extension GroupEvents {
  /// By the keys of `memory.events`.
  var named: [(name: String, count: Int)] {
    [("low", low), ("high", high), ("max", max), ("oom", oom), ("overcharge", overcharge)]
  }

  var byName: [String: Int] { Dictionary(uniqueKeysWithValues: named.map { ($0.name, $0.count) }) }
}
