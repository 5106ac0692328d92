// The end of a group as its user sees it. Pointer work under the registry lock, O(depth) however
// many caches the group has and whatever else exists: what must be done per cache, the workers
// do. No fence, no grace period, no barrier, no waiting for a worker (patches 7 and 8).

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Takes a group offline: it allocates no more, frees go on working, its id can be used again at
  /// once, and its memory goes back as its objects are freed. O(depth). Waits for nothing but the
  /// registry lock. The caller's handle stays valid. What objects that outlive it do to the group
  /// is its policy: see `EndingPolicy`.
  ///
  /// - Throws: `.groupHasChildren` while a child group is online, `.groupOffline` if it is offline
  ///   already, `.rootGroup`. Then nothing has changed.
  package func offline(_ group: Pointer<Group>) throws(AllocatorError) {
    guard group.pointee.parent != nil else { throw .rootGroup }
    state.letForkGoFirst()
    if state.isLinux410 { return try offlineAsLinux410(group) }
    state.pointee.registry.lock.lock()
    guard group.isOnline else {
      state.pointee.registry.lock.unlock()
      throw .groupOffline
    }
    guard group.pointee.onlineChildGroupCount == 0 else {
      state.pointee.registry.lock.unlock()
      throw .groupHasChildren
    }
    takeOffline(group)
    state.pointee.registry.lock.unlock()
    state.kickWorkersOrHelp()
  }

  /// Under the registry lock. The state changes first: a creator of a child rechecks it under this
  /// lock, so no child is born afterwards.
  func takeOffline(_ group: Pointer<Group>) {
    invariant(group.pointee.onlineChildGroupCount == 0, "offline: above groups that are online")
    group.beginEnding()
    // Releasing: pairs with the acquiring load in `state`.
    group.pointee.state.store(GroupState.offline.rawValue, ordering: .releasing)
    state.leaveOnlineSiblings(group)
    group.unpublishAll()
    state.pointee.registry.groupIDs.free(Int(group.pointee.id))
    group.pointee.nextInBatch = state.pointee.lifecycle.offlineBatch
    state.pointee.lifecycle.offlineBatch = group
    state.notePending()
    state.pointee.registry.listSteps += 1
    state.pointee.registry.groupsOfflined += 1
  }

  /// One handle more on a group, by somebody who has one.
  package func retain(_ group: Pointer<Group>) {
    // Relaxed: the caller's own handle keeps the group; the order is made when handles are given back.
    group.pointee.handles.add(1, ordering: .relaxed)
  }

  /// Gives a handle back. With the last one an online group goes offline (it must not have child
  /// groups that are online), and nobody can allocate in the group any more. O(1), or O(depth +
  /// caches that are shut down) with the last one; takes the registry lock then, and the page lock
  /// for a moment if the group's charges go to its parent.
  package func release(_ group: Pointer<Group>) {
    guard group.pointee.parent != nil else { fatal("release: the root group") }
    var handles = group.pointee.handles.load(ordering: .relaxed)
    while handles > 1 {
      // Acquiring and releasing: what other holders did with the descriptors comes before what the
      // last one's successor does.
      let (done, now) = group.pointee.handles.compareExchange(
        expected: handles, desired: handles - 1, ordering: .acquiringAndReleasing)
      if done { return }
      handles = now
    }
    state.letForkGoFirst()
    pausePoint(.beforeLastHandle)
    if state.isLinux410 { return releaseLastAsLinux410(group) }
    // The last one is given back under the lock: a worker that saw none would release the group
    // under us.
    state.pointee.registry.lock.lock()
    let left = group.pointee.handles.subtract(1, ordering: .acquiringAndReleasing).newValue
    guard left >= 0 else { fatal("release: more handles than there were") }
    guard left == 0 else {
      // Somebody retained it meanwhile.
      state.pointee.registry.lock.unlock()
      return
    }
    let wasOnline = group.isOnline
    if wasOnline {
      guard group.pointee.onlineChildGroupCount == 0 else {
        fatal("release: child groups are online")
      }
      takeOffline(group)
    }
    var released = ReleasedDescriptors()
    state.releaseShutDownCaches(of: group, released: &released)
    state.releaseIfUnused(group, released: &released)
    let hasWork = wasOnline || state.pointee.lifecycle.reparentQueue != nil
    // The descriptors outlive the lock in this thread's hand.
    state.takeInHand()
    state.pointee.registry.lock.unlock()
    pausePoint(.beforeFreeingDescriptors)
    released.free(to: state)
    state.putDown()
    if hasWork { state.kickWorkersOrHelp() }
  }
}
