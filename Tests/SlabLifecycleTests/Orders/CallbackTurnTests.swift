// SPDX-License-Identifier: Apache-2.0
// A turn of the workers of callbacks: what wakes them, what they must not run yet, and what they wait for.
// Tests/mutations takes a line of each away.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct CallbackTurnTests {
  /// A callback, and a deferred free, that nobody waits for: the workers sleep, and are woken by it.
  @Test func nobodyWaits() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let log = CallbackLog(allocator)
      log.call(1, root)
      // The first of these opens the sheaf, and is a callback itself.
      allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
      allocator.barrier()
      let state = allocator
      #expect(eventually { state.areCallbackWorkersAsleep })
      log.call(2, root)
      #expect(eventually { log.numbers == [1, 2] })
      #expect(eventually { state.areCallbackWorkersAsleep })
      allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
      #expect(eventually { root.sum(RootCache.Sum.deferred) == 0 })
      try allocator.destroy(root)
    }
  }

  /// A flood is over when its callbacks have run: nobody is held up any longer.
  @Test func aFloodEnds() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let log = CallbackLog(allocator)
      let workers = Pointer<CallbackWorkers>(of: &allocator.callbacks.pointee.workers)
      workers.pointee.isFlooded.store(true, ordering: .relaxed)
      log.call(1, root)
      allocator.barrier()
      #expect(eventually { workers.pointee.isFlooded.load(ordering: .relaxed) == false })
      try allocator.destroy(root)
    }
  }

  /// A barrier that is asked for while a callback waits for its grace period is over after that one.
  @Test func aBarrierGoesBehindWhatWaits() throws {
    try withAllocator { allocator in
      let state = allocator
      let root = try allocator.makeCache("cache", size: 64)
      let callback = BlockedCallback()
      let section = allocator.beginReading()
      try callback.call(in: 0, blocks: true, of: allocator, root)
      // Then it is no longer among those that came in.
      #expect(eventually { state.isInGracePeriod })
      let cookie = state.requestBarrier()
      allocator.endReading(section)
      #expect(eventually { callback.hasBegun })
      #expect(!state.barrierIsOver(cookie))
      callback.open()
      allocator.barrier()
      #expect(state.barrierIsOver(cookie))
      try allocator.destroy(root)
    }
  }

  /// While a thread counts live objects, none is freed after its grace period.
  @Test func whoCountsIsWaitedFor() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let object = try allocator.allocate(from: root, in: nil)
      try allocator.withoutFreeing {
        allocator.freeAfterGracePeriod(object)
        allocator.hurryCallbacks()
        #expect(eventually { !allocator.isNoCallbackRunning })
        // It has the object in hand.
        #expect(!eventually(within: 50_000_000) { root.sum(RootCache.Sum.deferred) == 0 })
      }
      allocator.barrier()
      #expect(root.sum(RootCache.Sum.deferred) == 0)
      try allocator.destroy(root)
    }
  }

  #if DEBUG
    /// Two threads do the workers' work. One has waited for a grace period when the other names a later one
    /// for a queue of both: what waits for that does not run yet.
    @Test func aQueueThatAnotherThreadHasAdopted() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let state = allocator
          guard state.callbacks.pointee.queueCount > 1 else { return }
          let root = try allocator.makeCache("cache", size: 64)
          let first = BlockedCallback()
          let second = BlockedCallback()
          PausePoints.arm(.beforeCallbacks)
          try first.call(in: 0, blocks: false, of: allocator, root)
          #expect(PausePoints.waitUntilReached(.beforeCallbacks))
          let section = allocator.beginReading()
          try second.call(in: 1, blocks: false, of: allocator, root)
          _ = state.callbackQueue(1).adopt()
          PausePoints.resume(.beforeCallbacks)
          // In its next turn the worker waits for the section.
          #expect(eventually { second.count > 0 || first.count > 0 && state.isInGracePeriod })
          #expect(second.count == 0)
          allocator.endReading(section)
          allocator.barrier()
          #expect(first.count == 1 && second.count == 1)
          try allocator.destroy(root)
        }
      }
    }
  #endif
}

extension Pointer where Pointee == AllocatorState {
  fileprivate var areCallbackWorkersAsleep: Bool {
    callbacks.pointee.workers.awake.load(ordering: .acquiring) == 0
  }

  /// Whether no worker has callbacks in hand.
  var isNoCallbackRunning: Bool {
    (0..<callbacks.pointee.queueCount).allSatisfy {
      callbackQueue($0).pointee.runner.load(ordering: .acquiring) == 0
    }
  }

  var isInGracePeriod: Bool { gracePeriods.pointee.value.load(ordering: .acquiring) & 1 == 1 }
}
