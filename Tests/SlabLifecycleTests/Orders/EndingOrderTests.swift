// SPDX-License-Identifier: Apache-2.0
// Orders of two threads in which an ending, a charge or a fork goes wrong if one line is missing: each is
// forced at a pause point, and Tests/mutations takes the line away. In debug builds only.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

#if DEBUG
  @Suite(.inTurn) struct EndingOrderTests {
    /// A child that is being built keeps its root, which is destroyed meanwhile, and lets it go.
    @Test func aChildThatIsBuiltHoldsItsRoot() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let group = try allocator.makeGroup("group")
          PausePoints.arm(.beforeLinkingChild)
          let builder = TestThread {
            allocator.expectError(.cacheDestroyed) { () throws(AllocatorError) in
              try allocator.allocate(from: root, in: group)
            }
          }
          #expect(PausePoints.waitUntilReached(.beforeLinkingChild))
          try allocator.destroy(root)
          allocator.waitUntilIdle()
          #expect(allocator.statistics.rootCachesReleased == 0)
          PausePoints.resume(.beforeLinkingChild)
          builder.join()
          #expect(allocator.statistics.rootCachesReleased == 1)
          allocator.release(group)
        }
      }
    }

    /// A group goes offline before a child that is built for it is linked: it gets none.
    @Test func aChildThatIsBuiltForAGroupThatEnds() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let group = try allocator.makeGroup("group")
          PausePoints.arm(.beforeLinkingChild)
          let builder = TestThread {
            allocator.expectError(.groupOffline) { () throws(AllocatorError) in
              try allocator.allocate(from: root, in: group)
            }
          }
          #expect(PausePoints.waitUntilReached(.beforeLinkingChild))
          try allocator.close(group)
          allocator.waitUntilIdle()
          PausePoints.resume(.beforeLinkingChild)
          builder.join()
          #expect(allocator.statistics.childCachesCreated == 0)
          allocator.release(group)
          try allocator.destroy(root)
        }
      }
    }

    /// From the first refusal on everything is refused: no cache is found any more when the group begins to refuse.
    @Test func noCacheIsFoundFromTheFirstRefusalOn() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let group = try allocator.makeGroup("group")
          allocator.free(try allocator.allocate(from: root, in: group))
          #expect(group.child(of: root) != nil)
          PausePoints.arm(.beforeGoingOffline)
          let closer = TestThread { try! allocator.close(group) }
          #expect(PausePoints.waitUntilReached(.beforeGoingOffline))
          #expect(group.isOnline)
          #expect(group.child(of: root) == nil)
          PausePoints.resume(.beforeGoingOffline)
          closer.join()
          #expect(!group.isOnline)
          allocator.release(group)
          try allocator.destroy(root)
        }
      }
    }

    /// A limit that is lowered after a charge was found to fit, and before it is made.
    @Test func aLimitThatIsLoweredBeforeTheCharge() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: slabOfOne)
          let group = try allocator.makeGroup("group")
          PausePoints.arm(.beforeAddingCharge)
          let charger = TestThread {
            allocator.expectError(.groupLimit(group)) { () throws(AllocatorError) in
              try allocator.allocate(from: root, in: group)
            }
          }
          #expect(PausePoints.waitUntilReached(.beforeAddingCharge))
          try allocator.setMax(0, of: group)
          PausePoints.resume(.beforeAddingCharge)
          charger.join()
          #expect(group.currentBytes == 0)
          allocator.release(group)
          try allocator.destroy(root)
        }
      }
    }

    /// A group ends after a charge was found to fit, and before it is made: it is refused. Its cache, which
    /// was deactivated meanwhile, has no other slab: then this thread ends it.
    @Test func aRefusedSlabEndsItsCache() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: slabOfOne)
          let group = try allocator.makeGroup("group")
          PausePoints.arm(.beforeAddingCharge)
          let charger = TestThread {
            #expect(throws: AllocatorError.self) { try allocator.allocate(from: root, in: group) }
          }
          #expect(PausePoints.waitUntilReached(.beforeAddingCharge))
          try allocator.close(group)
          allocator.waitUntilIdle()
          #expect(allocator.statistics.childCachesReleased == 0)
          PausePoints.resume(.beforeAddingCharge)
          charger.join()
          // Not for a moment.
          #expect(group.peakBytes == 0)
          allocator.release(group)
          allocator.waitUntilIdle()
          #expect(allocator.statistics.childCachesReleased == 1)
          try allocator.destroy(root)
        }
      }
    }

    /// A slab is made whose cache ends meanwhile: it does not stay, and the allocation fails, by its reason.
    @Test(arguments: [false, true]) func aSlabOfACacheThatEnds(isDestroyed: Bool) async {
      await #expect(processExitsWith: .success) { [isDestroyed] in
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: slabOfOne)
          try allocator.setSheafCapacity(0, of: root)
          try allocator.setMinPartial(0, of: root)
          let group = try allocator.makeGroup("group")
          // So that no slab of the core's own is made on the way.
          allocator.free(try allocator.allocate(from: root, in: group))
          PausePoints.arm(.beforeAddingSlab)
          let maker = TestThread {
            let error: AllocatorError = isDestroyed ? .cacheDestroyed : .groupOffline
            allocator.expectError(error) { () throws(AllocatorError) in
              try allocator.allocate(from: root, in: group)
            }
          }
          #expect(PausePoints.waitUntilReached(.beforeAddingSlab))
          if isDestroyed { try allocator.destroy(root) } else { try allocator.close(group) }
          allocator.waitUntilIdle()
          PausePoints.resume(.beforeAddingSlab)
          maker.join()
          #expect(group.currentBytes == 0)
          allocator.release(group)
          allocator.waitUntilIdle()
          #expect(allocator.statistics.childCachesReleased == 1)
          if !isDestroyed { try allocator.destroy(root) }
        }
      }
    }

    /// A slab that goes back has read which group its cache is in: the cache does not move on, and the
    /// group is not released, before it has looked at that group.
    @Test func aSlabThatGoesBackKeepsItsGroup() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: slabOfOne)
          let parent = try allocator.makeGroup("parent")
          let group = try allocator.makeGroup("group", below: parent)
          let object = try allocator.allocate(from: root, in: group)
          try allocator.close(group)
          allocator.waitUntilIdle()
          withWorkersHeldOff(of: allocator) {
            // Handed over; and its caches wait for the worker.
            allocator.release(group)
            PausePoints.arm(.beforeUncharging)
            let freer = TestThread { allocator.free(object) }
            #expect(PausePoints.waitUntilReached(.beforeUncharging))
            let mover = HeldUpThread { _ = allocator.runReparentQueue() }
            #expect(mover.waits())
            PausePoints.resume(.beforeUncharging)
            freer.join()
            mover.join()
          }
          #expect(parent.currentBytes == 0)
          allocator.release(parent)
          try allocator.destroy(root)
        }
      }
    }

    /// Two threads see that no worker is awake, and both would start one.
    @Test func twoThreadsThatStartAWorker() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let groups = try (0..<2).map { try allocator.makeGroup("group-\($0)") }
          withWorkersHeldOff(of: allocator) {
            PausePoints.arm(.beforeStartingWorker)
            let first = TestThread { allocator.release(groups[0]) }
            #expect(PausePoints.waitUntilReached(.beforeStartingWorker))
            allocator.release(groups[1])
            #expect(allocator.statistics.workerThreads == 1)
            PausePoints.resume(.beforeStartingWorker)
            first.join()
            #expect(allocator.statistics.workerThreads == 1)
          }
        }
      }
    }

    /// Work that is put in when a worker has just found none: it counts as awake, so nobody wakes it.
    @Test func aWorkerLooksAgainBeforeItSleeps() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          PausePoints.arm(.beforeSleeping)
          allocator.release(try allocator.makeGroup("first"))
          #expect(PausePoints.waitUntilReached(.beforeSleeping))
          allocator.release(try allocator.makeGroup("second"))
          #expect(allocator.statistics.groupsReleased == 1)
          PausePoints.resume(.beforeSleeping)
          #expect(eventually { allocator.statistics.groupsReleased == 2 })
        }
      }
    }

    /// The same for a barrier that is over at that moment, for which no work is pending.
    @Test func aWorkerLooksForABarrierBeforeItSleeps() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let plain = try allocator.makeCache("plain", size: 64)
          let root = try allocator.makeCache("type-safe", size: 64, options: .typeSafe)
          let log = CallbackLog(allocator)
          let section = allocator.beginReading()
          log.call(1, plain)
          try allocator.destroy(root)
          #expect(eventually { allocator.hasBarrierBatchInFlight })
          PausePoints.arm(.beforeSleeping)
          #expect(PausePoints.waitUntilReached(.beforeSleeping))
          #expect(allocator.statistics.rootCachesReleased == 0)
          allocator.endReading(section)
          #expect(eventually { allocator.isBarrierBatchMarked })
          PausePoints.resume(.beforeSleeping)
          #expect(eventually { allocator.statistics.rootCachesReleased == 1 })
          try allocator.destroy(plain)
        }
      }
    }

    /// Excess that is noticed at that moment goes back to the system too.
    @Test func aWorkerLooksForExcessBeforeItSleeps() async {
      await #expect(processExitsWith: .success) {
        var configuration = AllocatorConfiguration()
        configuration.freeBytesToKeep = 0
        try withAllocator(configuration: configuration) { allocator in
          PausePoints.arm(.beforeSleeping)
          allocator.release(try allocator.makeGroup("group"))
          #expect(PausePoints.waitUntilReached(.beforeSleeping))
          let pages = allocator.pages
          var run = pages.allocate(order: PageAllocator.largestOrder, for: .nobody)!
          // As if it had been used: what is still zero the system has already.
          run.isZero = false
          pages.free(run, of: .nobody)
          #expect(eventually { pages.pointee.hasExcess.load(ordering: .relaxed) })
          func returnedBytes() -> Int {
            let lock = pages.pointee.lock.lock()
            let bytes = pages.pointee.returnedBytes
            lock.unlock()
            return bytes
          }
          let before = returnedBytes()
          PausePoints.resume(.beforeSleeping)
          #expect(eventually { returnedBytes() > before })
          allocator.trim()
        }
      }
    }

    /// The thread that gives the last handle back has descriptors in hand that are on no list any more: fork waits.
    @Test(.enabled(if: !isSanitized)) func forkWaitsForDescriptorsInHand() async {
      await #expect(processExitsWith: .success) {
        prepareForForks()
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let group = try allocator.makeGroup("group")
          let object = try allocator.allocate(from: root, in: group)
          try allocator.close(group)
          allocator.free(object)
          allocator.waitUntilIdle()
          // Its child cache is shut down, and waits for the handle.
          PausePoints.arm(.beforeFreeingDescriptors)
          let releaser = TestThread { allocator.release(group) }
          #expect(PausePoints.waitUntilReached(.beforeFreeingDescriptors))
          let child = Shared<Int32>(0)
          let forker = HeldUpThread {
            let process = forkProcess()
            if process == 0 { _exit(42) }
            child.with { $0 = process }
          }
          #expect(forker.waits())
          PausePoints.resume(.beforeFreeingDescriptors)
          releaser.join()
          forker.join()
          #expect(exitCode(ofChild: child.with { $0 }) == 42)
          try allocator.destroy(root)
        }
      }
    }
  }
#endif
