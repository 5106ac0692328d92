// SPDX-License-Identifier: Apache-2.0
// Many objects at once: all of them or none.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct BulkTests {
  @Test(arguments: [0, 1, 2, 7, 8, 64, 65, 1000]) func everyObjectOnce(_ count: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      for cache in [root.cache, try group.makeOrFindChild(of: root)] {
        var kept: [UInt] = []
        for _ in 0..<5 {
          let objects = try cache.allocateBulk(count)
          #expect(Set(objects).count == count)
          #expect(Set(objects).isDisjoint(with: kept))
          #expect(objects.allSatisfy { allocator.cache(of: $0) == cache })
          for object in objects { fillObject(object, size: 64, tag: 7) }
          #expect(try allocator.liveObjects(of: root) == kept.count + count)
          // One half at once, the other by and by.
          cache.freeBulk(Array(objects[..<(count / 2)]))
          kept += objects[(count / 2)...]
          #expect(kept.allSatisfy { isFilled($0, size: 64, tag: 7) })
        }
        cache.freeBulk(kept)
        #expect(try allocator.liveObjects(of: root) == 0)
      }
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// The group's limit ends it half-way: nothing stays allocated, and the rest is as it was.
  @Test(arguments: [1, 2, 5]) func limitLeavesNothing(_ pages: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 512)
      let group = try allocator.makeGroup("group", max: pages * 4096)
      let kept = try allocator.allocate(from: root, in: group)
      fillObject(kept, size: 512, tag: 1)
      let child = allocator.cache(of: kept)!
      let room = pages * 8 - 1
      for _ in 0..<30 {
        #expect(throws: AllocatorError.groupLimit(group)) { _ = try child.allocateBulk(room + 1) }
        #expect(try allocator.liveObjects(of: root) == 1)
        #expect(group.currentBytes <= pages * 4096)
        expectWhole(allocator)
      }
      // What was refused as a whole fits without the one that was too many.
      let objects = try child.allocateBulk(room)
      #expect(group.currentBytes == pages * 4096)
      #expect(isFilled(kept, size: 512, tag: 1))
      child.freeBulk(objects + [kept])
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  @Test(arguments: [false, true]) func refusedMemoryLeavesNothing(_ repeating: Bool) async {
    await #expect(processExitsWith: .success) { [repeating] in
      try withAllocator { allocator in
        let root = try allocator.makePlainCache("cache", size: 4096)
        let kept = try allocator.allocate(3, from: root)
        let runs = allocator.takeFreePages()
        var refusals = 0
        let failed = try failEachCall(of: .protect, repeating: repeating) {
          // Off the end of the heap with what the attempt before has committed.
          root.cache.shrink()
          allocator.trim()
        } operate: { _ in
          if let objects = try? root.cache.allocateBulk(5 + 3 * 1024) {
            root.cache.freeBulk(objects)
          } else {
            refusals += 1
          }
        } check: { _, _ in
          let live = try allocator.liveObjects(of: root)
          #expect(live == 3)
          expectWhole(allocator)
        }
        // Three chunks of 4 MiB and their part of the map. One refused call is made up for by the
        // attempt with a smaller slab.
        #expect(failed >= 6)
        #expect(refusals == (repeating ? failed : 0))
        allocator.freePages(runs)
        root.cache.freeBulk(kept)
        try allocator.destroy(root)
      }
    }
  }
}
