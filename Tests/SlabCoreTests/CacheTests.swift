// SPDX-License-Identifier: Apache-2.0
// Objects of every kind of size: apart, aligned, kept by their owners, constructed once.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// What the constructor counts; constructors are C functions and cannot capture.
private let constructed = Atomic<Int>(0)

@Suite(.inTurn) struct CacheTests {
  static let sizes = [1, 7, 8, 24, 64, 100, 192, 336, 1016, 4096, 5888, 32768]
  static let alignments = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]

  @Test(arguments: sizes, alignments)
  func objectsAreApartAndAligned(_ size: Int, _ alignment: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("objects", size: size, alignment: alignment)
      let group = try allocator.makeGroup("group")
      // Past the first slab and past the opening of the sheaf, at most 4 MiB of them.
      let count = max(24, min(200, (1 << 20) / max(size, alignment)))
      for owner in [nil, group] {
        var objects: [UInt] = []
        for index in 0..<count {
          let object = try allocator.allocate(from: root, in: owner)
          #expect(object % UInt(max(8, alignment)) == 0)
          fillObject(object, size: size, tag: UInt64(index))
          objects.append(object)
          // Every third goes and comes back, so that slabs and sheaf have both ways.
          if index % 3 == 2 {
            let victim = objects.remove(at: index / 3)
            allocator.free(victim)
            let again = try allocator.allocate(from: root, in: owner)
            fillObject(again, size: size, tag: UInt64(1000 + index))
            allocator.free(again)
          }
        }
        let sorted = objects.sorted()
        for (left, right) in zip(sorted, sorted.dropFirst()) {
          try #require(right - left >= UInt(max(size, max(8, alignment))))
        }
        #expect(try allocator.liveObjects(of: root) == objects.count)
        allocator.freeAll(objects)
        #expect(try allocator.liveObjects(of: root) == 0)
      }
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroyAndWait(root)
    }
  }

  /// The pattern of each live object stays while others of the same and of other caches come and go.
  @Test func patternsStay() throws {
    try withAllocator { allocator in
      let roots = try Self.sizes.map { try allocator.makePlainCache("size-\($0)", size: $0) }
      try withSeed { seed in
        var random = SeededGenerator(seed: seed)
        var live: [(object: UInt, size: Int, tag: UInt64)] = []
        for tag in 0..<3_000 as Range<UInt64> {
          if live.count < 60 || Bool.random(using: &random) {
            let index = Int.random(in: 0..<roots.count, using: &random)
            let object = try allocator.allocate(from: roots[index], in: nil)
            fillObject(object, size: Self.sizes[index], tag: tag)
            live.append((object, Self.sizes[index], tag))
          } else {
            let index = Int.random(in: 0..<live.count, using: &random)
            let (object, size, tag) = live.remove(at: index)
            // Large objects are checked in part: reading them all would be the whole time.
            try #require(isFilled(object, size: min(size, 400), tag: tag))
            allocator.free(object)
          }
        }
        for (object, size, tag) in live {
          #expect(isFilled(object, size: size, tag: tag))
          allocator.free(object)
        }
      }
      expectWhole(allocator)
      for root in roots { try allocator.destroy(root) }
    }
  }

  @Test func constructorRunsOncePerObjectOfASlab() throws {
    try withAllocator { allocator in
      constructed.store(0, ordering: .relaxed)
      let root = try unsafe allocator.makeCache(
        "constructed", size: 64,
        constructor: { object in
          constructed.add(1, ordering: .relaxed)
          unsafe object.storeBytes(of: 0xC0_FFEE, as: UInt64.self)
        })
      #expect(constructed.load(ordering: .relaxed) == 0)
      let perSlab = root.objectsPerSlab
      var objects = try allocator.allocate(1, from: root)
      #expect(constructed.load(ordering: .relaxed) == perSlab)
      objects += try allocator.allocate(perSlab, from: root)
      #expect(constructed.load(ordering: .relaxed) == 2 * perSlab)
      for object in objects {
        #expect(Words(at: object)[0] == 0xC0_FFEE)
        Words(at: object)[0] = UInt64(object)
      }
      // An object comes back as it was freed, through the sheaf and through the slab.
      allocator.freeAll(objects)
      let again = try allocator.allocate(objects.count, from: root)
      // Sheaves of other CPUs may keep some back, and places that were never used come instead.
      let used = Set(objects)
      #expect(again.contains { used.contains($0) })
      for object in again {
        #expect(Words(at: object)[0] == (used.contains(object) ? UInt64(object) : 0xC0_FFEE))
      }
      #expect(constructed.load(ordering: .relaxed) == 2 * perSlab)
      allocator.freeAll(again)
      // A slab that is made anew is constructed anew, although its memory is recycled.
      root.cache.shrink()
      #expect(root.cache.figures.slabs == 0)
      let fresh = try allocator.allocate(1, from: root)
      #expect(constructed.load(ordering: .relaxed) == 3 * perSlab)
      #expect(Words(at: fresh[0])[0] == 0xC0_FFEE)
      allocator.freeAll(fresh)
      try allocator.destroyAndWait(root)
      #expect(constructed.load(ordering: .relaxed) == 3 * perSlab)
    }
  }

  @Test func freeingFindsTheCacheOfAnObject() throws {
    try withAllocator { allocator in
      let first = try allocator.makePlainCache("first", size: 100)
      let second = try allocator.makePlainCache("second", size: 100)
      let group = try allocator.makeGroup("group")
      let objects = [
        try allocator.allocate(from: first, in: nil),
        try allocator.allocate(from: second, in: nil),
        try allocator.allocate(from: first, in: group),
      ]
      let caches = objects.map { allocator.cache(of: $0) }
      #expect(caches[0] == first.cache)
      #expect(caches[1] == second.cache)
      #expect(caches[2]?.pointee.root == first)
      #expect(caches[2]?.pointee.group == group)
      #expect(allocator.cache(of: objects[0] + 99) == first.cache)
      #expect(allocator.cache(of: 8) == nil)
      SharedHeap.free(objects[0], to: first)
      SharedHeap.free(objects[1], to: second)
      // A child's object is an object of its root.
      SharedHeap.free(objects[2], to: first)
      allocator.release(group)
      try allocator.destroy(first)
      try allocator.destroy(second)
    }
  }
}
