// SPDX-License-Identifier: Apache-2.0
// Where the system gives no thread: that is said once, and the threads that end groups, free or wait do the
// work, with a bound.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// From now on this thread can start none.
private func refuseThreads() {
  FaultInjection.failCall(
    1, of: .startThread, with: .resourceTemporarilyUnavailable, repeating: true)
}

@Suite(.inTurn) struct MissingThreadTests {
  /// Nobody waits, and hardly anything is left of any number of groups. One line says why.
  @Test func whoeverClosesHelps() async throws {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) {
      try withAllocator { allocator in
        let root = try allocator.makeCache("cache", size: 64)
        refuseThreads()
        for round in 0..<2000 {
          let group = try allocator.makeGroup("group")
          allocator.free(try allocator.allocate(from: root, in: group))
          if round % 2 == 0 { try allocator.close(group) }
          allocator.release(group)
          #expect(allocator.statistics.groupsDying <= 2 * Workers.pendingPerHelp)
        }
        #expect(allocator.statistics.workerThreadsPeak == 0)
        try allocator.destroy(root)
        allocator.waitUntilIdle()
        _ = FaultInjection.end()
      }
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    let line =
      "slab: the system gives no thread (error 11): "
      + "its work is done by the threads that free, end groups or wait\n"
    #expect(text == line)
  }

  /// Deferred frees and callbacks do not pile up, also while the caller is in a section of its own, which
  /// it may be for a while.
  @Test(arguments: [false, true]) func whoeverFreesHelps(isReading: Bool) async {
    await #expect(processExitsWith: .success) { [isReading = isReading as Bool] in
      try withAllocator { allocator in
        let root = try allocator.makeCache("cache", size: 64)
        refuseThreads()
        let section = isReading ? allocator.beginReading() : nil
        for _ in 0..<600 { try allocator.deferAndCall(root) }
        #expect(!isReading || CallbackCount.ran.load(ordering: .relaxed) == 0)
        if let section { allocator.endReading(section) }
        for _ in 0..<5000 { try allocator.deferAndCall(root) }
        let left = 5600 - CallbackCount.ran.load(ordering: .relaxed)
        #expect(left <= 2 * CallbackWorkers.callsPerHelp)
        #expect(root.sum(RootCache.Sum.deferred) <= 3 * DeferredPage.capacity)
        allocator.barrier()
        #expect(CallbackCount.ran.load(ordering: .relaxed) == 5600)
        _ = FaultInjection.end()
        try allocator.destroy(root)
      }
    }
  }

  /// Free pages that the idle clock is to look at: the next thread that frees some finds the worker that could not be
  /// had before, also in a child of fork.
  @Test(arguments: [false, true]) func pagesFindAThreadLater(forks: Bool) async {
    await #expect(processExitsWith: .success) { [forks = forks as Bool] in
      prepareForForks()
      var configuration = AllocatorConfiguration()
      // The parent's rounds are not over when it forks.
      configuration.idleRoundMilliseconds = forks ? 200 : 1
      try withAllocator(configuration: configuration, givesBackIdle: true) { allocator in
        let root = try allocator.makeCache("cache", size: 8192)
        let objects = try (0..<6000).map { _ in try allocator.allocate(from: root, in: nil) }
        if !forks { refuseThreads() }
        for object in objects.prefix(4000) { allocator.free(object) }
        if !forks { _ = FaultInjection.end() }
        let process = forks ? forkProcess() : 0
        if process == 0 {
          for object in objects.dropFirst(4000) { allocator.free(object) }
          let isOver = eventually { allocator.nanosecondsUntilIdleRound == 0 }
          if forks { _exit(isOver ? 0 : 1) }
          #expect(isOver)
        } else {
          #expect(exitCode(ofChild: process) == 0)
          for object in objects.dropFirst(4000) { allocator.free(object) }
        }
        try allocator.destroy(root)
      }
    }
  }

  /// A thread at its limit waits for endings that it cannot do, with a shrinker's slab in hand, while
  /// another one forks.
  @Test func waitingForEndingsWhileAForkWaits() async {
    await #expect(processExitsWith: .success) {
      prepareForForks()
      try withAllocator { allocator in
        let root = try allocator.makeChargedCache()
        let tenant = try allocator.makeGroup("tenant", max: slabOfOne)
        let request = try allocator.makeGroup("request", below: tenant)
        let full = try allocator.makeGroup("full", below: tenant)
        let object = try allocator.allocate(from: root, in: full)
        let hoard = Hoard(allocator) { _ = eventually { ForkGate.isForking } }
        let idle = try allocator.makeCache("idle", size: 64)
        hoard.add(try allocator.allocate(from: idle, in: nil))
        let shrinker = try hoard.register(for: full)
        // Neither a worker nor a helper gets at the batch.
        let batch = allocator.lifecycle.pointee.batchLock.lock()
        HeldLocks.beginFork()
        let isThere = Shared(false)
        let thread = TestThread {
          refuseThreads()
          try? allocator.close(request)
          isThere.with { $0 = true }
          allocator.expectError(.groupLimit(tenant)) { () throws(AllocatorError) in
            try allocator.allocate(from: root, in: full)
          }
          _ = FaultInjection.end()
        }
        #expect(eventually { isThere.with { $0 } && hoard.asked.with { !$0.isEmpty } })
        let process = forkProcess()
        if process == 0 { _exit(0) }
        #expect(exitCode(ofChild: process) == 0)
        thread.join()
        batch.unlock()
        allocator.unregisterShrinker(shrinker)
        allocator.free(object)
        for group in [request, full, tenant] { allocator.release(group) }
        for root in [root, idle] { try allocator.destroy(root) }
      }
    }
  }

  /// Others do the work already, and take long: a thread at its limit waits no longer than it has patience.
  @Test func waitingForEndingsBesideWhoeverDoesThem() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let root = try allocator.makeChargedCache()
        let tenant = try allocator.makeGroup("tenant", max: slabOfOne)
        let request = try allocator.makeGroup("request", below: tenant)
        let full = try allocator.makeGroup("full", below: tenant)
        let object = try allocator.allocate(from: root, in: full)
        HeldLocks.beginFork()
        for index in 0..<Workers.most {
          unsafe allocator.lifecycle.pointee.workers.busy[index].lock().leaveLocked()
        }
        TestThread {
          refuseThreads()
          try? allocator.close(request)
          allocator.expectError(.groupLimit(tenant)) { () throws(AllocatorError) in
            try allocator.allocate(from: root, in: full)
          }
          _ = FaultInjection.end()
        }.join()
        for index in 0..<Workers.most {
          unsafe allocator.lifecycle.pointee.workers.busy[index].alreadyHeld().unlock()
        }
        allocator.free(object)
        for group in [request, full, tenant] { allocator.release(group) }
        try allocator.destroy(root)
      }
    }
  }
}

private enum CallbackCount {
  static let ran = Atomic<Int>(0)
}

extension Allocator {
  /// A deferred free, and a callback that frees.
  fileprivate func deferAndCall(_ root: Pointer<RootCache>) throws {
    freeAfterGracePeriod(try allocate(from: root, in: nil))
    let object = try allocate(from: root, in: nil)
    Words(at: object)[2] = UInt64(address)
    unsafe call(Pointer<GracePeriodCallback>(nonzeroAddress: object)) { head in
      let object = UInt(bitPattern: head)
      CallbackCount.ran.add(1, ordering: .relaxed)
      unsafe Allocator(nonzeroAddress: UInt(Words(at: object)[2])).free(object)
    }
  }
}
