// Endings as Linux 4.10 did them (mm/slab_common.c there), on this core, to be measured beside the present ones.
// What made them slow: walks of the one list of all caches, a synchronous fence
// per group, and locks that are held all the while.
//
//   offline(group)  [group lock]                          cgroup_mutex
//      1  [registry lock]  walk all caches; for each root with a child of this group: limits to 0
//      2                   one fence, synchronous
//      3  [registry lock]  walk all caches again; drain and shrink those children, clear the entries
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

extension Pointer where Pointee == AllocatorState {
  /// Under the registry lock: visits every cache, as 4.10 had to, and counts the steps.
  func walkAllCaches(_ body: (Pointer<Cache>) -> Void) {
    var steps = 0
    forEachCache { cache in
      steps += 1
      body(cache)
    }
    pointee.registry.listSteps += steps
  }

  /// The lock that every operation on groups takes first: cgroup_mutex.
  func lockGroups() {
    if isLinux410 { pointee.lifecycle.groupLock.lock() }
  }

  func unlockGroups() {
    if isLinux410 { pointee.lifecycle.groupLock.unlock() }
  }

  /// Under the registry lock: an id has been taken. Where the roots' arrays of children were too
  /// short for it, every root had to be found. (The arrays themselves are not built: groups have
  /// tables here.)
  func growChildArrays(toHold id: Int) {
    guard isLinux410, id >= pointee.registry.childArraySize else { return }
    walkAllCaches { _ in }
    // The kernel had no more than 65,535 ids; this goes on.
    pointee.registry.childArraySize = Swift.max(4, 2 * (id + 1))
  }
}

extension Allocator {
  /// Under the registry lock, when a root is made: 4.10 looked through all caches for one to merge
  /// with. Here that search finds the name.
  func hasRootAsLinux410(named name: CacheName) -> Bool {
    var isFound = false
    state.walkAllCaches { cache in
      guard cache.isRoot, !cache.pointee.root.pointee.isDestroying else { return }
      if cache.pointee.root.hasUser(named: name) { isFound = true }
    }
    return isFound
  }
}

// MARK: - Offline

extension Allocator {
  /// `offline` under the rules of 4.10. O(all caches); waits for a fence under the group lock.
  func offlineAsLinux410(_ group: Pointer<Group>) throws(AllocatorError) {
    state.lockGroups()
    defer { state.unlockGroups() }
    state.pointee.registry.lock.lock()
    guard group.isOnline else {
      state.pointee.registry.lock.unlock()
      throw .groupOffline
    }
    guard group.pointee.onlineChildGroupCount == 0 else {
      state.pointee.registry.lock.unlock()
      throw .groupHasChildren
    }
    // The state first: a creator of a child rechecks it under the registry lock.
    // Releasing: pairs with the acquiring load in `state`.
    group.pointee.state.store(GroupState.offline.rawValue, ordering: .releasing)
    state.leaveOnlineSiblings(group)
    state.walkAllCaches { cache in
      guard cache.isRoot, let child = group.child(of: cache.pointee.root) else { return }
      _ = child.beginDeactivation()
    }
    state.pointee.registry.lock.unlock()

    // Always, and for this group alone.
    state.pointee.lifecycle.fenceBatches.add(1, ordering: .relaxed)
    state.waitForFence()

    state.pointee.registry.lock.lock()
    state.walkAllCaches { cache in
      guard cache.isRoot, let child = group.child(of: cache.pointee.root) else { return }
      child.finishDeactivationAsLinux410()
    }
    group.unpublishAll()
    state.pointee.registry.groupIDs.free(Int(group.pointee.id))
    state.pointee.registry.groupsOfflined += 1
    state.pointee.registry.lock.unlock()
  }

  /// Gives the last reference back, or one that was the last a moment ago. A group that is online
  /// goes offline first, which takes a reference as long as it lasts.
  func releaseLastAsLinux410(_ group: Pointer<Group>) {
    state.pointee.registry.lock.lock()
    var left = group.pointee.handles.subtract(1, ordering: .acquiringAndReleasing).newValue
    guard left >= 0 else { fatal("release: more handles than there were") }
    if left == 0, group.isOnline {
      guard group.pointee.onlineChildGroupCount == 0 else {
        fatal("release: child groups are online")
      }
      // Relaxed: under the lock; nobody else has a handle.
      group.pointee.handles.add(1, ordering: .relaxed)
      state.pointee.registry.lock.unlock()
      // It is online and has no online child, and nobody else can change that.
      try? offlineAsLinux410(group)
      state.pointee.registry.lock.lock()
      left = group.pointee.handles.subtract(1, ordering: .acquiringAndReleasing).newValue
    }
    guard left == 0 else {
      state.pointee.registry.lock.unlock()
      return
    }
    var released = ReleasedDescriptors()
    state.releaseShutDownCaches(of: group, released: &released)
    state.queueFreeing(of: group)
    // The descriptors outlive the lock in this thread's hand.
    state.takeInHand()
    state.pointee.registry.lock.unlock()
    released.free(to: state)
    state.putDown()
    state.kickWorkers()
  }
}

extension Pointer where Pointee == Cache {
  /// After the fence, under the registry lock: the shrink of 4.10.
  fileprivate func finishDeactivationAsLinux410() {
    var slabs = SlabChain()
    pointee.lock.lock()
    // A destroy of the root may have been here between the two walks.
    guard state == .deactivating else {
      pointee.lock.unlock()
      return
    }
    // Under the lock, before anybody can give the last slab back, which in `release` would be the
    // group's last reference: but whoever takes it offline has one.
    if !finishDeactivation(emptied: &slabs) {
      Allocator(state: pointee.allocator).retain(pointee.group!)
    }
    pointee.lock.unlock()
    release(slabs)
  }
}

// MARK: - Freeing

extension Pointer where Pointee == AllocatorState {
  /// Under the registry lock: puts a group that nothing holds any more on the queue. Whatever comes
  /// last, its references, its place on the stack of changed groups or its child groups, calls this.
  func queueFreeing(of group: Pointer<Group>) {
    guard group.state == .offline, group.pointee.handles.load(ordering: .acquiring) == 0,
      group.pointee.changeHolds.load(ordering: .relaxed) == 0, group.pointee.childGroupCount == 0
    else { return }
    group.pointee.nextInBatch = pointee.lifecycle.groupsToFree
    pointee.lifecycle.groupsToFree = group
    notePending()
  }

  /// The destroy worker: frees the groups on the queue, one after the other. True if there was one.
  func runGroupFreeing() -> Bool {
    guard isLinux410, pointee.lifecycle.batchLock.tryLock() else { return false }
    defer { pointee.lifecycle.batchLock.unlock() }
    var count = 0
    while freeNextGroup() { count += 1 }
    return count > 0
  }

  private func freeNextGroup() -> Bool {
    var released = ReleasedDescriptors()
    var hasTypeSafe = false
    pointee.registry.lock.lock()
    guard let group = pointee.lifecycle.groupsToFree else {
      pointee.registry.lock.unlock()
      return false
    }
    pointee.lifecycle.groupsToFree = group.pointee.nextInBatch
    // Chained first: the last child of a root that is destroyed takes the root along, and the walk may
    // stand before it.
    var next: Pointer<Cache>?
    walkAllCaches { cache in
      guard cache.pointee.group == group else { return }
      cache.pointee.nextInChain = next
      next = cache
    }
    while let cache = next {
      next = cache.pointee.nextInChain
      invariant(cache.state == .dying && cache.pointee.slabCount == 0, "shutdown: cache not empty")
      let root = cache.pointee.root
      hasTypeSafe = hasTypeSafe || root.pointee.isTypeSafe
      cache.moveState(to: .shutDown)
      shutDownChild(cache, released: &released)
      _ = shutDownRootIfLast(root)
    }
    // Releasing: pairs with the acquiring load in `state`.
    group.pointee.state.store(GroupState.drained.rawValue, ordering: .releasing)
    releaseIfUnused(group, released: &released)
    pointee.registry.lock.unlock()
    if hasTypeSafe { finishBarrierBatchAsLinux410() }
    released.free(to: self)
    noteDone(1)
    return true
  }
}

extension Pointer where Pointee == AllocatorState {
  /// Waits for one barrier and releases the type-safe caches that were just shut down.
  func finishBarrierBatchAsLinux410() {
    startBarrierBatch()
    waitForBarrier(requestBarrier())
    _ = runBarrierBatch()
  }
}

// MARK: - Destroy

extension Pointer where Pointee == AllocatorState {
  /// Under the registry lock: shuts a root that is destroyed and has no live objects down, and its
  /// children: first those that it would find in its array, then the rest. O(array + children),
  /// with a fence for each cache with a sheaf.
  func destroyAsLinux410(
    _ root: Pointer<RootCache>, released: inout ReleasedDescriptors
  ) {
    for entry in 0..<pointee.registry.childArraySize {
      pointee.registry.listSteps += 1
      guard let group = pointee.registry.groupIDs.group(entry + 1),
        let child = group.child(of: root)
      else { continue }
      shutDownNow(child, released: &released)
    }
    var node = root.children.successor(in: root.children)
    while let current = node {
      node = current.successor(in: root.children)
      pointee.registry.listSteps += 1
      shutDownNow(Pointer<Cache>(siblingNode: current), released: &released)
    }
    // Otherwise the free that is under way puts it on the destroy queue.
    guard root.cache.endNow() else { return }
    root.cache.moveState(to: .shutDown)
    _ = shutDownRootIfLast(root)
  }

  private func shutDownNow(_ cache: Pointer<Cache>, released: inout ReleasedDescriptors) {
    if let group = cache.pointee.group, group.pointee.tableAtOffline == 0 {
      group.unpublish(cache)
    }
    // Otherwise it ends with its group, and the root after it.
    guard cache.endNow() else { return }
    let root = cache.pointee.root
    cache.moveState(to: .shutDown)
    shutDownChild(cache, released: &released)
    _ = shutDownRootIfLast(root)
  }
}

extension Pointer where Pointee == Cache {
  /// Under the registry lock: from whatever state to dying. False if a free is still under way, and
  /// has slabs of the cache in hand; there are no live objects.
  fileprivate func endNow() -> Bool {
    let allocator = pointee.allocator
    if beginDeactivation() || state == .deactivating {
      if !pointee.retiredSheaf.isClosed {
        allocator.waitForFence(counted: false)
        allocator.pointee.sheafFences.add(1, ordering: .relaxed)
      }
      var slabs = SlabChain()
      pointee.lock.lock()
      // Still deactivating: giving the last slab back must not end the cache a second time.
      drainAndDetach(emptied: &slabs)
      pointee.lock.unlock()
      release(slabs)
      pointee.lock.lock()
      moveState(to: .deactivated)
      if !becomesDyingIfEmpty(), let group = pointee.group {
        Allocator(state: allocator).retain(group)
      }
      pointee.lock.unlock()
    }
    return state == .dying
  }
}
