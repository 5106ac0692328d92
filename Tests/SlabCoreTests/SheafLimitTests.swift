// SPDX-License-Identifier: Apache-2.0
// How much a sheaf may hold.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct SheafLimitTests {
  /// What a CPU holds idle is bounded by bytes.
  @Test(arguments: [(64, 535), (1024, 256), (4096, 64), (32768, 8)])
  func limitFollowsTheSize(_ size: Int, _ limit: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: size)
      let largest = PerCPURegion.sheafCapacity(ofClass: PerCPURegion.sheafClassCount - 1)
      #expect(root.sheafLimit == min(limit, largest))
      for _ in 0..<20 { allocator.freeAll(try allocator.allocate(40, from: root)) }
      #expect(root.cache.sheafWord.capacity <= limit)
      try allocator.destroy(root)
    }
  }

  /// And by a part of the least limit: in a group of 1 MiB by 64 KiB. A sheaf that cannot grow any more is left alone.
  @Test func limitFollowsTheGroup() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 1024)
      let parent = try allocator.makeGroup("parent", max: 1 << 20)
      let group = try allocator.makeGroup("group", below: parent)
      func turn() throws {
        for _ in 0..<40 {
          let objects = try (0..<400).map { _ in try allocator.allocate(from: root, in: group) }
          allocator.freeAll(objects)
        }
      }
      try turn()
      let child = try #require(group.child(of: root))
      #expect(child.sheafWord.capacity == 64)
      let fences = allocator.statistics.sheafFences
      try turn()
      #expect(allocator.statistics.sheafFences == fences)
      try allocator.setMax(Group.unlimited, of: parent)
      try turn()
      #expect(child.sheafWord.capacity > 64)
      allocator.release(group)
      allocator.release(parent)
      allocator.waitUntilIdle()
      try allocator.destroy(root)
    }
  }
}
