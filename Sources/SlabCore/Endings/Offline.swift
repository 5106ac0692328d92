// SPDX-License-Identifier: Apache-2.0
// The end of a group as its user sees it. Pointer work under the registry lock, O(depth) however
// many caches the group has and whatever else exists: what must be done per cache, the workers
// do. No fence, no grace period, no barrier, no waiting for a worker (patches 7 and 8).
//
// The group goes onto the offline batch, which is the fence worker's (FenceBatch.swift). With its last handle it may
// be released at once (Release.swift).

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// The table is emptied first: what a thread has found without this lock serves until then, and refuses from the new state
  /// on. A thread that finds the table empty waits for this lock and then rechecks the state, so no child is born afterwards.
  func takeOffline(_ group: Pointer<Group>, under registry: borrowing RegistryLocked) {
    invariant(group.pointee.onlineChildGroupCount == 0, "offline: above groups that are online")
    group.beginEnding(under: registry)
    group.unpublishAll(under: registry)
    pausePoint(.beforeGoingOffline)
    // Releasing: pairs with the acquiring load in `state`; a thread that sees it also sees the empty table.
    group.pointee.owner.state.store(GroupState.offline.rawValue, ordering: .releasing)
    group.emptyMallocChildren()
    group.leaveOnlineSiblings(under: registry)
    endStocks(of: group, under: registry)
    groupsState.pointee.tables.ids.free(Int(group.pointee.id))
    group.pointee.nextInBatch = lifecycle.pointee.offlineBatch
    lifecycle.pointee.offlineBatch = group
    notePending()
    counters.pointee.listSteps += 1
    counters.pointee.groupsOfflined += 1
  }

  /// Gives a handle back. With the last one an online group goes offline (it must not have child
  /// groups that are online), and no thread can allocate in the group any more. O(1), or O(depth +
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
    letForkGoFirst()
    pausePoint(.beforeLastHandle)
    rules.pointee.releaseLast(group.address)
  }

  /// `release` of what was the last handle a moment ago.
  func releaseLast(_ group: Pointer<Group>) {
    // The last one is given back under the lock: a worker that saw none would release the group
    // under us.
    let registry = lockRegistry()
    let left = group.pointee.handles.subtract(1, ordering: .acquiringAndReleasing).newValue
    guard left >= 0 else { fatal("release: more handles than there were") }
    // Otherwise another thread has retained it meanwhile.
    guard left == 0 else { return }
    let wasOnline = group.isOnline
    if wasOnline {
      guard group.pointee.onlineChildGroupCount == 0 else {
        fatal("release: child groups are online")
      }
      takeOffline(group, under: registry)
    }
    var released = ReleasedDescriptors()
    releaseShutDownCaches(of: group, released: &released, under: registry)
    releaseIfUnused(group, released: &released, under: registry)
    let hasWork = wasOnline || lifecycle.pointee.reparentQueue != nil
    // The descriptors outlive the lock in this thread's hand.
    takeInHand(under: registry)
    registry.unlock()
    pausePoint(.beforeFreeingDescriptors)
    released.free(to: endingsState)
    putDown()
    if hasWork { kickWorkersOrHelp() }
  }
}
