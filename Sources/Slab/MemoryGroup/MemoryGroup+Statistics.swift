// SPDX-License-Identifier: Apache-2.0
// What is charged to a group, in parts that add up.

internal import SlabCore
internal import SlabPlatform

extension MemoryGroup {
  /// What a group's charge consists of (`memory.stat`). All in bytes, none below 0, and `current` is the
  /// sum of the kinds to the byte; exact if no thread works in the group meanwhile.
  public struct Statistics: Sendable {
    /// What is charged to the group and below it.
    public let current: Int
    /// Its caches, those that it has inherited behind its own.
    public let caches: [Cache]
    /// By kind: objects that users have;
    public let objects: Int
    /// free objects, those in sheaves too, and what places and slabs have more than objects need;
    public let freeInSlabs: Int
    /// slabs of caches that were groups' below, which have ended;
    public let inherited: Int
    /// parts of the group's pages that no slab has;
    public let unused: Int
    /// and all that is charged to groups below.
    public let below: Int

    /// A line for one cache.
    public struct Cache: Sendable, Hashable, Encodable {
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
    var caches: [Statistics.Cache] = []
    let charge = allocator.charge(of: core) { caches.append(Statistics.Cache($0)) }
    return Statistics(
      current: charge.current, caches: caches, objects: charge.objects,
      freeInSlabs: charge.freeInSlabs, inherited: charge.inherited, unused: charge.unused,
      below: charge.below)
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
  var string: String {
    String(decoding: (0..<byteCount).map { self[$0] }, as: UTF8.self)
  }
}
