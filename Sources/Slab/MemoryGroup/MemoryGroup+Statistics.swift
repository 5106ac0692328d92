// What is charged to a group, in parts that add up.

internal import SlabCore
internal import SlabPlatform

extension MemoryGroup {
  /// What a group's charge consists of (`memory.stat`). All in bytes, none below 0, and `current` is the
  /// sum of the kinds to the byte; exact if nobody works in the group meanwhile.
  public struct Statistics: Sendable {
    /// What is charged to the group and below it.
    public let current: Int
    /// Its caches, those that it has inherited behind its own.
    public let caches: [Cache]
    /// By kind: objects that users have;
    public let objects: Int
    /// free objects, those in sheaves too, and what slots and slabs have more than objects need;
    public let freeInSlabs: Int
    /// slabs of caches that were groups' below, which have ended;
    public let inherited: Int
    /// parts of the group's pages that no slab has;
    public let unused: Int
    /// and all that is charged to groups below.
    public let below: Int

    /// A line for one cache.
    public struct Cache: Sendable {
      /// The name of the cache.
      public let name: String
      /// Bytes of an object.
      public let objectSize: Int
      /// Objects that users have; those in sheaves are free.
      public let objectsInUse: Int
      /// Objects that its slabs have room for, in use or free.
      public let objectsTotal: Int
      /// Bytes of its slabs.
      public let slabBytes: Int
      /// Whether it was a group's below, which has ended.
      public let isInherited: Bool
    }
  }

  /// The figures of now. O(caches × CPUs + children); takes short locks, for a few caches or children
  /// at a time; makes no system call.
  public var statistics: Statistics {
    let current = current
    let below = allocator.bytesBelow(core)
    var caches: [Statistics.Cache] = []
    allocator.forEachCache(of: core) { caches.append(Statistics.Cache($0)) }
    return Statistics(current: current, caches: caches, below: below)
  }
}

extension MemoryGroup.Statistics {
  /// The kinds, from what was read in this order. What has been charged since `current` was read is in the
  /// caches already: then they say more than it, and the sum is theirs.
  init(current: Int, caches: [Cache], below: Int) {
    let own = caches.filter { !$0.isInherited }
    let slabs = own.reduce(0) { $0 + $1.slabBytes }
    let objects = own.reduce(0) { $0 + $1.objectsInUse * $1.objectSize }
    let inherited = caches.reduce(0) { $0 + ($1.isInherited ? $1.slabBytes : 0) }
    let known = slabs + inherited + below
    self.init(
      current: max(current, known), caches: caches, objects: objects, freeInSlabs: slabs - objects,
      inherited: inherited, unused: max(0, current - known), below: below)
  }
}

extension MemoryGroup.Statistics.Cache {
  init(_ usage: CacheUsage) {
    self.init(
      name: usage.name.string, objectSize: usage.objectBytes,
      objectsInUse: usage.objectsInUse, objectsTotal: usage.objectsTotal,
      slabBytes: usage.slabBytes, isInherited: usage.isInherited)
  }
}

extension CacheName {
  fileprivate var string: String {
    String(decoding: (0..<byteCount).map { self[$0] }, as: UTF8.self)
  }
}
