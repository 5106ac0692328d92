// Where the system gives no thread: that is said once, and whoever ends groups, frees or waits does the
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
        allocator.waitUntilDrained()
        _ = FaultInjection.end()
      }
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    let line =
      "slab: the system gives no thread (error 11): "
      + "its work is done by those who free, end groups or wait\n"
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
        let hoard = Hoard(allocator) { _ = eventually { ForkHandlers.isForking } }
        let idle = try allocator.makeCache("idle", size: 64)
        hoard.add(try allocator.allocate(from: idle, in: nil))
        let shrinker = try hoard.register(for: full)
        // Neither a worker nor who helps gets at the batch.
        allocator.state.pointee.lifecycle.batchLock.lock()
        let isThere = Shared(false)
        let thread = TestThread {
          refuseThreads()
          try? allocator.offline(request)
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
        allocator.state.pointee.lifecycle.batchLock.unlock()
        allocator.unregisterShrinker(shrinker)
        allocator.free(object)
        for group in [request, full, tenant] { allocator.release(group) }
        for root in [root, idle] { try allocator.destroy(root) }
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
    Words(at: object)[2] = UInt64(state.address)
    unsafe call(Pointer(nonzeroAddress: object)) { head in
      let object = UInt(bitPattern: head)
      CallbackCount.ran.add(1, ordering: .relaxed)
      Allocator(state: Pointer(nonzeroAddress: UInt(Words(at: object)[2]))).free(object)
    }
  }
}
