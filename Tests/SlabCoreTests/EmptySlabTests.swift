// SPDX-License-Identifier: Apache-2.0
// The slow path without sheaves: partial lists, min_partial, shrink.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct EmptySlabTests {
  /// log2(size) / 2, clamped to 5...10.
  @Test(arguments: [(8, 5), (1024, 5), (4096, 6), (16384, 7), (32768, 7)])
  func minPartialByTheReference(_ size: Int, _ count: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: size)
      #expect(root.emptySlabsKept == count)
      try allocator.destroy(root)
    }
  }

  @Test(arguments: [0, 1, 3, 5]) func keepsAsManyEmptySlabsAsItIsTold(_ kept: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makeColdCache("cache", size: 512)
      try allocator.setMinPartial(kept, of: root)
      let perSlab = root.objectsPerSlab
      let objects = try allocator.allocate(8 * perSlab, from: root)
      #expect(root.cache.figures.slabs == 8)
      #expect(root.cache.partialSlabs == [])
      let used = allocator.statistics.usedBytes
      for (freed, object) in objects.enumerated() {
        allocator.free(object)
        let emptied = (freed + 1) / perSlab
        #expect(root.cache.figures.empty == min(kept, emptied))
        #expect(root.cache.figures.slabs == 8 - max(0, emptied - kept))
      }
      expectWhole(allocator)
      #expect(root.cache.figures.slabs == kept)
      #expect(root.cache.figures.inUse == 0)
      #expect(root.cache.figures.total == kept * perSlab)
      #expect(allocator.statistics.usedBytes == used - (8 - kept) * 2 * 4096)
      // What is kept above a lower value goes at the next shrink; then nothing is left.
      try allocator.setMinPartial(0, of: root)
      #expect(root.cache.figures.slabs == kept)
      #expect(!root.cache.shrink())
      #expect(root.cache.figures == CacheFigures(slabs: 0, empty: 0, inUse: 0, total: 0, units: 0))
      expectWhole(allocator)
      try allocator.destroy(root)
    }
  }

  /// Full slabs are on no list; one that gets a free object comes first.
  @Test func fullSlabsAreOnNoList() throws {
    try withAllocator { allocator in
      let root = try allocator.makeColdCache("cache", size: 512)
      let perSlab = root.objectsPerSlab
      let objects = try allocator.allocate(3 * perSlab, from: root)
      #expect(root.cache.partialSlabs == [])
      allocator.free(objects[0])
      #expect(root.cache.partialSlabs == [perSlab - 1])
      allocator.free(objects[perSlab])
      allocator.free(objects[perSlab + 1])
      #expect(root.cache.partialSlabs == [perSlab - 2, perSlab - 1])
      // Allocation takes from the front and leaves no slab behind that is full.
      var again = try allocator.allocate(2, from: root)
      #expect(root.cache.partialSlabs == [perSlab - 1])
      again += try allocator.allocate(1, from: root)
      #expect(root.cache.partialSlabs == [])
      #expect(Set(again) == Set([objects[0], objects[perSlab], objects[perSlab + 1]]))
      expectWhole(allocator)
      allocator.freeAll(objects)
      try allocator.destroy(root)
    }
  }

  /// As `kmem_cache_shrink`: the fullest first, so that the emptiest get a chance to become empty.
  @Test func shrinkSortsAndGivesBack() throws {
    try withAllocator { allocator in
      let root = try allocator.makeColdCache("cache", size: 64)
      let perSlab = root.objectsPerSlab
      let wanted = [3, perSlab, 0, perSlab - 1, 7, 0, perSlab - 40, perSlab - 31]
      let objects = try allocator.allocate(wanted.count * perSlab, from: root)
      var left = 0
      for (slab, count) in wanted.enumerated() {
        allocator.freeAll(Array(objects[slab * perSlab + count..<(slab + 1) * perSlab]))
        left += count
      }
      #expect(root.cache.figures.empty == 2)
      #expect(root.cache.shrink())
      #expect(root.cache.figures.slabs == wanted.count - 2)
      #expect(root.cache.figures.empty == 0)
      #expect(root.cache.figures.inUse == left)
      let sorted = root.cache.partialSlabs
      #expect(Array(sorted.prefix(2)) == [perSlab - 1, perSlab - 31])
      // Those with more than 32 free objects follow, in any order.
      #expect(Set(sorted.dropFirst(2)) == [3, 7, perSlab - 40])
      expectWhole(allocator)
      for (slab, count) in wanted.enumerated() {
        allocator.freeAll(Array(objects[slab * perSlab..<slab * perSlab + count]))
      }
      #expect(!root.cache.shrink())
      #expect(root.cache.figures.slabs == 0)
      try allocator.destroy(root)
    }
  }

  /// A child's slabs begin small and grow with it; its charge is whole pages.
  @Test func childsSlabsGrow() throws {
    try withAllocator { allocator in
      let root = try allocator.makeColdCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      var objects = [try allocator.allocate(from: root, in: group)]
      let child = allocator.cache(of: objects[0])!
      #expect(child.figures == CacheFigures(slabs: 1, empty: 0, inUse: 1, total: 16, units: 1))
      #expect(group.currentBytes == 4096)
      for _ in 0..<63 { objects.append(try allocator.allocate(from: root, in: group)) }
      // 1 + 1 + 2 units: the page is full.
      #expect(child.figures == CacheFigures(slabs: 3, empty: 0, inUse: 64, total: 64, units: 4))
      #expect(group.currentBytes == 4096)
      objects.append(try allocator.allocate(from: root, in: group))
      #expect(child.figures.units == 8)
      #expect(group.currentBytes == 8192)
      expectWhole(allocator)
      allocator.freeAll(objects)
      #expect(child.figures.inUse == 0)
      child.shrink()
      #expect(group.currentBytes == 0)
      #expect(group.peakBytes == 8192)
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// Three small caches of a group share a page; another group gets a page of its own.
  @Test func cachesOfAGroupShareAPage() throws {
    try withAllocator { allocator in
      let roots = try [64, 192, 336].map { try allocator.makeColdCache("c\($0)", size: $0) }
      let groups = try ["one", "two"].map { try allocator.makeGroup($0) }
      var pages: [Set<UInt>] = []
      var objects: [UInt] = []
      for group in groups {
        let own = try roots.map { try allocator.allocate(from: $0, in: group) }
        pages.append(Set(own.map { $0 / 4096 }))
        objects += own
        #expect(group.currentBytes == 4096)
      }
      #expect(pages[0].count == 1)
      #expect(pages[0].isDisjoint(with: pages[1]))
      expectWhole(allocator)
      allocator.freeAll(objects)
      for group in groups { allocator.release(group) }
      for root in roots { try allocator.destroy(root) }
    }
  }
}
