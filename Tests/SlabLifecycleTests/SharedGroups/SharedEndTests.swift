// SPDX-License-Identifier: Apache-2.0
// The end of groups that share slabs: who is charged for what outlives them, and what can be discarded.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct SharedEndTests {
  /// A path of three groups that end in any order, whose objects are freed before, between and after.
  @Test(
    arguments: [EndingPolicy.keep, .reparent], [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]])
  func whoIsChargedAfterwards(_ endings: EndingPolicy, _ order: [Int]) throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let own = try allocator.makeCache("large", size: 9000)
      let top = try allocator.makeGroup("top")
      var groups: [Pointer<Group>] = []
      for _ in 0..<3 {
        groups.append(try allocator.makeShared(below: groups.last ?? top, endings: endings))
      }
      // The middle one has a cache of its own as well.
      let large = try allocator.allocate(from: own, in: groups[1])
      var objects = try groups.map { try allocator.take(10, from: root, in: $0) }
      for group in groups.reversed() { try allocator.close(group) }
      allocator.waitUntilIdle()
      expectWhole(allocator)
      let before = top.currentBytes
      #expect(before == 30 * 64 + groups[1].currentBytes - 20 * 64)
      for group in groups.reversed() { allocator.release(group) }
      allocator.waitUntilIdle()
      #expect(top.currentBytes == before)
      #expect(allocator.statistics.groupsReleased == (endings == .reparent ? 3 : 0))
      expectWhole(allocator)
      allocator.free(large)
      for (count, index) in order.enumerated() {
        while let object = objects[index].popLast() {
          allocator.free(object)
          // Nothing is kept in stock for a group that has ended.
          #expect(top.currentBytes == (objects.joined().count) * 64)
        }
        allocator.waitUntilIdle()
        expectWhole(allocator)
        if endings == .keep, order == [2, 1, 0] {
          #expect(allocator.statistics.groupsReleased == count + 1)
        }
      }
      allocator.release(top)
      try allocator.destroy(root)
      try allocator.destroy(own)
    }
  }

  /// What a group inherits is said as such, also where the group itself does not share.
  @Test func inherited() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let parent = try allocator.makeGroup("parent")
      let own = try allocator.allocate(from: root, in: parent)
      let group = try allocator.makeShared(below: parent)
      let objects = try allocator.take(5, from: root, in: group)
      allocator.release(group)
      allocator.waitUntilIdle()
      let charge = allocator.charge(of: parent)
      #expect(charge.inherited == 5 * 64 && charge.below == 0 && charge.objects == 64)
      #expect(charge.current == parent.currentBytes)
      for object in objects { allocator.free(object) }
      #expect(allocator.charge(of: parent).inherited == 0)
      allocator.free(own)
      allocator.release(parent)
      try allocator.destroy(root)
    }
  }

  /// A group that has ended and whose last object is freed is drained, whatever was in stock.
  @Test func drained() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeShared()
      let objects = try allocator.take(100, from: root, in: group)
      for object in objects.dropFirst() { allocator.free(object) }
      #expect(group.currentBytes > 64)
      try allocator.close(group)
      #expect(group.currentBytes == 64 && !allocator.isDrained(group))
      allocator.expectError(.groupOffline) { () throws(AllocatorError) in
        try allocator.allocate(from: root, in: group)
      }
      allocator.free(objects[0])
      #expect(allocator.isDrained(group))
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// A discard is refused where objects of shared groups may be, and changes nothing.
  @Test func discardIsRefused() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let parent = try allocator.makeGroup("parent")
      let group = try allocator.makeShared(below: parent)
      let object = try allocator.allocate(from: root, in: group)
      let own = try allocator.allocate(from: root, in: parent)
      for refused in [group, parent] {
        allocator.expectError(.groupShared) { () throws(AllocatorError) in
          try allocator.discard(refused)
        }
        #expect(refused.isOnline)
      }
      allocator.release(group)
      allocator.waitUntilIdle()
      // It is gone, and its object is not.
      allocator.expectError(.groupShared) { () throws(AllocatorError) in
        try allocator.discard(parent)
      }
      allocator.free(object)
      _ = own
      try allocator.discard(parent)
      allocator.release(parent)
      allocator.waitUntilIdle()
      try allocator.destroy(root)
    }
  }

  /// A cache with live objects of a shared group is busy; it ends with the last of them if it is abandoned.
  @Test func caches() throws {
    try withAllocator { allocator in
      let group = try allocator.makeShared()
      for round in 0..<3 {
        let root = try allocator.makeCache("cache", size: 64)
        let objects = try allocator.take(round == 0 ? 1 : 300, from: root, in: group)
        allocator.expectError(.cacheBusy(objects: objects.count)) { () throws(AllocatorError) in
          try allocator.destroy(root)
        }
        if round == 2 { allocator.abandon(CacheReference(root: root)) }
        for object in objects { allocator.free(object) }
        if round < 2 { try allocator.destroy(root) }
        allocator.waitUntilIdle()
        #expect(allocator.statistics.rootCachesReleased == round + 1)
        #expect(allocator.sharedCacheCount == 0)
      }
      allocator.release(group)
    }
  }

  /// Objects that await a grace period are counted at the group, and then at the one that is charged.
  @Test(arguments: [EndingPolicy.keep, .reparent]) func graceperiods(_ endings: EndingPolicy) throws
  {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let parent = try allocator.makeGroup("parent")
      for _ in 0..<10 {
        let group = try allocator.makeShared(below: parent, endings: endings)
        for _ in 0..<100 {
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: group))
        }
        _ = group.mayAwaitGracePeriod
        allocator.release(group)
      }
      allocator.barrier()
      allocator.waitUntilIdle()
      #expect(parent.currentBytes == 0)
      #expect(parent.pointee.awaitingGracePeriod.load(ordering: .relaxed) == 0)
      #expect(allocator.rootGroup.pointee.awaitingGracePeriod.load(ordering: .relaxed) == 0)
      allocator.release(parent)
      try allocator.destroy(root)
    }
  }

  /// A charge at the limit waits for objects that await a grace period.
  @Test func patience() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeShared(max: 100 * 64)
      _ = try allocator.freeAfterGracePeriods(1000, from: root, in: group)
      allocator.release(group)
      allocator.barrier()
      try allocator.destroy(root)
    }
  }

  /// A child of fork has the shared groups of its parent, and its objects.
  @Test(.enabled(if: !isSanitized)) func fork() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        prepareForForks()
        let root = try allocator.makeCache("cache", size: 64)
        let group = try allocator.makeShared()
        let objects = try allocator.take(100, from: root, in: group)
        let process = forkProcess()
        if process == 0 {
          do throws(AllocatorError) {
            for object in objects { allocator.free(object) }
            let others = try allocator.take(200, from: root, in: group)
            if allocator.brokenInvariant() != nil { _exit(2) }
            for object in others { allocator.free(object) }
            allocator.release(group)
            allocator.waitUntilIdle()
            if allocator.rootGroup.currentBytes != 0 { _exit(3) }
            if allocator.brokenInvariant() != nil { _exit(4) }
            try allocator.destroy(root)
          } catch { _exit(5) }
          _exit(0)
        }
        #expect(exitCode(ofChild: process) == 0)
        for object in objects { allocator.free(object) }
        allocator.release(group)
        allocator.waitUntilIdle()
        try allocator.destroy(root)
      }
    }
  }

  #if DEBUG
    /// A cache is destroyed when a thread has just made the shared one: its descriptor stays until the thread has found that.
    @Test func destroyedWhileMade() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let group = try allocator.makeShared()
          PausePoints.arm(.beforeUsingSharedCache)
          let thread = TestThread {
            allocator.expectError(.cacheDestroyed) { () throws(AllocatorError) in
              try allocator.allocate(from: root, in: group)
            }
          }
          #expect(PausePoints.waitUntilReached(.beforeUsingSharedCache))
          try allocator.destroy(root)
          allocator.waitUntilIdle()
          #expect(allocator.statistics.childCachesReleased == 0 && allocator.sharedCacheCount == 0)
          PausePoints.resume(.beforeUsingSharedCache)
          thread.join()
          // With the next one.
          let other = try allocator.makeCache("cache", size: 64)
          allocator.free(try allocator.allocate(from: other, in: group))
          try allocator.destroy(other)
          allocator.waitUntilIdle()
          #expect(allocator.statistics.childCachesReleased == 2)
          allocator.release(group)
        }
      }
    }

    /// A group goes offline between a free's look at it and its bytes' way into the stock: they are found there.
    @Test func offlineWhileBytesGoIntoTheStock() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let group = try allocator.makeShared()
          let object = try allocator.allocate(from: root, in: group)
          PausePoints.arm(.beforeStocking)
          let thread = TestThread { allocator.free(object) }
          #expect(PausePoints.waitUntilReached(.beforeStocking))
          try allocator.close(group)
          #expect(group.currentBytes == 64)
          PausePoints.resume(.beforeStocking)
          thread.join()
          #expect(group.currentBytes == 0 && allocator.isDrained(group))
          allocator.release(group)
          allocator.waitUntilIdle()
          try allocator.destroy(root)
        }
      }
    }
  #endif
}
