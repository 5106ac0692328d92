// The fence worker: what `call_rcu_sched` and the deferred deactivation of patches 7 and 8 do, for
// a whole batch with one fence.
//
//   1  under the registry lock, take the whole batch and chain its caches; close their sheaves
//   2  one fence, if any sheaf was open
//   3  drain the sheaves, give empty slabs back; a cache without slabs is shut down at once, and
//      with it its names go (patch 9)
//
// Why the fence: an operation reads the sheaf word without a lock. After the fence every CPU reads
// "closed", so nothing can be parked behind the drain's back; otherwise a parked object would hold
// its slab, the slab a charge, and the group would never die.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == AllocatorState {
  /// Does one batch, if there is one and nobody else is at it. True if there was something to do.
  func runFenceBatch() -> Bool {
    guard pointee.lifecycle.batchLock.tryLock() else { return false }
    defer { pointee.lifecycle.batchLock.unlock() }
    pointee.registry.lock.lock()
    let groups = pointee.lifecycle.offlineBatch
    let roots = pointee.lifecycle.rootBatch
    pointee.lifecycle.offlineBatch = nil
    pointee.lifecycle.rootBatch = nil
    pointee.registry.lock.unlock()
    guard groups != nil || roots != nil else { return false }
    pointee.lifecycle.fenceBatches.add(1, ordering: .relaxed)
    pausePoint(.beforeClosingBatch)

    var chain = DeactivationChain()
    var group = groups
    while let current = group {
      pointee.registry.lock.lock()
      chain.close(cachesOf: current)
      pointee.registry.lock.unlock()
      group = current.pointee.nextInBatch
    }
    var rootCount = 0
    var root = roots
    while let current = root {
      chain.close(current, of: self)
      root = current.pointee.nextInBatch
      rootCount += 1
    }

    pausePoint(.beforeFence)
    if chain.needsFence { fenceForBatch() }
    pausePoint(.beforeDraining)
    finish(chain)
    pausePoint(.beforeFinishingGroups)
    finish(groups)
    noteDone(rootCount)
    return true
  }

  /// Where membarrier fails (it can run out of memory), nothing may be drained: try until it works.
  func fenceForBatch(counted isCounted: Bool = true) {
    while true {
      do {
        try pointee.region.fence()
        if isCounted { pointee.lifecycle.fences.add(1, ordering: .relaxed) }
        return
      } catch {
        pauseWorker(nanoseconds: 1_000_000)
      }
    }
  }

  /// Step 3 for every cache of the chain.
  private func finish(_ chain: DeactivationChain) {
    var next = chain.first
    while let cache = next {
      // Read before the state changes: then a last free may hand the cache on.
      next = cache.pointee.nextInChain
      if let next { prefetch(next.address) }
      var slabs = SlabChain()
      cache.pointee.lock.lock()
      let isDying = cache.finishDeactivation(emptied: &slabs)
      cache.pointee.lock.unlock()
      if isDying {
        shutDown(cache)
      } else {
        cache.release(slabs)
      }
    }
  }

  /// After its caches: a group is drained, and released if nothing holds it, or else perhaps
  /// reparented.
  private func finish(_ groups: Pointer<Group>?) {
    var count = 0
    var next = groups
    while let group = next {
      next = group.pointee.nextInBatch
      if let next { prefetch(next.address) }
      var released = ReleasedDescriptors()
      pointee.registry.lock.lock()
      // Releasing: pairs with the acquiring load in `state`.
      group.pointee.state.store(GroupState.drained.rawValue, ordering: .releasing)
      if group.pointee.isDiscarded { queueDiscarding(of: group) } else { group.finishEnding() }
      releaseIfUnused(group, released: &released)
      pointee.registry.lock.unlock()
      released.free(to: self)
      count += 1
    }
    if count > 0 { pointee.lifecycle.endingIsOver.signal() }
    noteDone(count)
  }
}

/// Caches on their way from active to deactivated, chained by `nextInChain`.
struct DeactivationChain {
  private(set) var first: Pointer<Cache>? = nil
  private(set) var needsFence = false

  /// Step 1 for the caches of a group that is offline. Under the registry lock. O(own caches): what
  /// it inherited, at the end of its list, is past this.
  mutating func close(cachesOf group: Pointer<Group>) {
    let caches = group.caches
    var node = caches.successor(in: caches)
    while let current = node, !Pointer<Cache>(groupNode: current).pointee.isInherited {
      node = current.successor(in: caches)
      group.pointee.allocator.pointee.registry.listSteps += 1
      close(Pointer<Cache>(groupNode: current))
    }
  }

  /// Step 1 for a root that is destroyed, and for its children. Takes the registry lock, for a few
  /// children at a time. O(children).
  mutating func close(_ root: Pointer<RootCache>, of state: Pointer<AllocatorState>) {
    state.pointee.registry.lock.lock()
    withCursor(in: root.children) { cursor in
      var visited = 0
      while let node = cursor.advance(in: root.children) {
        let cache = Pointer<Cache>(siblingNode: node)
        if let group = cache.pointee.group, group.isOnline { group.unpublish(cache) }
        close(cache)
        state.pointee.registry.listSteps += 1
        visited += 1
        if visited % 16 == 0 {
          state.pointee.registry.lock.unlock()
          state.pointee.registry.lock.lock()
        }
      }
    }
    state.pointee.registry.lock.unlock()
    close(root.cache)
  }

  /// Closes a cache's sheaf and chains the cache, unless it is past this already.
  private mutating func close(_ cache: Pointer<Cache>) {
    guard cache.beginDeactivation() else { return }
    if !cache.pointee.retiredSheaf.isClosed { needsFence = true }
    cache.pointee.nextInChain = first
    first = cache
  }
}

extension Pointer where Pointee == Cache {
  /// Closes the sheaf of an active cache, for good: it is deactivating from now on, and its opened
  /// sheaf awaits the fence in `retiredSheaf`. False if the cache is past this already.
  func beginDeactivation() -> Bool {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    guard state == .active else { return false }
    moveState(to: .deactivating)
    let mode = pointee.allocator.pointee.region.mode
    let open = words.pointee.exchange(.closed, mode: mode)
    // Otherwise it has none, or one that is closed to be taken back.
    if !open.isClosed { pointee.retiredSheaf = open }
    return true
  }

  /// After the fence, under the cache's lock: nothing stays in the sheaf, no empty slab in the
  /// cache. True if that was all it had, and it is dying.
  func finishDeactivation(emptied slabs: inout SlabChain) -> Bool {
    drainAndDetach(emptied: &slabs)
    moveState(to: .deactivated)
    return becomesDyingIfEmpty()
  }

  /// The first half of `finishDeactivation`.
  func drainAndDetach(emptied slabs: inout SlabChain) {
    let before = pointee.objectsInUse
    if !pointee.retiredSheaf.isClosed {
      drain(pointee.retiredSheaf, emptied: &slabs)
      pointee.retiredSheaf = .closed
    }
    detachEmptySlabs(to: &slabs)
    countObjects(since: before)
  }
}
