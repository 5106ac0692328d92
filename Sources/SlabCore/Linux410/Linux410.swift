// SPDX-License-Identifier: Apache-2.0
// Endings as Linux 4.10 did them (mm/slab_common.c there), on this core, to be measured beside the present ones.
// What made them slow: walks of the one list of all caches, a synchronous fence
// per group, and locks that are held all the while.
//
//   offline(group)  [group lock]                          cgroup_mutex
//      1  [registry lock]  walk all caches; for each root with a child of this group: limits to 0
//      2                   one fence, synchronous
//      3  [registry lock]  walk all caches again; flush and shrink those children, clear the entries
//   last reference of an offline group: onto the queue of groups to free
//   destroy worker, one group after the other
//      4  [registry lock]  walk all caches; shut down every one that is this group's
//
// A group's references are its handles. Besides users', each of its caches that was deactivated with
// slabs has one, until its last slab is back: the charges of 4.10, which held the css. So a cache
// does not end before its group does.
//
// docs/old-and-new.md goes through the reference row by row.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasLinux410 & ~Copyable {
  /// An id has been taken. Where the roots' arrays of children were too short for it, every root had to be found. (The
  /// arrays themselves are not built: groups have tables here.)
  func growChildArrays(toHold id: Int, under registry: borrowing RegistryLocked) {
    guard id >= linux410.pointee.childArraySize else { return }
    walkAllCaches(under: registry) { _ in }
    // The kernel had no more than 65,535 ids; this goes on.
    linux410.pointee.childArraySize = Swift.max(4, 2 * (id + 1))
  }

  /// Whether a user has this name. That kernel looked through all caches for one to merge with.
  func hasUserAsLinux410(named name: CacheName, under registry: borrowing RegistryLocked) -> Bool {
    var isFound = false
    walkAllCaches(under: registry) { cache in
      guard cache.isRoot, !cache.pointee.root.pointee.isDestroying else { return }
      if cache.pointee.root.hasUser(named: name, under: registry) { isFound = true }
    }
    return isFound
  }

  /// Visits every cache, and counts the steps.
  private func walkAllCaches(
    under registry: borrowing RegistryLocked, _ body: (Pointer<Cache>) -> Void
  ) {
    var steps = 0
    forEachCache(under: registry) { cache in
      steps += 1
      body(cache)
    }
    counters.pointee.listSteps += steps
  }
}

// MARK: - Ends of groups

extension Pointer where Pointee: HasLinux410 & ~Copyable {
  /// Takes one group offline. O(all caches); waits for a fence under the group lock.
  private func offlineAsLinux410(_ group: Pointer<Group>) throws(AllocatorError) {
    lockGroups()
    defer { unlockGroups() }
    var registry = lockRegistry()
    guard group.isOnline else { throw .groupOffline }
    guard group.pointee.onlineChildGroupCount == 0 else { throw .groupHasChildren }
    // The state first: a creator of a child rechecks it under the registry lock.
    // Releasing: pairs with the acquiring load in `state`.
    group.pointee.owner.state.store(GroupState.offline.rawValue, ordering: .releasing)
    group.leaveOnlineSiblings(under: registry)
    walkAllCaches(under: registry) { cache in
      guard cache.isRoot, let child = group.child(of: cache.pointee.root) else { return }
      _ = child.beginDeactivation()
    }
    registry.letGo {
      // Always, and for this group alone.
      counters.pointee.fenceBatches += 1
      waitForFence()
      counters.pointee.fences += 1
    }
    walkAllCaches(under: registry) { cache in
      guard cache.isRoot, let child = group.child(of: cache.pointee.root) else { return }
      child.finishDeactivationAsLinux410(under: registry)
    }
    group.unpublishAll(under: registry)
    group.emptyMallocChildren()
    groupsState.pointee.tables.ids.free(Int(group.pointee.id))
    counters.pointee.groupsOfflined += 1
  }

  /// As `close`: a fence for each group.
  func closeAsLinux410(_ group: Pointer<Group>) throws(AllocatorError) {
    forEachChild(of: group) { child in
      try? closeAsLinux410(child)
      release(child)
    }
    try offlineAsLinux410(group)
  }

  /// Gives the last reference back, or one that was the last a moment ago. A group that is online
  /// goes offline first, which takes a reference as long as it lasts.
  func releaseLastAsLinux410(_ group: Pointer<Group>) {
    var registry = lockRegistry()
    var left = group.pointee.handles.subtract(1, ordering: .acquiringAndReleasing).newValue
    guard left >= 0 else { fatal("release: more handles than there were") }
    if left == 0, group.isOnline {
      guard group.pointee.onlineChildGroupCount == 0 else {
        fatal("release: child groups are online")
      }
      // Relaxed: under the lock, and no other thread has a handle.
      group.pointee.handles.add(1, ordering: .relaxed)
      // It is online and has no online child, and no other thread can change that.
      registry.letGo { try? offlineAsLinux410(group) }
      left = group.pointee.handles.subtract(1, ordering: .acquiringAndReleasing).newValue
    }
    guard left == 0 else { return }
    var released = ReleasedDescriptors()
    releaseShutDownCaches(of: group, released: &released, under: registry)
    queueFreeing(of: group, under: registry)
    // The descriptors outlive the lock in this thread's hand.
    takeInHand(under: registry)
    registry.unlock()
    released.free(to: endingsState)
    putDown()
    kickWorkers()
  }
}

extension Pointer where Pointee == Cache {
  /// After the fence: the shrink of 4.10.
  fileprivate func finishDeactivationAsLinux410(under registry: borrowing RegistryLocked) {
    var slabs = SlabChain()
    var lock = pointee.lock.lock()
    // A destroy of the root may have been here between the two walks.
    guard state == .deactivating else { return }
    if pointee.barn != nil { lock.letGo { endBarn() } }
    // Before another thread can give the last slab back, which in `release` would be the group's last reference; but
    // the thread that takes it offline has one.
    if !finishDeactivation(emptied: &slabs, under: lock) {
      Pointer<GroupsState>(seenAs: pointee.allocator).retain(pointee.group!)
    }
    lock.unlock()
    release(slabs)
  }
}

// MARK: - Freeing

extension Pointer where Pointee: HasLinux410 & ~Copyable {
  /// Puts a group that nothing holds any more on the queue. Whatever comes last, its references, its place on the
  /// stack of changed groups or its child groups, calls this.
  func queueFreeing(of group: Pointer<Group>, under registry: borrowing RegistryLocked) {
    guard group.state == .offline, group.pointee.handles.load(ordering: .acquiring) == 0,
      group.pointee.changeHolds.load(ordering: .relaxed) == 0, group.pointee.childGroupCount == 0
    else { return }
    group.pointee.nextInBatch = linux410.pointee.groupsToFree
    linux410.pointee.groupsToFree = group
    notePending()
  }

  /// The destroy worker: frees the groups on the queue, one after the other. True if there was one.
  func runGroupFreeing() -> Bool {
    guard let lock = lifecycle.pointee.batchLock.tryLock() else { return false }
    var count = 0
    while freeNextGroup(under: lock) { count += 1 }
    return count > 0
  }

  private func freeNextGroup(under batch: borrowing BatchLocked) -> Bool {
    var released = ReleasedDescriptors()
    var hasTypeSafe = false
    let registry = lockRegistry()
    guard let group = linux410.pointee.groupsToFree else { return false }
    linux410.pointee.groupsToFree = group.pointee.nextInBatch
    // Chained first: the last child of a root that is destroyed takes the root along, and the walk may
    // stand before it.
    var next: Pointer<Cache>?
    walkAllCaches(under: registry) { cache in
      guard cache.pointee.group == group else { return }
      cache.pointee.nextInChain = next
      next = cache
    }
    while let cache = next {
      next = cache.pointee.nextInChain
      invariant(cache.state == .dying && cache.pointee.slabCount == 0, "shutdown: cache not empty")
      let root = cache.pointee.root
      hasTypeSafe = hasTypeSafe || root.pointee.isTypeSafe
      cache.moveState(to: .shutDown, under: registry)
      shutDownChild(cache, released: &released, under: registry)
      _ = shutDownRootIfLast(root, under: registry)
    }
    // Releasing: pairs with the acquiring load in `state`.
    group.pointee.owner.state.store(GroupState.settled.rawValue, ordering: .releasing)
    releaseIfUnused(group, released: &released, under: registry)
    registry.unlock()
    if hasTypeSafe { finishBarrierBatchAsLinux410() }
    released.free(to: endingsState)
    noteDone(1)
    return true
  }
}

extension Pointer where Pointee: HasLinux410 & ~Copyable {
  /// Waits for one barrier and releases the type-safe caches that were just shut down.
  private func finishBarrierBatchAsLinux410() {
    startBarrierBatch()
    waitForBarrier(requestBarrier())
    _ = runBarrierBatch()
  }

  /// Waits for a fence, until it works.
  func waitForFence() {
    while true {
      do { return try fence() } catch {
        checkFence()
        pauseWorker(nanoseconds: 1_000_000)
      }
    }
  }
}

// MARK: - Destroy

extension Pointer where Pointee: HasLinux410 & ~Copyable {
  /// Ends a root that no user has any more. Lets go of the lock.
  func endRootAsLinux410(_ root: Pointer<RootCache>, under registry: consuming RegistryLocked) {
    let isTypeSafe = root.pointee.isTypeSafe
    var released = ReleasedDescriptors()
    destroyAsLinux410(root, released: &released, under: registry)
    // The descriptors outlive the lock in this thread's hand.
    takeInHand(under: registry)
    registry.unlock()
    released.free(to: endingsState)
    putDown()
    if isTypeSafe { finishBarrierBatchAsLinux410() }
  }

  /// A dying child ends with its group, on which it gives back its reference; a root as elsewhere.
  func isDyingAsLinux410(_ cache: Pointer<Cache>) {
    guard let group = cache.pointee.group else { return enqueueDying(cache) }
    release(group)
  }

  /// Shuts a root that is destroyed and has no live objects down, and its children: first those that it would find in
  /// its array, then the rest. O(array + children), with a fence for each cache with a sheaf.
  private func destroyAsLinux410(
    _ root: Pointer<RootCache>, released: inout ReleasedDescriptors,
    under registry: borrowing RegistryLocked
  ) {
    for entry in 0..<linux410.pointee.childArraySize {
      counters.pointee.listSteps += 1
      guard let group = groupWithID(entry + 1, under: registry),
        let child = group.child(of: root)
      else { continue }
      shutDownNow(child, released: &released, under: registry)
    }
    var node = root.children.successor(in: root.children)
    while let current = node {
      node = current.successor(in: root.children)
      counters.pointee.listSteps += 1
      shutDownNow(
        Pointer<Cache>(siblingNode: current), released: &released, under: registry)
    }
    // Otherwise the free that is under way puts it on the destroy queue.
    guard root.cache.endNow(under: registry) else { return }
    root.cache.moveState(to: .shutDown, under: registry)
    _ = shutDownRootIfLast(root, under: registry)
  }

  private func shutDownNow(
    _ cache: Pointer<Cache>, released: inout ReleasedDescriptors,
    under registry: borrowing RegistryLocked
  ) {
    if let group = cache.pointee.group, group.pointee.tableAtOffline == 0 {
      group.unpublish(cache, under: registry)
    }
    // Otherwise it ends with its group, and the root after it.
    guard cache.endNow(under: registry) else { return }
    let root = cache.pointee.root
    cache.moveState(to: .shutDown, under: registry)
    shutDownChild(cache, released: &released, under: registry)
    _ = shutDownRootIfLast(root, under: registry)
  }
}

extension Pointer where Pointee == Cache {
  /// From whatever state to dying. False if a free is still under way, and has slabs of the cache in hand; there are no
  /// live objects.
  fileprivate func endNow(under registry: borrowing RegistryLocked) -> Bool {
    let allocator = Pointer<Linux410State>(seenAs: pointee.allocator)
    if beginDeactivation() || state == .deactivating {
      if !pointee.retiredSheaf.isClosed {
        allocator.waitForFence()
        allocator.counters.pointee.sheafFences += 1
      }
      var slabs = SlabChain()
      var lock = pointee.lock.lock()
      if pointee.barn != nil { lock.letGo { endBarn() } }
      // Still deactivating: giving the last slab back must not end the cache a second time.
      flushAndDetach(emptied: &slabs, under: lock)
      lock.letGo { release(slabs) }
      moveState(to: .deactivated, under: lock)
      if !becomesDyingIfEmpty(under: lock), let group = pointee.group {
        allocator.retain(group)
      }
    }
    return state == .dying
  }
}
