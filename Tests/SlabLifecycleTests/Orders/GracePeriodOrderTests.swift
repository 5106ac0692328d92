// SPDX-License-Identifier: Apache-2.0
// Orders of two threads in which a grace period, a barrier or a deferred free goes wrong if one line is
// missing or two are swapped: each is forced at a pause point, and Tests/mutations changes the lines. In
// debug builds only.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

#if DEBUG
  @Suite(.inTurn) struct GracePeriodOrderTests {
    // MARK: - Grace periods

    /// A cookie that is made while a grace period goes on names the next one.
    @Test func aCookieNamesTheNextGracePeriod() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          PausePoints.arm(.afterFlip)
          let waiter = TestThread { allocator.synchronize() }
          #expect(PausePoints.waitUntilReached(.afterFlip))
          // It has the new index: the present grace period does not wait for it.
          let section = allocator.beginReading()
          let cookie = allocator.gracePeriodCookie()
          PausePoints.resume(.afterFlip)
          waiter.join()
          #expect(!allocator.isOver(cookie))
          allocator.endReading(section)
          allocator.synchronize(cookie)
        }
      }
    }

    /// A thread that has read the old index counts its section when the index has changed, and before the
    /// fence: the grace period waits for it.
    @Test func aSectionThatIsCountedBeforeTheFence() async {
      await #expect(processExitsWith: .success) {
        var configuration = AllocatorConfiguration()
        configuration.stallTimeout = .milliseconds(1)
        try withAllocator(configuration: configuration) { allocator in
          let state = allocator
          let old = state.readers.pointee.word.first
          PausePoints.arm(.afterFlip)
          let waiter = HeldUpThread { allocator.synchronize() }
          #expect(PausePoints.waitUntilReached(.afterFlip))
          state.region.pointee.increment(at: old)
          PausePoints.resume(.afterFlip)
          #expect(eventually { waiter.isOver || state.counters.pointee.stalls.value > 0 })
          #expect(!waiter.isOver)
          state.region.pointee.increment(at: old + Readers.endedOffset)
          waiter.join()
        }
      }
    }

    // MARK: - Callbacks

    /// What comes into a queue after its grace period was named waits for the next one.
    @Test func aLateCallbackWaitsForItsOwnGracePeriod() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let log = CallbackLog(allocator)
          // In one queue, the first one that the worker looks at.
          onOneCPU(allowedCPUs()[0]) {
            PausePoints.arm(.beforeCookie)
            log.call(1, root)
            allocator.hurryCallbacks()
            #expect(PausePoints.waitUntilReached(.beforeCookie))
            allocator.synchronize()
            let section = allocator.beginReading()
            log.call(2, root)
            PausePoints.resume(.beforeCookie)
            #expect(
              eventually {
                log.numbers.contains(2) || allocator.isInGracePeriod
              })
            #expect(!log.numbers.contains(2))
            allocator.endReading(section)
          }
          allocator.barrier()
          #expect(log.numbers == [1, 2])
          try allocator.destroy(root)
        }
      }
    }

    /// A callback that comes when a worker has just found none: the worker counts as awake, so nobody
    /// wakes it.
    @Test func aWorkerLooksAgainBeforeItSleeps() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let log = CallbackLog(allocator)
          PausePoints.arm(.beforeSleepingWithoutCallbacks)
          log.call(1, root)
          #expect(PausePoints.waitUntilReached(.beforeSleepingWithoutCallbacks))
          log.call(2, root)
          PausePoints.resume(.beforeSleepingWithoutCallbacks)
          #expect(eventually { log.numbers == [1, 2] })
          allocator.barrier()
          try allocator.destroy(root)
        }
      }
    }

    // MARK: - Barriers

    /// A barrier's head runs before the thread that has put it in goes on: it does not end the barrier, which then
    /// would end twice.
    @Test func aBarriersHeadThatRunsAtOnce() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let log = CallbackLog(allocator)
          let section = allocator.beginReading()
          log.call(1, root)
          PausePoints.arm(.afterEntraining)
          let waiter = TestThread { allocator.barrier() }
          #expect(PausePoints.waitUntilReached(.afterEntraining))
          let state = allocator
          let barrier = Pointer<Barrier>(of: &state.callbacks.pointee.barrier)
          let before = barrier.pointee.outstanding.load(ordering: .acquiring)
          allocator.endReading(section)
          #expect(eventually { barrier.pointee.outstanding.load(ordering: .acquiring) < before })
          PausePoints.resume(.afterEntraining)
          waiter.join()
          #expect(log.numbers == [1])
          #expect(eventually { state.isNoCallbackRunning })
          // Required: otherwise the next barrier would never be over.
          let isOdd = barrier.pointee.sequence.load(ordering: .acquiring) & 1 == 1
          try #require(!isOdd)
          #expect(barrier.pointee.outstanding.load(ordering: .acquiring) == 0)
          allocator.barrier()
          try allocator.destroy(root)
        }
      }
    }

    /// A barrier that is over before its cookie was written, and of which a worker has been told then.
    @Test func aBarrierThatIsOverBeforeItsCookieIsWritten() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64, options: .typeSafe)
          PausePoints.arm(.beforeBarrierCookie)
          try allocator.destroy(root)
          #expect(PausePoints.waitUntilReached(.beforeBarrierCookie))
          #expect(allocator.isBarrierBatchMarked)
          // As another worker would: there is no cookie, and the mark is gone.
          #expect(!allocator.runBarrierBatch())
          #expect(!allocator.isBarrierBatchMarked)
          PausePoints.resume(.beforeBarrierCookie)
          #expect(eventually { allocator.statistics.rootCachesReleased == 1 })
        }
      }
    }

    /// A barrier is over while a batch waits for the next one, behind another callback: the batch waits on,
    /// and so does a thread that asked for a barrier then.
    @Test func aBatchWaitsForItsOwnBarrier() throws {
      try withAllocator { allocator in
        let plain = try allocator.makeCache("plain", size: 64)
        let root = try allocator.makeCache("type-safe", size: 64, options: .typeSafe)
        let state = allocator
        let first = BlockedCallback()
        let second = BlockedCallback()
        try first.call(in: 0, blocks: true, of: allocator, plain)
        #expect(eventually { first.hasBegun })
        let waiter = TestThread { allocator.barrier() }
        let barrier = Pointer<Barrier>(of: &state.callbacks.pointee.barrier)
        #expect(eventually { barrier.pointee.sequence.load(ordering: .acquiring) & 1 == 1 })
        try second.call(in: 0, blocks: true, of: allocator, plain)
        try allocator.destroy(root)
        #expect(eventually { state.hasBarrierBatchInFlight })
        let cookie = state.requestBarrier()
        let follower = try allocator.allocate(from: plain, in: nil)
        let isCalled = AtomicWord(at: follower + 16)
        isCalled.store(0)
        unsafe allocator.barrier(callingAfter: Pointer(nonzeroAddress: follower)) { head in
          AtomicWord(at: UInt(bitPattern: head) + 16).store(1)
        }
        withWorkersHeldOff(of: allocator) {
          first.open()
          waiter.join()
          #expect(eventually { second.hasBegun })
          #expect(!state.barrierIsOver(cookie) && isCalled.load() == 0)
          #expect(!state.runBarrierBatch())
          #expect(allocator.statistics.rootCachesReleased == 0)
        }
        second.open()
        // It has begun when the first one ended: nobody has to ask again.
        #expect(eventually { isCalled.load() == 1 })
        #expect(state.barrierIsOver(cookie))
        #expect(eventually { allocator.statistics.rootCachesReleased == 1 })
        allocator.free(follower)
        try allocator.destroy(plain)
      }
    }

    // MARK: - Deferred frees

    /// An object that is being freed is not counted as deferred any more: else it would hide one that a
    /// user has, and a cache would be destroyed under that user.
    @Test func anObjectThatIsBeingFreedHidesNoOther() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let kept = try allocator.allocate(from: root, in: nil)
          PausePoints.arm(.beforeFreeingDeferred)
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
          #expect(PausePoints.waitUntilReached(.beforeFreeingDeferred))
          let destroyer = HeldUpThread {
            allocator.expectError(.cacheBusy(objects: 1)) { () throws(AllocatorError) in
              try allocator.destroy(root)
            }
          }
          #expect(destroyer.waits())
          PausePoints.resume(.beforeFreeingDeferred)
          destroyer.join()
          allocator.free(kept)
          allocator.barrier()
          try allocator.destroy(root)
        }
      }
    }

    /// What a flush has in hand, and has queued nothing of: a barrier waits for it.
    @Test func aBarrierWaitsForAFlush() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          // The first opens the sheaf.
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
          allocator.barrier()
          PausePoints.arm(.beforeFlushing)
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
          #expect(PausePoints.waitUntilReached(.beforeFlushing))
          let waiter = HeldUpThread {
            allocator.barrier()
            #expect(root.sum(RootCache.Sum.deferred) == 0)
          }
          #expect(waiter.waits())
          #expect(root.sum(RootCache.Sum.deferred) == 1)
          PausePoints.resume(.beforeFlushing)
          waiter.join()
          try allocator.destroy(root)
        }
      }
    }

    /// A flush fences: by a membarrier, or by a turn of the stripes' locks. Without it a sequence may still
    /// be at work in the sheaf.
    @Test func aFlushFences() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let state = allocator
          let root = try allocator.makeCache("cache", size: 64)
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
          allocator.barrier()
          let deferred = Pointer<DeferredFrees>(of: &state.deferredFrees.pointee)
          let workers = Pointer<CallbackWorkers>(of: &state.callbacks.pointee.workers)
          #expect(eventually { workers.pointee.awake.load(ordering: .acquiring) == 0 })
          // Said already: then nobody is kicked, and the flush is ours.
          deferred.pointee.isUsed.store(true, ordering: .sequentiallyConsistent)
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
          switch state.region.pointee.mode {
          case .restartableSequences:
            FaultInjection.failCall(1, of: .membarrier, with: .noMemory)
            #expect(!state.flushDeferredFrees())
            #expect(FaultInjection.end() == 1)
          case .lockedStripes:
            HeldLocks.beginFork()
            state.region.pointee.prepareForFork()
            let flusher = HeldUpThread { state.flushDeferredFrees() }
            #expect(flusher.waits())
            state.region.pointee.resumeAfterFork(inChild: false)
            flusher.join()
          }
          allocator.barrier()
          #expect(root.sum(RootCache.Sum.deferred) == 0)
          try allocator.destroy(root)
        }
      }
    }
  }

  extension Pointer where Pointee == AllocatorState {
    var isBarrierBatchMarked: Bool {
      lifecycle.pointee.barrierBatch.isMarked.load(ordering: .acquiring)
    }

    /// Whether a batch waits for a barrier that has been asked for.
    var hasBarrierBatchInFlight: Bool {
      let registry = lockRegistry()
      let cookie = lifecycle.pointee.barrierBatch.cookie
      registry.unlock()
      return cookie != 0
    }
  }
#endif
