// SPDX-License-Identifier: Apache-2.0
// Objects that await a grace period, counted for the groups that have them: only they are waited for.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ForeignFreesTests {
  private func awaiting(_ group: Pointer<Group>) -> Int {
    group.pointee.awaitingGracePeriod.load(ordering: .relaxed)
  }

  /// What other tenants have deferred, and a section that it waits for, is nothing to a refusal.
  @Test func othersAreNotWaitedFor() throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let small = try allocator.makeCache("small", size: 64)
      let full = try allocator.makeGroup("full", max: slabOfOne)
      let other = try allocator.makeGroup("other")
      let object = try allocator.allocate(from: root, in: full)
      let section = allocator.beginReading()
      for _ in 0..<600 {
        allocator.freeAfterGracePeriod(try allocator.allocate(from: small, in: other))
      }
      let barriers = allocator.statistics.barriers
      allocator.expectError(.groupLimit(full)) { () throws(AllocatorError) in
        try allocator.allocate(from: root, in: full)
      }
      // A thread that waits asks for a barrier.
      #expect(allocator.statistics.barriers == barriers)
      #expect(awaiting(other) == 600 && awaiting(allocator.rootGroup) == 600 && awaiting(full) == 0)
      // Its own ones it waits for: until its patience ends, since this thread is in a section.
      allocator.freeAfterGracePeriod(object)
      allocator.expectError(.groupLimit(full)) { () throws(AllocatorError) in
        try allocator.allocate(from: root, in: full)
      }
      #expect(allocator.statistics.barriers > barriers)
      allocator.endReading(section)
      allocator.barrier()
      let next = try allocator.allocate(from: root, in: full)
      #expect(awaiting(allocator.rootGroup) == 0)
      allocator.free(next)
      for group in [full, other] { allocator.release(group) }
      for root in [root, small] { try allocator.destroy(root) }
    }
  }

  /// Counted upwards, while the group is online, when it has ended, and when its caches have gone to its
  /// parent.
  @Test func countedWhereTheChargeIs() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let typeSafe = try allocator.makeCache("type-safe", size: 512, options: .typeSafe)
      try allocator.setMinPartial(0, of: typeSafe)
      let parent = try allocator.makeGroup("parent")
      let child = try allocator.makeGroup("child", below: parent)
      let held = try allocator.allocate(from: root, in: child)
      let objects = try (0..<3).map { _ in try allocator.allocate(from: root, in: child) }
      let slab = try allocator.allocate(from: typeSafe, in: child)
      let section = allocator.beginReading()
      allocator.deferObject(objects[0])
      allocator.freeAfterGracePeriod(objects[1])
      // The slab of a type-safe cache waits although its object is free at once.
      allocator.free(slab)
      allocator.flushDeferredFrees()
      #expect(awaiting(child) == 3 && awaiting(parent) == 3)
      allocator.release(child)
      #expect(eventually { allocator.cache(of: held)!.pointee.group == parent })
      allocator.freeAfterGracePeriod(objects[2])
      allocator.flushDeferredFrees()
      #expect(awaiting(parent) == 4)
      allocator.endReading(section)
      allocator.barrier()
      #expect(awaiting(parent) == 1)
      allocator.freeDeferred(objects[0])
      #expect(awaiting(parent) == 0)
      allocator.free(held)
      allocator.release(parent)
      for root in [root, typeSafe] { try allocator.destroy(root) }
    }
  }
}
