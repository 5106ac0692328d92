// Reparenting (as in Linux 5.3): a group that has ended is released although objects of it
// live on; its child caches and their charges go to its parent.
//
// When: the group is drained, and has no handle and no child group. Whoever finds that, under the
// registry lock, hands it over; nobody waits for it.
//
//   * Drained, so its caches are deactivated: none is on a fence worker's chain, none has a sheaf,
//     and each ends by its last free alone.
//   * Without a handle, since a holder may be in flight with a pointer to a child cache. Descriptors
//     of caches that are shut down stay as long as the handles of *their* group. If caches moved
//     earlier, their descriptors would have to wait for the handles of the parent, which, for the
//     root group, never go: they would pile up. As it is, no handle leads to an inherited cache (it
//     is in no table), and its descriptor is free at once.
//   * Without a child group, which holds the group anyhow: nothing would be gained. So what is
//     charged to the group is charged to its own slabs.
//
// How, in two steps, since a group may have inherited any number of caches:
//
//   1  `handOver`, O(1), under the registry lock and the page lock: the state, the charge, the free
//      units. All bytes are charged to every ancestor already: the group's own counter becomes 0,
//      and no other changes. From then on a slab that goes back is uncharged from the parent
//      (`Cache.charged`), since the group is `reparenting`.
//   2  the worker moves the memberships, a few at a time, and releases the group.
//
// In between a cache is still counted in the group's list, and whoever shuts it down takes it off
// there. The parent cannot go away or be handed over itself: it has a child group.
//
// Type-safe caches that are shut down are on no list; those that await their barrier keep the group,
// `reparented`, and the last of them to be released releases it.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == AllocatorState {
  /// Caches that move while the locks are held once.
  private static var cachesPerPiece: Int { 16 }

  /// Under the registry lock, for a drained group that only its caches hold: the first step. The
  /// caller kicks the workers afterwards, or is one. O(1).
  func handOver(_ group: Pointer<Group>) {
    let parent = group.pointee.parent!
    pointee.pages.lock.lock()
    // Releasing: pairs with the acquiring load in `state`.
    group.pointee.state.store(GroupState.reparenting.rawValue, ordering: .releasing)
    parent.pointee.hasInheritedUnits = true
    for order in 0..<UnitMap.pageOrder {
      pointee.pages.map.join(
        &group.pointee.freeUnits[order], to: &parent.pointee.freeUnits[order])
    }
    // Nobody charges: there is no handle. Nobody uncharges: that takes the page lock.
    group.pointee.current.handOver()
    pointee.pages.lock.unlock()
    parent.pointee.reparentingChildGroupCount += 1
    group.pointee.nextInBatch = pointee.lifecycle.reparentQueue
    pointee.lifecycle.reparentQueue = group
    notePending()
  }

  /// The reparenting worker: the second step for every group that was handed over until now. True if
  /// there was one. Their parents, if they follow, are for the next look: fork waits for this one.
  /// O(caches).
  func runReparentQueue() -> Bool {
    pointee.registry.lock.lock()
    var next = pointee.lifecycle.reparentQueue
    pointee.lifecycle.reparentQueue = nil
    pointee.registry.lock.unlock()
    var count = 0
    while let group = next {
      next = group.pointee.nextInBatch
      moveCaches(of: group)
      count += 1
    }
    noteDone(count)
    return count > 0
  }

  private func moveCaches(of group: Pointer<Group>) {
    var released = ReleasedDescriptors()
    pointee.registry.lock.lock()
    while group.caches.successor(in: group.caches) != nil {
      moveSomeCaches(of: group)
      pointee.registry.lock.unlock()
      pointee.registry.lock.lock()
    }
    // Releasing: pairs with the acquiring load in `state`.
    group.pointee.state.store(GroupState.reparented.rawValue, ordering: .releasing)
    group.pointee.parent!.pointee.reparentingChildGroupCount -= 1
    releaseIfUnused(group, released: &released)
    pointee.registry.lock.unlock()
    released.free(to: self)
  }

  /// Under the registry lock. A cache is whole under the page lock: a slab of it that goes back finds
  /// the group, which stands for its parent, or the parent.
  private func moveSomeCaches(of group: Pointer<Group>) {
    let parent = group.pointee.parent!
    pointee.pages.lock.lock()
    defer { pointee.pages.lock.unlock() }
    var moved: UInt32 = 0
    while moved < Self.cachesPerPiece, let node = group.caches.successor(in: group.caches) {
      let cache = Pointer<Cache>(groupNode: node)
      invariant(
        cache.state == .deactivated || cache.state == .dying, "reparent: a cache that is not over")
      if !cache.pointee.isInherited { pointee.registry.childCachesReparented += 1 }
      cache.pointee.isInherited = true
      cache.pointee.group = parent
      node.unlink()
      parent.caches.insertBefore(node)
      moved += 1
    }
    group.pointee.cacheCount -= moved
    parent.pointee.cacheCount += moved
  }
}
