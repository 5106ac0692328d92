// SPDX-License-Identifier: Apache-2.0
// Reparenting (as in Linux 5.3): a group that has ended is released although objects of it
// live on; its child caches and their charges go to its parent.
//
// When: the group is settled, and has no handle and no child group. The thread that finds that, under
// the registry lock, hands it over; no thread waits for it.
//
//   * Settled, so its caches are deactivated: none is on a fence worker's chain, none has a sheaf,
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
//   1  `handOver` (HandOver.swift), O(1), under the registry lock and the page lock: the state, the charge, the free
//      units. All bytes are charged to every ancestor already: the group's own counter becomes 0,
//      and no other changes. From then on a slab that goes back is uncharged from the parent
//      (`Cache.charged`), since the group is `reparenting`.
//   2  the worker moves the memberships, a few at a time, and releases the group.
//
// In between a cache is still counted in the group's list, and the thread that shuts it down takes it
// off there. The parent cannot go away or be handed over itself: it has a child group.
//
// Type-safe caches that are shut down are on no list; those that await their barrier keep the group,
// `reparented`, and the last of them to be released releases it.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Caches that move while the locks are held once.
  private static var cachesPerPiece: Int { 16 }

  /// The reparenting worker: the second step for every group that was handed over until now. True if
  /// there was one. Their parents, if they follow, are for the next look: fork waits for this one.
  /// O(caches).
  func runReparentQueue() -> Bool {
    let registry = lockRegistry()
    var next = lifecycle.pointee.reparentQueue
    lifecycle.pointee.reparentQueue = nil
    registry.unlock()
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
    var registry = lockRegistry()
    while group.caches.successor(in: group.caches) != nil {
      moveSomeCaches(of: group, under: registry)
      registry.letGo {}
    }
    // Releasing: pairs with the acquiring load in `state`.
    group.pointee.owner.state.store(GroupState.reparented.rawValue, ordering: .releasing)
    group.pointee.parent!.pointee.reparentingChildGroupCount -= 1
    releaseIfUnused(group, released: &released, under: registry)
    registry.unlock()
    released.free(to: endingsState)
  }

  /// A cache is whole under the page lock: a slab of it that goes back finds the group, which stands for its parent,
  /// or the parent.
  private func moveSomeCaches(of group: Pointer<Group>, under registry: borrowing RegistryLocked) {
    let parent = group.pointee.parent!
    let lock = pages.pointee.lock.lock()
    var moved: UInt32 = 0
    while moved < Self.cachesPerPiece, let node = group.caches.successor(in: group.caches) {
      let cache = Pointer<Cache>(groupNode: node)
      invariant(
        cache.state == .deactivated || cache.state == .dying, "reparent: a cache that is not over")
      if !cache.pointee.isInherited { counters.pointee.childCachesReparented += 1 }
      cache.move(to: parent, under: registry, lock)
      node.unlink()
      parent.caches.insertBefore(node)
      moved += 1
    }
    group.pointee.cacheCount -= moved
    parent.pointee.cacheCount += moved
  }
}

extension Pointer where Pointee == Cache {
  /// Both locks: a thread that has one of them may read the group.
  fileprivate func move(
    to parent: Pointer<Group>, under registry: borrowing RegistryLocked,
    _ pages: borrowing PagesLocked
  ) {
    pointee.isInherited = true
    pointee.group = parent
  }
}
