// SPDX-License-Identifier: Apache-2.0
// Counters at their edges, preset: what they count cannot be made that often in a test.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct CounterTests {
  /// A heap of 128 GiB has 2^34 objects of 8 bytes, all of them one cache's perhaps.
  @Test(arguments: [false, true]) func objectsBeyond32Bits(isCharged: Bool) throws {
    try withAllocator { allocator in
      let root = try allocator.makeColdCache("cache", size: 8)
      let group = try allocator.makeGroup("group")
      let first = try allocator.allocate(from: root, in: isCharged ? group : nil)
      let cache = allocator.cache(of: first)!
      let many = 1 << 32 - 10
      cache.pointee.objectsInUse += .init(many)
      cache.pointee.objectsTotal += .init(many)
      let objects = try (0..<2000).map { _ in
        try allocator.allocate(from: root, in: isCharged ? group : nil)
      }
      #expect(cache.figures.inUse == many + 2001)
      #expect(cache.figures.total > 1 << 32)
      #expect(try allocator.liveObjects(of: root) == many + 2001)
      allocator.freeAll(objects)
      #expect(cache.figures.inUse == many + 1)
      cache.pointee.objectsInUse -= .init(many)
      cache.pointee.objectsTotal -= .init(many)
      allocator.free(first)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// A cache that is over counts its slow operations no more: it may have 2^34 objects to be freed.
  @Test func freesOfACacheThatIsOver() throws {
    try withAllocator { allocator in
      let root = try allocator.makeColdCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      let objects = try (0..<3).map { _ in try allocator.allocate(from: root, in: group) }
      let cache = allocator.cache(of: objects[0])!
      allocator.release(group)
      allocator.waitUntilIdle()
      cache.pointee.slowOperations = .max - 1
      allocator.freeAll(objects)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.childCachesReleased == 1)
      try allocator.destroy(root)
    }
  }

  /// Those that fit in 32 bits since what they count does: with room for everything that is in hand.
  @Test func whatFitsIn32Bits() {
    let units = 128 << 30 / UnitMap.unitBytes
    #expect(units * 8 < 1 << 32)
    // Caches and groups are counted in 32 bits: each has a descriptor in the heap.
    #expect(128 << 30 / Cache.descriptorBytes < 1 << 32)
    #expect(128 << 30 / Group.descriptorBytes < 1 << 32)
    // Cells of a table: of twice as many roots as there can be, rounded up.
    #expect(IDTable.mostRoots * 4 < 1 << 32)
    #expect(Slab.mostPlaces < 1 << 16)
  }

  /// Sums over the CPUs wrap on each CPU, and are right in all.
  @Test func sumsThatPassZeroOnACPU() throws {
    try withAllocator { allocator in
      let root = try allocator.makeColdCache("cache", size: 64)
      root.add(-1 << 40, to: RootCache.Sum.objectsInUse)
      let objects = try allocator.allocate(5, from: root)
      root.add(1 << 40, to: RootCache.Sum.objectsInUse)
      #expect(root.sum(RootCache.Sum.objectsInUse) == 5)
      allocator.freeAll(objects)
      try allocator.destroy(root)
    }
  }
}
