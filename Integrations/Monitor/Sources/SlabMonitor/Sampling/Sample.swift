// SPDX-License-Identifier: Apache-2.0
internal import FoundationEssentials
internal import Slab

/// What an allocator had at a moment, as far as something is shown of it.
struct Sample: Sendable {
  typealias Group = SlabAllocator.Snapshot.Group
  typealias Cache = MemoryGroup.Statistics.Cache

  /// Beginning at 1.
  let number: Int
  /// Seconds since 1970.
  let time: Double
  let took: Duration
  let perCPUMode: String
  let counters: [SlabAllocator.Snapshot.Counter]
  /// Root caches, those with the most bytes first.
  let caches: [Cache]
  let root: Group
  /// Of the groups below the root, those with the most bytes, the largest first.
  let largest: [Group]
  /// The groups below the root.
  let groupCount: Int
  /// Where there are groups beyond these: how many there are right below one of these or the root, and their bytes.
  let rest: [Rest]
  /// Of those that have ended, the ones with the most bytes.
  let dying: [Group]
  let sizes: Histogram
  /// What happened to all groups.
  let events: GroupEvents
  /// What happened to each of the first of `largest`, by its place there; not to those that have ended.
  let eventsOfLargest: [Int: GroupEvents]

  private static let dyingCount = 20

  struct Rest: Encodable {
    let path: String
    var count = 0
    var usage = 0
  }

  /// O(groups) for the snapshot and for what is kept of it, and a look-up of each group whose events are wanted.
  init(
    number: Int, of allocator: SlabAllocator, largest count: Int, withEvents eventCount: Int
  ) {
    let start = ContinuousClock.now
    let snapshot = allocator.snapshot()
    var groups = snapshot.groups
    // Always there: the root group comes first, and does not end.
    root = groups.removeFirst()
    groupCount = groups.count
    var sizes = Histogram()
    for group in groups { sizes.add(group.usage) }
    self.sizes = sizes
    let order = groups.indices.sorted { (groups[$1].usage, $0) < (groups[$0].usage, $1) }
    largest = order.prefix(count).map { groups[$0] }
    rest = Self.rest(order.dropFirst(count).lazy.map { groups[$0] }, beside: largest)
    dying = order.lazy.filter { !groups[$0].isOnline }.prefix(Self.dyingCount).map { groups[$0] }
    counters = snapshot.counters
    caches = snapshot.caches.sorted { ($1.slabBytes, $0.name) < ($0.slabBytes, $1.name) }
    events = allocator.rootGroup.events
    var eventsOfLargest: [Int: GroupEvents] = [:]
    for (index, group) in largest.prefix(eventCount).enumerated() where group.isOnline {
      eventsOfLargest[index] = allocator.group(at: group.path)?.events
    }
    self.eventsOfLargest = eventsOfLargest
    perCPUMode = allocator.statistics.perCPUMode.rawValue
    self.number = number
    time = Date().timeIntervalSince1970
    took = start.duration(to: .now)
  }

  private static func rest(_ groups: some Sequence<Group>, beside largest: [Group]) -> [Rest] {
    var found: [[UInt8]: Rest] = [[]: Rest(path: "/")]
    for group in largest { found[group.path.key] = Rest(path: group.path) }
    for group in groups {
      // The bytes of those deeper down are in these already.
      let parent = group.path.pathAbove.key
      found[parent]?.count += 1
      found[parent]?.usage += group.usage
    }
    return found.values.filter { $0.usage > 0 }
  }
}

/// How many groups have how many bytes.
struct Histogram: Sendable, Equatable {
  /// Bytes up to which a bucket counts; one more has all that is above.
  static let bounds = (0..<11).map { 1024 << (2 * $0) }

  private(set) var counts = [Int](repeating: 0, count: bounds.count + 1)
  private(set) var sum = 0

  mutating func add(_ bytes: Int) {
    counts[Self.bounds.firstIndex { bytes <= $0 } ?? Self.bounds.count] += 1
    sum += bytes
  }
}

extension SlabAllocator {
  /// The online group with a path; `nil` for none. O(depth).
  func group(at path: String) -> MemoryGroup? {
    var group = rootGroup
    for name in path.pathNames {
      guard let child = group.child(named: name) else { return nil }
      group = child
    }
    return group
  }
}
