// SPDX-License-Identifier: Apache-2.0
internal import SlabCore
internal import SlabPlatform

extension SlabAllocator {
  /// What an allocator has at a moment: counters, caches, and as many groups as were asked for. Each number is
  /// exact; together they are of one moment only if no thread works.
  public struct Snapshot: Sendable, Hashable, Encodable {
    /// Every counter, in the order of docs/counters.md.
    public let counters: [Counter]
    /// Root caches, newest first, each together with its children in all groups. Objects in sheaves count as in
    /// use.
    public let caches: [MemoryGroup.Statistics.Cache]
    /// The groups: each before those below it, or the largest ones, the largest first.
    public let groups: [Group]

    /// Of the groups, those that have gone offline and still exist.
    public var endings: [Group] { groups.filter { !$0.isOnline } }

    /// The value of a counter; `nil` if none has this name.
    public subscript(counter name: String) -> Int? {
      counters.first { $0.name == name }?.value
    }

    /// A number with what a reader has to know of it.
    public struct Counter: Sendable, Hashable, Encodable {
      /// In lower case with underscores, as in cgroup files and metrics.
      public let name: String
      /// What is counted: `bytes`, `groups` and so on.
      public let unit: String
      /// How it moves.
      public let kind: CounterKind
      /// A sentence that says what it is.
      public let help: String
      /// What it says.
      public let value: Int
    }

    /// A group at the moment when it was visited.
    public struct Group: Sendable, Hashable, Encodable {
      /// The names from the root group's children down, each behind a slash; `/` for the root group.
      public let path: String
      /// Whether it has not been closed.
      public let isOnline: Bool
      /// Bytes that are charged to it and below it, and the most at one time.
      public let usage, peak: Int
      /// Its limits in bytes; `nil` for none.
      public let max, high: Int?
      /// Bytes up to which it is spared; 0 for none.
      public let low: Int
      /// Groups below it that are online, and those that have ended and still exist.
      public let onlineDescendants, dyingDescendants: Int
      /// Its caches, those that it has inherited behind its own, if they were asked for.
      public let caches: [MemoryGroup.Statistics.Cache]
    }
  }

  /// What there is now. O(counters + root caches × CPUs + groups visited), and with the caches of groups O(caches ×
  /// CPUs) for each group that is in it. Takes short locks, for 16 groups or caches at a time: no allocation
  /// waits for more. Groups that end meanwhile are gone when it is made.
  ///
  /// - Parameters:
  ///   - group: the subtree to visit; `nil` for all groups.
  ///   - count: how many groups to have, those with the most bytes charged to them and below; `nil` for all
  ///     of the subtree, 0 for none, and then none is visited.
  ///   - withCaches: whether to have the caches of each group.
  ///
  /// - Precondition: the group is of this allocator; else the process ends.
  public func snapshot(
    below group: MemoryGroup? = nil, largest count: Int? = nil, withCaches: Bool = false
  ) -> Snapshot {
    if let group, group.allocator != core { fatal("snapshot: a group of another allocator") }
    var counters: [Snapshot.Counter] = []
    core.forEachReading { counters.append(Snapshot.Counter($0, value: $1)) }
    var caches: [MemoryGroup.Statistics.Cache] = []
    core.forEachRootCache { caches.append(MemoryGroup.Statistics.Cache($0)) }
    var chosen = ChosenGroups(atMost: count, of: core)
    if count != 0 {
      let top = group ?? rootGroup
      core.forEachGroup(atAndBelow: top.core) { chosen.add($0) }
    }
    return Snapshot(
      counters: counters, caches: caches,
      groups: chosen.takeAll { Snapshot.Group($0, $1, withCaches: withCaches, of: core) })
  }
}

/// The groups of a snapshot while it is made, each with a handle.
private struct ChosenGroups {
  private let most: Int?
  private let allocator: Allocator
  private var chosen: [(group: Pointer<Group>, reading: GroupReading)] = []
  /// A group that ends meanwhile may be visited twice; a handle keeps its address from being another one's.
  private var addresses: Set<UInt> = []

  init(atMost most: Int?, of allocator: Allocator) {
    self.most = most
    self.allocator = allocator
  }

  mutating func add(_ group: Pointer<Group>) {
    let reading = allocator.reading(of: group)
    guard let most else {
      if keep(group) { chosen.append((group, reading)) }
      return
    }
    // Largest first; of those that are equal the one that came first.
    var (low, high) = (0, chosen.count)
    while low < high {
      let middle = (low + high) / 2
      if chosen[middle].reading.chargedBytes >= reading.chargedBytes {
        low = middle + 1
      } else {
        high = middle
      }
    }
    guard low < most, keep(group) else { return }
    chosen.insert((group, reading), at: low)
    if chosen.count > most { letGo(chosen.removeLast().group) }
  }

  private mutating func keep(_ group: Pointer<Group>) -> Bool {
    guard addresses.insert(group.address).inserted else { return false }
    // The root group is there for as long as the allocator.
    if group.parent != nil { allocator.retain(group) }
    return true
  }

  private mutating func letGo(_ group: Pointer<Group>) {
    addresses.remove(group.address)
    if group.parent != nil { allocator.release(group) }
  }

  /// Passes each to the body, and gives the handles back.
  mutating func takeAll<Made>(_ body: (Pointer<Group>, GroupReading) -> Made) -> [Made] {
    let all = chosen
    chosen = []
    return all.map { group, reading in
      defer { letGo(group) }
      return body(group, reading)
    }
  }
}

extension SlabAllocator.Snapshot.Counter {
  fileprivate init(_ description: CounterDescription, value: Int) {
    self.init(
      name: "\(description.name)", unit: "\(description.unit.text)",
      kind: description.kind, help: "\(description.help)",
      value: value)
  }
}

extension SlabAllocator.Snapshot.Group {
  fileprivate init(
    _ group: Pointer<SlabCore.Group>, _ reading: GroupReading, withCaches: Bool,
    of allocator: Allocator
  ) {
    func limit(_ bytes: Int) -> Int? { bytes == SlabCore.Group.unlimited ? nil : bytes }
    var caches: [MemoryGroup.Statistics.Cache] = []
    if withCaches {
      allocator.forEachCache(of: group) { caches.append(MemoryGroup.Statistics.Cache($0)) }
    }
    self.init(
      path: group.path, isOnline: reading.isOnline, usage: reading.chargedBytes,
      peak: reading.peakBytes, max: limit(reading.max), high: limit(reading.high),
      low: reading.low, onlineDescendants: reading.descendants.online,
      dyingDescendants: reading.descendants.dying, caches: caches)
  }
}
