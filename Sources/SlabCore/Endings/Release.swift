// SPDX-License-Identifier: Apache-2.0
// The last step: descriptors of caches and groups that nothing refers to, from the registry lock, under which that is
// found, to ReleasedDescriptors.swift. A group that only its caches hold goes on to HandOver.swift.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// When the barrier is over: the release of a type-safe cache.
  func releaseAfterBarrier(_ cache: Pointer<Cache>) {
    var released = ReleasedDescriptors()
    let registry = lockRegistry()
    invariant(cache.state == .awaitingBarrier, "release: a cache that awaits no barrier")
    if cache.isRoot {
      releaseRoot(cache.pointee.root, under: registry)
    } else {
      counters.pointee.childCachesAwaitingBarrier -= 1
      releaseChild(cache, released: &released, under: registry)
    }
    registry.unlock()
    released.free(to: endingsState)
  }

  /// A child that nothing refers to but, perhaps, holders of its group.
  func releaseChild(
    _ cache: Pointer<Cache>, released: inout ReleasedDescriptors,
    under registry: borrowing RegistryLocked
  ) {
    let group = cache.pointee.group!
    group.pointee.cacheCount -= 1
    // An inherited cache is in no table: no handle leads to it.
    if cache.pointee.isInherited || isLetGoByHolders(group, under: registry) {
      counters.pointee.childCachesReleased += 1
      released.add(cache)
      // Of a shared cache: those that a thread was about to use when they ended.
      if cache.pointee.kind == .shared {
        releaseShutDownCaches(of: group, released: &released, under: registry)
      }
      releaseIfUnused(group, released: &released, under: registry)
    } else {
      // A holder of a handle may be about to lock it, to find that it is not active.
      cache.pointee.nextInChain = group.pointee.shutDownCaches
      group.pointee.shutDownCaches = cache
    }
  }

  /// Whether no thread can be about to use a cache of the group. Of the shared ones a thread may be that makes one.
  private func isLetGoByHolders(
    _ group: Pointer<Group>, under registry: borrowing RegistryLocked
  ) -> Bool {
    guard group != shared.pointee.group else {
      return shared.pointee.makers.load(ordering: .acquiring) == 0
    }
    return group.pointee.handles.load(ordering: .acquiring) == 0
  }

  /// The descriptors that the last handle kept.
  func releaseShutDownCaches(
    of group: Pointer<Group>, released: inout ReleasedDescriptors,
    under registry: borrowing RegistryLocked
  ) {
    while let cache = group.pointee.shutDownCaches {
      group.pointee.shutDownCaches = cache.pointee.nextInChain
      counters.pointee.childCachesReleased += 1
      released.add(cache)
    }
  }

  /// Releases a group that nothing holds any more, and then perhaps its parent. One that only its caches hold goes to
  /// the reparenting worker, if that is its policy.
  func releaseIfUnused(
    _ group: Pointer<Group>, released: inout ReleasedDescriptors,
    under registry: borrowing RegistryLocked
  ) {
    var candidate: Pointer<Group>? = group
    while let unused = candidate, unused.pointee.parent != nil, !unused.pointee.isDiscarding,
      unused.state == .settled || unused.state == .reparented,
      unused.pointee.handles.load(ordering: .acquiring) == 0,
      unused.pointee.childGroupCount == 0
    {
      guard unused.pointee.cacheCount == 0 else {
        if unused.state == .settled, unused.pointee.endings == .reparent {
          handOver(unused, under: registry)
        }
        return
      }
      // Relaxed: `noteChange` has come before the end of what kept the group, which this lock has seen.
      guard unused.pointee.changeHolds.load(ordering: .relaxed) == 0,
        letGoOfPayer(of: unused, under: registry)
      else { return }
      candidate = releaseGroup(unused, released: &released, under: registry)
    }
  }

  /// Takes a group that nothing holds out of the tree. Its parent.
  private func releaseGroup(
    _ group: Pointer<Group>, released: inout ReleasedDescriptors,
    under registry: borrowing RegistryLocked
  ) -> Pointer<Group> {
    let parent = group.pointee.parent!
    invariant(
      group.pointee.current.load(ordering: .relaxed) == 0, "group: released with charges")
    invariant(group.pointee.shutDownCaches == nil, "group: released with descriptors")
    group.siblingNode.unlink()
    parent.pointee.childGroupCount -= 1
    group.countReleased(under: registry)
    counters.pointee.groupsReleased += 1
    released.add(group)
    isLetGo(parent, under: registry)
    return parent
  }

  /// A root that is out of every list.
  func releaseRoot(_ root: Pointer<RootCache>, under registry: borrowing RegistryLocked) {
    counters.pointee.rootCachesReleased += 1
    cachesState.pointee.tables.indices.free(root.pointee.index)
    let sums = root.pointee.sums
    region.clearCounters(sums)
    Words(at: sums)[0] = UInt64(cachesState.pointee.freeSums)
    cachesState.pointee.freeSums = sums
    cachesState.pointee.rootCaches.cache.free(root.address)
    lifecycle.pointee.rootIsReleased.signal()
  }
}
