// SPDX-License-Identifier: Apache-2.0
// Discarding a group: every object of it is gone, and nobody looked at one.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct DiscardTests {
  /// Objects of several caches, many of them full slabs, some of them freed, some in sheaves.
  @Test(arguments: [EndingPolicy.keep, .reparent])
  func everythingGoes(endings: EndingPolicy) throws {
    var configuration = AllocatorConfiguration()
    configuration.endings = endings
    try withAllocator(configuration: configuration) { allocator in
      let roots = try [8, 64, 200, 1000, 5000].map {
        try allocator.makeCache("cache-\($0)", size: $0)
      }
      let typeSafe = try allocator.makeCache("typesafe", size: 64, options: .typeSafe)
      let group = try allocator.makeGroup("request")
      for root in roots + [typeSafe] {
        for index in 0..<3000 {
          let object = try allocator.allocate(from: root, in: group)
          if index % 7 == 0 { allocator.free(object) }
        }
      }
      _ = try allocator.allocate(bytes: 1 << 20, in: group)
      expectWhole(allocator)
      #expect(group.pointee.current.load(ordering: .relaxed) > 3000 * 5000)
      try allocator.discard(group)
      #expect(!group.isOnline)
      #expect(throws: AllocatorError.groupOffline) {
        try allocator.allocate(from: roots[0], in: group)
      }
      allocator.waitUntilIdle()
      #expect(group.pointee.current.load(ordering: .relaxed) == 0)
      expectWhole(allocator)
      for root in roots + [typeSafe] {
        #expect(root.sum(RootCache.Sum.objectsInUse) == 0)
        #expect(root.sum(RootCache.Sum.units) == 0)
        try allocator.destroy(root)
      }
      allocator.release(group)
    }
  }

  /// Objects that await a grace period find their slabs in place: the worker waits for them, and nobody else.
  @Test func whatAwaitsAGracePeriod() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("request", below: allocator.makeGroup("tenant"))
      let deferred = try (0..<100).map { _ in try allocator.allocate(from: root, in: group) }
      for _ in 0..<1000 { _ = try allocator.allocate(from: root, in: group) }
      let section = allocator.beginReading()
      for object in deferred { allocator.freeAfterGracePeriod(object) }
      try allocator.discard(group)
      // Several looks of a worker, on this thread.
      for _ in 0..<3 {
        _ = allocator.runFenceBatch()
        _ = allocator.runDiscardQueue()
      }
      #expect(group.pointee.current.load(ordering: .relaxed) > 1000 * 64)
      for object in deferred { #expect(allocator.cache(of: object) != nil) }
      #expect(allocator.statistics.pendingEndings > 0)
      allocator.endReading(section)
      allocator.waitUntilIdle()
      #expect(group.pointee.current.load(ordering: .relaxed) == 0)
      expectWhole(allocator)
      #expect(root.sum(RootCache.Sum.objectsInUse) == 0)
      let parent = group.pointee.parent!
      allocator.release(group)
      allocator.release(parent)
      try allocator.destroy(root)
    }
  }

  /// A group that has ended, and is held, is discarded too; and once more.
  @Test func afterTheEnd() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("request")
      _ = try allocator.allocate(from: root, in: group)
      try allocator.close(group)
      allocator.waitUntilIdle()
      #expect(group.pointee.current.load(ordering: .relaxed) == 4096)
      try allocator.discard(group)
      try allocator.discard(group)
      allocator.waitUntilIdle()
      #expect(group.pointee.current.load(ordering: .relaxed) == 0)
      try allocator.discard(group)
      allocator.waitUntilIdle()
      #expect(throws: AllocatorError.rootGroup) { try allocator.discard(allocator.rootGroup) }
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// The groups below go too, whether they are online, held zombies, or handed over.
  @Test(arguments: [EndingPolicy.keep, .reparent]) func theSubtree(endings: EndingPolicy) throws {
    var configuration = AllocatorConfiguration()
    configuration.endings = endings
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let parent = try allocator.makeGroup("parent")
      let beside = try allocator.makeGroup("beside")
      let kept = try allocator.allocate(from: root, in: beside)
      var held: [Pointer<Group>] = []
      for index in 0..<60 {
        let child = try allocator.makeGroup("child", below: parent)
        let below = try allocator.makeGroup("below", below: child)
        for group in [parent, child, below] {
          for _ in 0..<20 { _ = try allocator.allocate(from: root, in: group) }
        }
        switch index % 4 {
        case 0: held += [below, child]
        case 1:
          allocator.release(below)
          allocator.release(child)
        case 2:
          try allocator.close(below)
          held += [below, child]
        default:
          try allocator.close(child)
          allocator.release(below)
          held.append(child)
        }
        if index % 16 == 0 { allocator.waitUntilIdle() }
      }
      try allocator.discard(parent)
      for group in held { #expect(!group.isOnline) }
      allocator.waitUntilIdle()
      #expect(parent.pointee.current.load(ordering: .relaxed) == 0)
      #expect(allocator.rootGroup.pointee.current.load(ordering: .relaxed) == 4096)
      #expect(root.sum(RootCache.Sum.objectsInUse) > 0)
      allocator.free(kept)
      for group in held + [parent, beside] { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  #if DEBUG
    /// From the moment at which the walk has come to a group, nobody makes a child of it.
    @Test func noneIsMadeBelow() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let parent = try allocator.makeGroup("parent")
          let child = try allocator.makeGroup("child", below: parent)
          _ = try allocator.allocate(from: root, in: child)
          PausePoints.arm(.beforeClosingMore)
          let discarding = TestThread { try? allocator.discard(parent) }
          #expect(PausePoints.waitUntilReached(.beforeClosingMore))
          #expect(child.isOnline)
          for group in [parent, child] {
            #expect(throws: AllocatorError.groupOffline) {
              try allocator.makeGroup("late", below: group)
            }
          }
          PausePoints.resume(.beforeClosingMore)
          discarding.join()
          #expect(!child.isOnline && !parent.isOnline)
          for group in [child, parent] { allocator.release(group) }
          try allocator.destroy(root)
        }
      }
    }
  #endif

  /// Other holders allocate until they are refused, other groups go on, workers are at it.
  @Test func besideOthers() throws {
    var configuration = AllocatorConfiguration()
    configuration.workerLimit = 2
    try withAllocator(configuration: configuration) { allocator in
      let roots = try [64, 400].map { try allocator.makeCache("cache-\($0)", size: $0) }
      let long = try allocator.makeGroup("long")
      for _ in 0..<60 {
        let group = try allocator.makeGroup("request")
        onThreads(4) { thread in
          if thread == 0 {
            try! allocator.discard(group)
            return
          }
          for index in 0..<3000 {
            let root = roots[(thread + index) % 2]
            if thread == 3 {
              allocator.free(try! allocator.allocate(from: root, in: long))
            } else if (try? allocator.allocate(from: root, in: group)) == nil {
              break
            }
          }
        }
        allocator.release(group)
      }
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 60)
      allocator.release(long)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// What a child group's objects leave is discarded with the parent, also if they are on their way.
  @Test func whatIsOnItsWay() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let root = try allocator.makeCache("cache", size: 64)
        let parent = try allocator.makeGroup("parent")
        let child = try allocator.makeGroup("child", below: parent)
        _ = try allocator.allocate(from: root, in: child)
        // No worker: this thread does their work, in an order of its own.
        FaultInjection.failCall(1, of: .startThread, with: .noMemory, repeating: true)
        try allocator.close(child)
        #expect(allocator.runFenceBatch())
        allocator.release(child)
        try allocator.discard(parent)
        #expect(allocator.runFenceBatch())
        #expect(allocator.runDiscardQueue())
        #expect(parent.currentBytes > 0)
        #expect(allocator.runReparentQueue())
        #expect(allocator.runDiscardQueue())
        #expect(parent.currentBytes == 0)
        #expect(FaultInjection.end() >= 1)
        allocator.release(parent)
        try allocator.destroy(root)
      }
    }
  }

  /// A root cache that is destroyed meanwhile ends with the discarded objects.
  @Test func destroyWaitsForTheDiscard() throws {
    try withAllocator { allocator in
      for _ in 0..<40 {
        let root = try allocator.makeCache("cache", size: 64)
        let group = try allocator.makeGroup("request")
        for _ in 0..<500 { _ = try allocator.allocate(from: root, in: group) }
        try allocator.discard(group)
        // Not refused: nobody has the objects any more.
        try allocator.destroy(root)
        allocator.release(group)
      }
    }
  }

  /// Also while a user's object is live, then with the last.
  @Test func anAbandonedCacheEndsWithItsLastObject() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("request")
      let other = try allocator.makeGroup("other")
      let object = try allocator.allocate(from: root, in: other)
      for _ in 0..<500 { _ = try allocator.allocate(from: root, in: group) }
      allocator.abandon(CacheReference(root: root))
      try allocator.discard(group)
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.rootCachesReleased == 0)
      allocator.free(object)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.rootCachesReleased == 1)
      allocator.release(other)
    }
  }
}
