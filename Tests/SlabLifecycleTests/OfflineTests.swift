// SPDX-License-Identifier: Apache-2.0
// The end of a group: at once for its user, and what follows by itself.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct OfflineTests {
  @Test func allocationsFailAndFreesWork() throws {
    try withAllocator { allocator in
      let known = try allocator.makeCache("known", size: 100)
      let unknown = try allocator.makeCache("unknown", size: 100)
      let group = try allocator.makeGroup("group")
      try allocator.warmUp(known, in: group)
      let objects = try (0..<50).map { index in
        try TestObject(from: known, in: group, of: allocator, tag: UInt64(index))
      }
      func refuse() {
        for root in [known, unknown] {
          allocator.expectError(.groupOffline) { () throws(AllocatorError) in
            try allocator.allocate(from: root, in: group)
          }
        }
      }
      try withWorkersHeldOff(of: allocator) {
        try allocator.close(group)
        // Before the fence worker has closed anything, from a cache with objects in its sheaf.
        refuse()
        for object in objects[..<20] { #expect(object.free(to: allocator)) }
      }
      allocator.waitUntilIdle()
      refuse()
      expectWhole(allocator)
      for object in objects[20...] { #expect(object.free(to: allocator)) }
      refuse()
      #expect(allocator.statistics.childCachesCreated == 1)
      allocator.release(group)
      for root in [known, unknown] { try allocator.destroy(root) }
    }
  }

  /// An offline touches neither the group's caches nor anything that grows: it succeeds while the
  /// lock of every child cache is held, and makes no system call but the start of a worker.
  @Test func touchesNoCacheAndMakesNoSystemCall() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let roots = try (0..<200).map { try allocator.makeCache("cache-\($0)", size: 64) }
        let groups = try (0..<20).map { try allocator.makeGroup("group-\($0)") }
        var children: [Pointer<Cache>] = []
        for group in groups {
          for root in roots {
            let object = try allocator.allocate(from: root, in: group)
            children.append(allocator.cache(of: object)!)
            allocator.free(object)
          }
          try allocator.warmUp(roots[0], in: group)
        }
        let before = allocator.statistics
        HeldLocks.beginFork()
        for child in children { unsafe child.pointee.lock.lock().leaveLocked() }
        HeldLocks.beginFork()
        // Every system call of this thread fails and is counted.
        FaultInjection.failCall(
          1, of: .all, with: .resourceTemporarilyUnavailable, repeating: true)
        for group in groups { try allocator.close(group) }
        // An attempt to start a worker now and then, since none could be had: nothing else.
        #expect((1...groups.count).contains(FaultInjection.end()))
        for child in children { unsafe child.pointee.lock.alreadyHeld().unlock() }
        let after = allocator.statistics
        #expect(after.fences == 0 && after.fenceBatches == 0)
        #expect(after.sheafFences == before.sheafFences)
        #expect(after.workerThreads == 0 && after.pendingEndings == groups.count)
        for group in groups { allocator.release(group) }
        for root in roots { try allocator.destroy(root) }
      }
    }
  }

  @Test func lastFreeReturnsItsSlab() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("plain", size: slabOfOne)
      let group = try allocator.makeGroup("group")
      let objects = try (0..<10).map { _ in try allocator.allocate(from: root, in: group) }
      try allocator.close(group)
      allocator.waitUntilIdle()
      for (index, object) in objects.enumerated() {
        allocator.free(object)
        // No shrink, no worker: the free itself gives the slab back.
        #expect(group.currentBytes == (9 - index) * slabOfOne)
      }
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.childCachesReleased == 1)
      try allocator.destroy(root)
    }
  }

  /// A free between `offline` and the fence must not keep its empty slab either.
  @Test func freesBeforeTheFenceGiveBack() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("plain", size: slabOfOne)
      try allocator.setSheafCapacity(0, of: root)
      let group = try allocator.makeGroup("group")
      let objects = try (0..<4).map { _ in try allocator.allocate(from: root, in: group) }
      try withWorkersHeldOff(of: allocator) {
        try allocator.close(group)
        for object in objects { allocator.free(object) }
        #expect(group.currentBytes == 0)
      }
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  @Test func emptySlabsComeBack() throws {
    try withAllocator { allocator in
      let roots = try [64, 700, 4096, slabOfOne].map {
        try allocator.makeCache("cache-\($0)", size: $0)
      }
      let group = try allocator.makeGroup("group")
      for root in roots {
        try allocator.warmUp(root, in: group)
        let objects = try (0..<100).map { _ in try allocator.allocate(from: root, in: group) }
        for object in objects { allocator.free(object) }
      }
      #expect(group.currentBytes > 0)
      try allocator.close(group)
      allocator.waitUntilIdle()
      #expect(group.currentBytes == 0)
      let figures = allocator.statistics
      #expect(figures.childCachesShutDown == 4 && figures.childCachesReleased == 0)
      #expect(figures.fences == 1 && figures.fenceBatches == 1)
      // The names are gone while the group is still held.
      #expect(try allocator.slabinfo(of: group).split(separator: "\n").count == 2)
      allocator.release(group)
      #expect(allocator.statistics.childCachesReleased == 4)
      #expect(allocator.statistics.groupsReleased == 1)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// The sheaf of a cache that has ended is another cache's by now: what is in it is not its own.
  @Test func aFlushedSheafIsAnotherCaches() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("ended", size: 64)
      let group = try allocator.makeGroup("group")
      try allocator.warmUp(root, in: group)
      let object = try allocator.allocate(from: root, in: group)
      try allocator.close(group)
      allocator.waitUntilIdle()
      let other = try allocator.makeCache("other", size: 64)
      try allocator.warmUp(other, in: nil)
      allocator.expectError(.cacheBusy(objects: 1)) { () throws(AllocatorError) in
        try allocator.destroy(root)
      }
      allocator.free(object)
      allocator.release(group)
      for root in [root, other] { try allocator.destroy(root) }
    }
  }

  @Test func oneObjectPinsOneCache() throws {
    var configuration = AllocatorConfiguration()
    configuration.endings = .keep
    try withAllocator(configuration: configuration) { allocator in
      let roots = try (0..<5).map { try allocator.makeCache("cache-\($0)", size: 64) }
      let parent = try allocator.makeGroup("parent")
      let group = try allocator.makeGroup("group", below: parent)
      var objects = try roots.map {
        try TestObject(from: $0, in: group, of: allocator, tag: UInt64($0.address))
      }
      let pin = objects.remove(at: 2)
      for object in objects { #expect(object.free(to: allocator)) }
      try allocator.close(group)
      try allocator.close(parent)
      allocator.waitUntilIdle()
      let lines = try allocator.slabinfo(of: group).split(separator: "\n").dropFirst(2)
      #expect(lines.count == 1 && lines.first?.hasPrefix("cache-2 ") == true)
      // Nobody holds a handle any more: the object holds its cache, its group and its group's
      // parent, and nothing else.
      allocator.release(group)
      allocator.release(parent)
      var figures = allocator.statistics
      #expect(figures.childCachesShutDown == 4 && figures.childCachesReleased == 4)
      #expect(figures.groupsReleased == 0 && figures.chargedBytes == 4096)
      expectWhole(allocator)
      #expect(pin.free(to: allocator))
      #expect(allocator.statistics.chargedBytes == 0)
      allocator.waitUntilIdle()
      figures = allocator.statistics
      #expect(figures.childCachesReleased == 5 && figures.groupsReleased == 2)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// Threads allocate with handles of their own while the group goes offline and is settled: each
  /// gets objects, then errors for ever, and never anything else.
  @Test func allocationsRaceWithOffline() throws {
    try withAllocator { allocator in
      let roots = try [24, 200, 1500].map { try allocator.makeCache("cache-\($0)", size: $0) }
      for round in 0..<30 {
        let group = try allocator.makeGroup("group")
        let started = Shared(0)
        let threads = (0..<3).map { thread in
          allocator.retain(group)
          return TestThread {
            var objects: [TestObject] = []
            var errors = 0
            var tag = UInt64(thread)
            while errors < 10 {
              tag += 8
              do throws(AllocatorError) {
                let object = try TestObject(
                  from: roots[Int(tag / 8) % 3], in: group, of: allocator, tag: tag)
                if errors > 0 { Issue.record("an object after the group was offline") }
                objects.append(object)
              } catch {
                if error != .groupOffline { Issue.record("\(error)") }
                errors += 1
              }
              if objects.count == 8 { started.with { $0 |= 1 << thread } }
              while objects.count > 40 {
                if !objects.removeFirst().free(to: allocator) { Issue.record("overwritten") }
              }
            }
            // Half of the objects outlive the handle.
            for object in objects[..<(objects.count / 2)] where !object.free(to: allocator) {
              Issue.record("overwritten")
            }
            allocator.release(group)
            for object in objects[(objects.count / 2)...] where !object.free(to: allocator) {
              Issue.record("overwritten")
            }
          }
        }
        #expect(eventually { started.with { $0 } == 7 })
        try allocator.close(group)
        if round % 2 == 0 { allocator.waitUntilIdle() }
        allocator.release(group)
        for thread in threads { thread.join() }
      }
      for root in roots { try allocator.destroy(root) }
    }
  }
}
