// What an allocator can say about itself in numbers that add up.

package import SlabPlatform
internal import Synchronization

/// A moment's figures. Each is exact; together they are of one moment only if nobody works.
package struct AllocatorStatistics: Sendable {
  // Groups, without the root group: created = live + released, live = online + dying.
  package var groupsCreated = 0
  package var groupsOfflined = 0
  package var groupsReleased = 0
  /// Groups that are offline and not released yet: zombies, and those on their way.
  package var groupsDying: Int { groupsOfflined - groupsReleased }

  // Child caches: created = on the lists + shut down; shut down = released + kept by handles.
  package var childCachesCreated = 0
  package var childCachesShutDown = 0
  package var childCachesReleased = 0
  /// Those that a parent group took over, once or more often.
  package var childCachesReparented = 0

  // Root caches of users.
  package var rootCachesCreated = 0
  package var rootCachesReleased = 0
  // Users who were merged into another one's root: created = dropped + there.
  package var aliasesCreated = 0
  package var aliasesDropped = 0

  /// Bytes charged to groups, and the most that were at one time.
  package var chargedBytes = 0
  package var chargedBytesPeak = 0

  // Bytes of the heap: used + free and resident + clean = committed.
  package var usedBytes = 0
  package var freeResidentBytes = 0
  package var committedBytes = 0
  /// What the allocator holds of the system's memory: used and free resident bytes of the heap, and
  /// the memory of the page map, the per-CPU region and the table of ids.
  package var systemBytes = 0
  package var systemBytesPeak = 0
  /// Bytes of the heap and of its page map that were ever given back.
  package var returnedBytes = 0

  /// Fences of endings, and the batches that they served: never more fences than batches.
  package var fences = 0
  package var fenceBatches = 0
  /// Fences for sheaves that grew or were drained on request.
  package var sheafFences = 0
  /// Addresses that sheaves have on each CPU, and can have, in bytes.
  package var sheafBytes = 0
  package var sheafBytesLimit = 0
  /// Times that a cache found no place for a sheaf; and sheaves that were taken back from cold caches.
  package var sheafRefusals = 0
  package var sheavesTakenBack = 0
  /// Barriers of endings: one for each batch of type-safe caches.
  package var barrierBatches = 0
  /// Grace periods, and barriers of all kinds, that have been done.
  package var gracePeriods = 0
  package var barriers = 0
  /// Times that a grace period was reported to wait too long.
  package var stalls = 0
  /// Callbacks that have not run yet, and type-safe caches that await a barrier.
  package var pendingCallbacks = 0
  package var cachesAwaitingBarrier = 0
  /// Nodes of lists of caches that were visited: by `offline`, batches and shutdowns, when caches and
  /// groups were made, and for slabinfo. See docs/old-and-new.md.
  package var listSteps = 0
  /// Groups and caches on their way through the workers.
  package var pendingEndings = 0
  /// Time that workers spent on endings, in nanoseconds.
  package var workerNanoseconds = 0
  package var workerThreads = 0
  package var workerThreadsPeak = 0

  /// How the CPU layer runs.
  package var mode = PerCPUMode.lockedSlots
}

extension Allocator {
  /// The figures of now. O(1); takes the registry lock, then the page lock.
  package var statistics: AllocatorStatistics {
    var figures = AllocatorStatistics()
    state.pointee.registry.lock.lock()
    figures.groupsCreated = state.pointee.registry.groupsCreated
    figures.groupsOfflined = state.pointee.registry.groupsOfflined
    figures.groupsReleased = state.pointee.registry.groupsReleased
    figures.childCachesCreated = state.pointee.registry.childCachesCreated
    figures.childCachesShutDown = state.pointee.registry.childCachesShutDown
    figures.childCachesReleased = state.pointee.registry.childCachesReleased
    figures.childCachesReparented = state.pointee.registry.childCachesReparented
    figures.rootCachesCreated = state.pointee.registry.rootCachesCreated
    figures.rootCachesReleased = state.pointee.registry.rootCachesReleased
    figures.listSteps = state.pointee.registry.listSteps
    figures.aliasesCreated = state.pointee.registry.aliasesCreated
    figures.aliasesDropped = state.pointee.registry.aliasesDropped
    let idBytes =
      state.pointee.registry.rootIndices.usedBytes + state.pointee.registry.groupIDs.usedBytes
      + state.pointee.registry.groupNames.usedBytes
    state.pointee.registry.lock.unlock()

    figures.chargedBytes = rootGroup.pointee.current.load(ordering: .relaxed)
    figures.chargedBytesPeak = rootGroup.pointee.peak.load(ordering: .relaxed)

    state.pointee.pages.lock.lock()
    let page = PageAllocator.pageBytes
    figures.usedBytes = state.pointee.pages.usedPages * page
    figures.freeResidentBytes = state.pointee.pages.dirtyPages * page
    figures.committedBytes = state.pointee.pages.endUnit * UnitMap.unitBytes
    figures.returnedBytes = state.pointee.pages.returnedBytes
    let besides = state.region.usedBytes + idBytes
    figures.systemBytes = state.pointee.pages.residentBytes + besides
    figures.systemBytesPeak = state.pointee.pages.residentBytesPeak + besides
    state.pointee.pages.lock.unlock()

    let lifecycle = Pointer<Lifecycle>(of: &state.pointee.lifecycle)
    figures.fences = lifecycle.pointee.fences.load(ordering: .relaxed)
    figures.fenceBatches = lifecycle.pointee.fenceBatches.load(ordering: .relaxed)
    figures.workerNanoseconds = lifecycle.pointee.busyNanoseconds.load(ordering: .relaxed)
    figures.pendingEndings = lifecycle.pointee.pending.load(ordering: .relaxed)
    figures.barrierBatches = lifecycle.pointee.barrierBatch.barriers.load(ordering: .relaxed)
    figures.cachesAwaitingBarrier = lifecycle.pointee.barrierBatch.count.load(ordering: .relaxed)
    figures.gracePeriods = Int(state.pointee.gracePeriods.value.load(ordering: .relaxed) / 2)
    figures.stalls = state.pointee.gracePeriods.stalls.load(ordering: .relaxed)
    figures.barriers = state.pointee.callbacks.barrier.count.load(ordering: .relaxed)
    figures.pendingCallbacks = state.pendingCallbacks
    lifecycle.pointee.workers.lock.lock()
    figures.workerThreads = lifecycle.pointee.workers.running
    figures.workerThreadsPeak = lifecycle.pointee.workers.peak
    lifecycle.pointee.workers.lock.unlock()
    figures.sheafFences = state.pointee.sheafFences.load(ordering: .relaxed)
    figures.sheafBytes = state.region.sheafBytes
    figures.sheafBytesLimit = PerCPURegion.sheafBytesLimit
    figures.sheafRefusals = state.pointee.coldSheaves.refusals.load(ordering: .relaxed)
    figures.sheavesTakenBack = state.pointee.coldSheaves.takenBack.load(ordering: .relaxed)
    figures.mode = state.pointee.region.mode
    return figures
  }

  /// Gives back all memory that is not in use: the empty slabs and sheaves of the core's own
  /// caches and of the size classes, the free pages, the free end of the heap. System calls for each
  /// run of pages. Waits for what the workers are at.
  package func trim() {
    state.releaseDeferredSheaf()
    state.pointee.registry.lock.lock()
    // The cursor stands on this thread's stack.
    state.takeInHand()
    withCursor(in: state.rootsList) { cursor in
      while let node = cursor.advance(in: state.rootsList) {
        let root = Pointer<RootCache>(rootNode: node)
        // The others are the core's for ever.
        guard root.pointee.kind != .user else { continue }
        state.pointee.registry.lock.unlock()
        root.cache.shrink()
        state.pointee.registry.lock.lock()
      }
    }
    state.putDown()
    // A run on its way back is on no list.
    state.takeInHand()
    state.pointee.registry.lock.unlock()
    state.pages.giveBack(keeping: 0)
    state.putDown()
    // A worker may have a run in hand, at the end of the heap perhaps; there is no other one to take.
    state.waitForWorkersAtWork()
    state.pages.shrinkHeap()
    state.pointee.registry.lock.lock()
    state.pointee.registry.groupIDs.trim()
    state.pointee.registry.groupNames.trim()
    state.pointee.registry.lock.unlock()
    _ = state.region.trim()
  }
}
