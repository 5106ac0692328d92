// The last steps: shutdown, which takes a cache out of every list, and release, which gives its
// descriptor back. And `destroy`, by which a user ends a root cache.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == AllocatorState {
  /// The destroy worker: shuts down every cache that was on the queue. True if there was one.
  func runDestroyQueue() -> Bool {
    var next = takeDying()
    guard next != nil else { return false }
    while let cache = next {
      next = cache.pointee.nextInChain
      shutDown(cache)
      noteDone(1)
    }
    return true
  }

  /// Ends a dying cache: all memberships change together, under the registry lock. A plain cache may
  /// be gone when this returns; a type-safe one awaits a barrier.
  func shutDown(_ cache: Pointer<Cache>) {
    var released = ReleasedDescriptors()
    pausePoint(.beforeShutdown)
    pointee.registry.lock.lock()
    invariant(cache.state == .dying && cache.pointee.slabCount == 0, "shutdown: cache not empty")
    let root = cache.pointee.root
    let isTypeSafe = root.pointee.isTypeSafe
    cache.moveState(to: .shutDown)
    if !cache.isRoot { shutDownChild(cache, released: &released) }
    // Its barrier is asked for below, as its child's.
    _ = shutDownRootIfLast(root)
    pointee.registry.lock.unlock()
    released.free(to: self)
    if isTypeSafe { startBarrierBatch() }
  }

  /// When the barrier is over: the release of a type-safe cache.
  func releaseAfterBarrier(_ cache: Pointer<Cache>) {
    var released = ReleasedDescriptors()
    pointee.registry.lock.lock()
    invariant(cache.state == .awaitingBarrier, "release: a cache that awaits no barrier")
    if cache.isRoot {
      releaseRoot(cache.pointee.root)
    } else {
      pointee.registry.childCachesAwaitingBarrier -= 1
      releaseChild(cache, released: &released)
    }
    pointee.registry.lock.unlock()
    released.free(to: self)
  }

  /// Under the registry lock: takes a child that is shut down out of every list. The caller looks after
  /// its root: `shutDownRootIfLast`.
  func shutDownChild(_ cache: Pointer<Cache>, released: inout ReleasedDescriptors) {
    cache.allNode.unlink()
    cache.siblingNode.unlink()
    cache.groupNode.unlink()
    cache.pointee.root.pointee.childCount -= 1
    pointee.registry.childCachesShutDown += 1
    if !isLinux410 { pointee.registry.listSteps += 1 }
    if cache.pointee.root.pointee.isTypeSafe {
      pointee.registry.childCachesAwaitingBarrier += 1
      awaitBarrier(cache)
    } else {
      releaseChild(cache, released: &released)
    }
  }

  /// Under the registry lock: a child that nothing refers to but, perhaps, holders of its group.
  private func releaseChild(_ cache: Pointer<Cache>, released: inout ReleasedDescriptors) {
    let group = cache.pointee.group!
    group.pointee.cacheCount -= 1
    // An inherited cache is in no table: no handle leads to it.
    if cache.pointee.isInherited || group.pointee.handles.load(ordering: .acquiring) == 0 {
      pointee.registry.childCachesReleased += 1
      released.add(cache)
      releaseIfUnused(group, released: &released)
    } else {
      // A holder of a handle may be about to lock it, to find that it is not active.
      cache.pointee.nextInChain = group.pointee.shutDownCaches
      group.pointee.shutDownCaches = cache
    }
  }

  /// Under the registry lock: the descriptors that the last handle kept.
  func releaseShutDownCaches(
    of group: Pointer<Group>, released: inout ReleasedDescriptors
  ) {
    while let cache = group.pointee.shutDownCaches {
      group.pointee.shutDownCaches = cache.pointee.nextInChain
      pointee.registry.childCachesReleased += 1
      released.add(cache)
    }
  }

  /// Under the registry lock: releases a group that nothing holds any more, and then perhaps its
  /// parent. One that only its caches hold goes to the reparenting worker, if that is its policy.
  func releaseIfUnused(_ group: Pointer<Group>, released: inout ReleasedDescriptors) {
    var candidate: Pointer<Group>? = group
    while let unused = candidate, unused.pointee.parent != nil, !unused.pointee.isDiscarding,
      unused.state == .drained || unused.state == .reparented,
      unused.pointee.handles.load(ordering: .acquiring) == 0,
      unused.pointee.childGroupCount == 0
    {
      guard unused.pointee.cacheCount == 0 else {
        if unused.state == .drained, unused.pointee.endings == .reparent { handOver(unused) }
        return
      }
      // Relaxed: `noteChange` has come before the end of what kept the group, which this lock has seen.
      guard unused.pointee.changeHolds.load(ordering: .relaxed) == 0 else { return }
      candidate = releaseGroup(unused, released: &released)
    }
  }

  /// Under the registry lock: takes a group that nothing holds out of the tree. Its parent.
  func releaseGroup(
    _ group: Pointer<Group>, released: inout ReleasedDescriptors
  ) -> Pointer<Group> {
    let parent = group.pointee.parent!
    invariant(
      group.pointee.current.load(ordering: .relaxed) == 0, "group: released with charges")
    invariant(group.pointee.shutDownCaches == nil, "group: released with descriptors")
    group.siblingNode.unlink()
    parent.pointee.childGroupCount -= 1
    group.countReleased()
    pointee.registry.groupsReleased += 1
    released.add(group)
    if isLinux410 { queueFreeing(of: parent) }
    return parent
  }

  /// Under the registry lock: the last of the root, its children and its holds ends the root. True if
  /// the root awaits a barrier now: the caller calls `startBarrierBatch` when the lock is free again.
  func shutDownRootIfLast(_ root: Pointer<RootCache>) -> Bool {
    guard root.pointee.childCount == 0, root.cache.state == .shutDown,
      root.pointee.holds.load(ordering: .acquiring) == 0
    else { return false }
    root.cache.allNode.unlink()
    root.rootNode.unlink()
    pointee.registry.rootCount -= 1
    let isTypeSafe = root.pointee.isTypeSafe
    if isTypeSafe { awaitBarrier(root.cache) } else { releaseRoot(root) }
    return isTypeSafe
  }

  /// Under the registry lock.
  private func releaseRoot(_ root: Pointer<RootCache>) {
    pointee.registry.rootCachesReleased += 1
    pointee.registry.rootIndices.free(root.pointee.index)
    let sums = root.pointee.sums
    region.clearCounters(sums)
    Words(at: sums)[0] = UInt64(pointee.freeSums)
    pointee.freeSums = sums
    pointee.rootCaches.cache.free(root.address)
    pointee.lifecycle.rootIsReleased.signal()
  }
}

extension Allocator {
  /// Destroys a root cache and all its children, whatever state they are in: no allocation from it
  /// is served any more, its name can be used again at once, its memory goes back soon. Waits for
  /// no fence and no batch; where it finds live objects it waits for deferred frees under way, a page of
  /// them for each thread, before it refuses. Nobody may use the root while this runs or afterwards; but an allocation in
  /// a group that has begun before, and for which a child is just being built, may, and fails.
  ///
  /// Where others use the root as well (`mergesCaches`), this user only leaves it: O(1), his name is
  /// free, and whatever is live is taken for the others'. A user who leaves twice ends the process,
  /// unless his alias has been given to another one meanwhile.
  ///
  /// O(children), under the registry lock for 64 of them at a time. Objects that
  /// `freeAfterGracePeriod` has are nobody's, and hold it up for no longer than their grace period.
  ///
  /// - Throws: `.cacheBusy(objects:)` with the number of live objects, of the root and all its
  ///   children, and nothing has changed; `.cacheDestroyed` if another thread destroys it.
  package func destroy(_ reference: CacheReference) throws(AllocatorError) {
    let root = reference.root
    guard root.pointee.kind == .user else { fatal("destroy: a cache of the core's own") }
    guard try lockToEnd(reference) else { return }
    end(reference)
  }

  /// Ends a user's share of a root as `destroy`, also while objects are live: then the root ends with
  /// the last of them. Nobody allocates from it any more; its name can be used again at once. O(children).
  /// (Under the rules of Linux 4.10 a cache with live objects stays.)
  package func abandon(_ reference: CacheReference) {
    if state.isLinux410 {
      try? destroy(reference)
      return
    }
    do throws(AllocatorError) {
      guard try !leaveUnlessLast(reference) else { return }
      try lockToEnd(reference, live: 0)
    } catch {
      return
    }
    end(reference)
  }

  /// Under the registry lock, which it gives up: the end of a root with its last user.
  private func end(_ reference: CacheReference) {
    let root = reference.root
    root.pointee.isDestroying = true
    rootGroup.leave(root)
    let isTypeSafe = root.pointee.isTypeSafe
    if state.isLinux410 {
      var released = ReleasedDescriptors()
      state.destroyAsLinux410(root, released: &released)
      state.takeInHand()
      state.pointee.registry.lock.unlock()
      released.free(to: state)
      state.putDown()
      if isTypeSafe { state.finishBarrierBatchAsLinux410() }
      freeAlias(of: reference)
      return
    }
    root.pointee.nextInBatch = state.pointee.lifecycle.rootBatch
    state.pointee.lifecycle.rootBatch = root
    state.notePending()
    state.pointee.registry.lock.unlock()
    freeAlias(of: reference)
    state.kickWorkersOrHelp()
    // What waits to be free is this cache's, perhaps: no gathering.
    if state.hasDeferredFrees { state.kickCallbackWorker(isHurried: true) }
  }

  /// Objects of a root and its children that users have: those out of their slabs less those in
  /// sheaves and those that wait for a grace period to be free.
  package func liveObjects(of root: Pointer<RootCache>) throws(AllocatorError) -> Int {
    // Never too few: an object is counted as deferred before it is on its way, and until it is being
    // freed. So some of a larger number may be in the hand of a callback that frees them.
    guard try countLiveObjects(of: root) > 0 else { return 0 }
    return try state.withoutFreeing { () throws(AllocatorError) in
      try countLiveObjects(of: root)
    }
  }

  private func countLiveObjects(of root: Pointer<RootCache>) throws(AllocatorError) -> Int {
    state.pointee.registry.lock.lock()
    defer { state.pointee.registry.lock.unlock() }
    guard !root.pointee.isDestroying else { throw .cacheDestroyed }
    // The cursor stands on this thread's stack.
    state.takeInHand()
    defer { state.putDown() }
    var live = root.cache.liveObjects
    withCursor(in: root.children) { cursor in
      var visited = 0
      while let node = cursor.advance(in: root.children) {
        let cache = Pointer<Cache>(siblingNode: node)
        // What a discarded group has is nobody's.
        if !(cache.pointee.group?.pointee.isDiscarded ?? false) { live += cache.liveObjects }
        visited += 1
        if visited % 64 == 0 {
          state.pointee.registry.lock.unlock()
          state.pointee.registry.lock.lock()
        }
      }
    }
    return live - root.sum(RootCache.Sum.deferred)
  }
}

extension Pointer where Pointee == Cache {
  /// Objects that users have. Exact when nobody uses the cache. O(CPUs).
  fileprivate var liveObjects: Int {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    return Int(pointee.objectsInUse) - objectsInSheaf
  }
}
