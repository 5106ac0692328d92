// SPDX-License-Identifier: Apache-2.0
// Batches and workers: one fence for many endings, none where no sheaf was open, and never more
// workers than allowed.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct BatchTests {
  /// Everything that ended while the workers were away is one batch.
  @Test(arguments: [false, true]) func oneBatchOneFence(withOpenSheaves: Bool) throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      var groups: [Pointer<Group>] = []
      for index in 0..<300 {
        let group = try allocator.makeGroup("group-\(index)")
        if withOpenSheaves {
          try allocator.warmUp(root, in: group)
        } else {
          allocator.free(try allocator.allocate(from: root, in: group))
        }
        groups.append(group)
      }
      let before = allocator.statistics
      try withWorkersHeldOff(of: allocator) {
        for group in groups { try allocator.close(group) }
        #expect(allocator.statistics.pendingEndings == groups.count)
      }
      allocator.waitUntilIdle()
      let after = allocator.statistics
      #expect(after.fenceBatches == 1)
      #expect(after.fences == (withOpenSheaves ? 1 : 0))
      #expect(after.sheafFences == before.sheafFences)
      #expect(after.childCachesShutDown == groups.count)
      for group in groups { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// With a worker at it: a batch gathers for a millisecond.
  @Test func farFewerBatchesThanGroups() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let groups = try (0..<4000).map { _ in
        let group = try allocator.makeGroup("group")
        allocator.free(try allocator.allocate(from: root, in: group))
        return group
      }
      let start = SystemCall.monotonicNanoseconds
      for group in groups { allocator.release(group) }
      let milliseconds = Int((SystemCall.monotonicNanoseconds - start) / 1_000_000)
      allocator.waitUntilIdle()
      let figures = allocator.statistics
      #expect(figures.groupsReleased == groups.count)
      // One for each millisecond that it took, and those of the waiting.
      #expect(figures.fenceBatches <= milliseconds + 50)
      #expect(figures.fences <= figures.fenceBatches)
      try allocator.destroy(root)
    }
  }

  /// 10,000 endings wait and nothing can be done about them: as many workers come as may.
  @Test(arguments: [1, 4]) func workersNeverAboveTheLimit(limit: Int) throws {
    var configuration = AllocatorConfiguration()
    configuration.workerLimit = limit
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let groups = try (0..<10_000).map { _ in try allocator.makeGroup("group") }
      for group in groups { allocator.free(try allocator.allocate(from: root, in: group)) }
      let isDone = Shared(false)
      let sampler = TestThread {
        while !isDone.with({ $0 }) {
          if allocator.statistics.workerThreads > limit { Issue.record("too many workers") }
        }
      }
      allocator.withBatchesHeldOff {
        onThreads(4) { thread in
          for index in stride(from: thread, to: groups.count, by: 4) {
            allocator.release(groups[index])
          }
        }
        #expect(allocator.statistics.pendingEndings == groups.count)
        #expect(allocator.statistics.workerThreadsPeak == limit)
      }
      allocator.waitUntilIdle()
      isDone.with { $0 = true }
      sampler.join()
      #expect(allocator.statistics.workerThreadsPeak == limit)
      #expect(allocator.statistics.groupsReleased == groups.count)
      try allocator.destroy(root)
    }
  }

  /// A few endings are one worker's, however many there may be.
  @Test func littleIsForOneWorker() throws {
    var configuration = AllocatorConfiguration()
    configuration.workerLimit = 4
    try withAllocator(configuration: configuration) { allocator in
      let groups = try (0..<20).map { try allocator.makeGroup("group-\($0)") }
      allocator.withBatchesHeldOff {
        for group in groups { allocator.release(group) }
        #expect(allocator.statistics.pendingEndings == groups.count)
      }
      allocator.waitUntilIdle()
      #expect(allocator.statistics.workerThreadsPeak == 1)
    }
  }

  /// Nobody waits, and the workers sleep: the last object of a group that has ended wakes one.
  @Test func theLastObjectWakesAWorker() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("group", endings: .keep)
      let object = try allocator.allocate(from: root, in: group)
      allocator.release(group)
      allocator.waitUntilIdle()
      let workers = Pointer<Workers>(of: &allocator.lifecycle.pointee.workers)
      #expect(eventually { workers.pointee.awake.load(ordering: .acquiring) == 0 })
      allocator.free(object)
      #expect(eventually { allocator.statistics.groupsReleased == 1 })
      try allocator.destroy(root)
    }
  }

  /// Ending the allocator does not depend on what is pending, or on what is still live.
  @Test(arguments: [1, 3]) func unmapWithPendingWork(limit: Int) throws {
    var configuration = AllocatorConfiguration()
    configuration.workerLimit = limit
    for round in 0..<6 {
      let allocator = try Allocator(configuration: configuration)
      let roots = try (0..<3).map { try allocator.makeCache("cache-\($0)", size: 64 << $0) }
      for index in 0..<300 {
        let group = try allocator.makeGroup("group")
        for root in roots {
          let object = try allocator.allocate(from: root, in: group)
          if index % 3 != 0 { allocator.free(object) }
        }
        allocator.release(group)
      }
      // At different distances from the endings.
      if round % 3 == 1 { allocator.waitUntilIdle() }
      if round % 3 == 2 {
        let empty = try allocator.makeCache("empty", size: 8)
        try allocator.destroy(empty)
      }
      allocator.unmapEverything()
    }
  }

  /// Two allocators have nothing in common.
  @Test func allocatorsAreApart() throws {
    try withAllocator { first in
      try withAllocator { second in
        let roots = try [first, second].map { try $0.makeCache("cache", size: 64) }
        let group = try first.makeGroup("group")
        let object = try first.allocate(from: roots[0], in: group)
        #expect(second.cache(of: object) == nil)
        #expect(second.statistics.groupsCreated == 0 && second.statistics.chargedBytes == 0)
        try withWorkersHeldOff(of: first) {
          try first.close(group)
          second.waitUntilIdle()
        }
        first.free(object)
        first.release(group)
        try first.destroy(roots[0])
        try second.destroy(roots[1])
      }
    }
  }
}

extension Allocator {
  /// Runs a body while workers can start and look, but do no batch.
  fileprivate func withBatchesHeldOff(_ body: () -> Void) {
    HeldLocks.beginFork()
    let batch = lifecycle.pointee.batchLock.lock()
    body()
    batch.unlock()
  }
}
