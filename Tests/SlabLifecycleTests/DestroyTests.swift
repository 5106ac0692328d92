// SPDX-License-Identifier: Apache-2.0
// Destroying a root cache with children in any state of their life, and refusing to.

import SlabTestSupport
import Testing

@testable import SlabCore
@testable import SlabPlatform

@Suite(.inTurn) struct DestroyTests {
  /// The root group's table has a root that was used in it, until its end.
  @Test func theRootGroupForgetsADestroyedRoot() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      allocator.free(try allocator.allocate(from: root, in: allocator.rootGroup))
      #expect(allocator.rootGroup.child(of: root) == root.cache)
      allocator.hold(root)
      try allocator.destroy(root)
      #expect(allocator.rootGroup.child(of: root) == nil)
      allocator.unhold(root)
    }
  }

  @Test func childrenInEveryState() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 200)
      let other = try allocator.makeCache("other", size: 200)
      func makeGroup(_ name: String) throws -> Pointer<Group> {
        let group = try allocator.makeGroup(name)
        allocator.free(try allocator.allocate(from: other, in: group))
        return group
      }
      let withEmptySlabs = try makeGroup("active with empty slabs")
      let objects = try (0..<100).map { _ in
        try allocator.allocate(from: root, in: withEmptySlabs)
      }
      for object in objects { allocator.free(object) }
      let withSheaf = try makeGroup("active with an open sheaf")
      try allocator.warmUp(root, in: withSheaf)
      let ending = try makeGroup("offline, not settled")
      try allocator.warmUp(root, in: ending)
      let dying = try makeGroup("settled, its cache on the destroy queue")
      let last = try allocator.allocate(from: root, in: dying)
      let child = allocator.cache(of: last)!
      try allocator.close(dying)
      allocator.waitUntilIdle()
      #expect(child.state == .deactivated)
      try withWorkersHeldOff(of: allocator) {
        try allocator.close(ending)
        allocator.free(last)
        #expect(child.state == .dying)
        try allocator.destroy(root)
        allocator.expectError(.cacheDestroyed) { () throws(AllocatorError) in
          try allocator.liveObjects(of: root)
        }
        // Its name is free now, and it is gone from slabinfo.
        let next = try allocator.makeCache("cache", size: 72)
        let text = try allocator.slabinfo()
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("cache ") }.count == 1)
        try allocator.destroy(next)
      }
      allocator.waitUntilIdle()
      expectWhole(allocator)
      let figures = allocator.statistics
      #expect(figures.rootCachesReleased == 2)
      // `other` has active children in the two groups that are online.
      #expect(figures.childCachesCreated - figures.childCachesShutDown == 2)
      // Those groups go on.
      for group in [withEmptySlabs, withSheaf] {
        allocator.free(try allocator.allocate(from: other, in: group))
      }
      for group in [withEmptySlabs, withSheaf, ending, dying] { allocator.release(group) }
      try allocator.destroy(other)
    }
  }

  @Test func refusedWithTheExactNumber() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let groups = try (0..<3).map { try allocator.makeGroup("group-\($0)") }
      var objects = try (0..<3).map { _ in try allocator.allocate(from: root, in: nil) }
      for (index, count) in [5, 7, 2].enumerated() {
        try allocator.warmUp(root, in: groups[index])
        for _ in 0..<count {
          objects.append(try allocator.allocate(from: root, in: groups[index]))
        }
      }
      try allocator.warmUp(root, in: nil)
      try allocator.close(groups[2])
      allocator.waitUntilIdle()
      try withWorkersHeldOff(of: allocator) {
        // 3 of the root, 5 in an active child, 7 in one that awaits its fence, 2 in a settled one.
        try allocator.close(groups[1])
        let before = try allocator.slabinfo()
        let figures = allocator.statistics
        for live in stride(from: 17, to: 0, by: -1) {
          #expect(try allocator.liveObjects(of: root) == live)
          allocator.expectError(.cacheBusy(objects: live)) { () throws(AllocatorError) in
            try allocator.destroy(root)
          }
          if live == 17 {
            #expect(try allocator.slabinfo() == before)
            #expect(allocator.statistics.pendingEndings == figures.pendingEndings)
            objects.append(try allocator.allocate(from: root, in: groups[0]))
            allocator.free(objects.removeLast())
          }
          allocator.free(objects.removeLast())
        }
        try allocator.destroy(root)
      }
      for group in groups { allocator.release(group) }
    }
  }

  /// Between the closing of the sheaves and the fence the objects in them are nobody's.
  @Test func destroyDuringTheFence() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let root = try allocator.makeCache("cache", size: 64)
        let group = try allocator.makeGroup("group")
        try allocator.warmUp(root, in: group)
        let object = try allocator.allocate(from: root, in: group)
        let child = allocator.cache(of: object)!
        let isSequenced = allocator.statistics.mode == .restartableSequences
        let stripeLock = allocator.region.pointee.stripeLock(0)
        FaultInjection.failCall(1, of: .startThread, with: .noMemory, repeating: true)
        try allocator.close(group)
        _ = FaultInjection.end()
        // The fence is refused and the closed batch kept, or the fence waits for a stripe.
        let worker: TestThread?
        if isSequenced {
          FaultInjection.failCall(1, of: .membarrier, with: .noMemory, repeating: true)
          #expect(!allocator.runFenceBatch())
          _ = FaultInjection.end()
          worker = nil
        } else {
          stripeLock.pointee.lock()
          // It stands for a thread in the middle of an operation; this one takes other locks meanwhile.
          HeldLocks.beginFork()
          worker = TestThread { #expect(allocator.runFenceBatch()) }
        }
        #expect(eventually { child.state == .deactivating })
        #expect(try allocator.liveObjects(of: root) == 1)
        if let worker {
          stripeLock.pointee.unlock()
          worker.join()
        } else {
          #expect(allocator.runFenceBatch())
        }
        #expect(child.state == .deactivated)
        allocator.free(object)
        allocator.release(group)
        try allocator.destroy(root)
      }
    }
  }

  @Test func indexAndSumsAreReused() throws {
    try withAllocator { allocator in
      let keeper = try allocator.makeCache("keeper", size: 64)
      var places: Set<UInt> = []
      for round in 0..<50 {
        let root = try allocator.makeCache("cache", size: 40 + round)
        try allocator.setSheafCapacity(0, of: root)
        places.insert(root.pointee.sums)
        #expect(root.pointee.index == keeper.pointee.index + 1)
        let group = try allocator.makeGroup("group")
        let objects = try (0..<30).map { _ in try allocator.allocate(from: root, in: group) }
        let line = try #require(
          try allocator.slabinfo().split(separator: "\n").first { $0.hasPrefix("cache ") })
        // A reused block begins at zero.
        #expect(line.split(separator: " ")[1] == "30")
        // On both of two CPUs: then the block has numbers on each that only add up to zero.
        let arrived = Shared(0)
        onThreads(2) { thread in
          onOneCPU {
            arrived.with { $0 += 1 }
            while arrived.with({ $0 }) < 2 {}
            for index in stride(from: thread, to: 30, by: 2) { allocator.free(objects[index]) }
          }
        }
        try allocator.destroy(root)
        allocator.release(group)
        allocator.waitUntilIdle()
      }
      #expect(places.count == 1)
      try allocator.destroy(keeper)
    }
  }

  /// Groups go offline while a root with thousands of children is destroyed.
  @Test func destroyRacesWithOffline() throws {
    try withSeed { seed in
      var configuration = AllocatorConfiguration()
      configuration.workerLimit = 3
      try withAllocator(configuration: configuration) { allocator in
        for round in 0..<6 {
          let roots = try (0..<3).map { try allocator.makeCache("cache-\($0)", size: 100) }
          let groups = try (0..<500).map { _ in try allocator.makeGroup("group") }
          for group in groups {
            for root in roots { allocator.free(try allocator.allocate(from: root, in: group)) }
          }
          let threads = (0..<2).map { thread in
            TestThread {
              var random = SeededGenerator(seed: seed &+ UInt64(round * 2 + thread))
              let mine = stride(from: thread, to: groups.count, by: 2).shuffled(using: &random)
              for index in mine { allocator.release(groups[index]) }
            }
          }
          for root in roots { try allocator.destroy(root) }
          for thread in threads { thread.join() }
        }
        allocator.waitUntilIdle()
        #expect(allocator.statistics.childCachesReleased == 6 * 1500)
      }
    }
  }
}
