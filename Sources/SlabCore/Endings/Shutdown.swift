// SPDX-License-Identifier: Apache-2.0
// The shutdown of a dying cache: it leaves every list, and is released at once (Release.swift) or, if it is
// type-safe, goes onto the barrier batch (BarrierBatch.swift). Its root follows with its last child.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Ends a dying cache: all memberships change together, under the registry lock. A plain cache may
  /// be gone when this returns; a type-safe one awaits a barrier.
  func shutDown(_ cache: Pointer<Cache>) {
    var released = ReleasedDescriptors()
    pausePoint(.beforeShutdown)
    let registry = lockRegistry()
    invariant(cache.state == .dying && cache.pointee.slabCount == 0, "shutdown: cache not empty")
    let root = cache.pointee.root
    let isTypeSafe = root.pointee.isTypeSafe
    cache.moveState(to: .shutDown, under: registry)
    if !cache.isRoot {
      counters.pointee.listSteps += 1
      shutDownChild(cache, released: &released, under: registry)
    }
    // Its barrier is asked for below, as its child's.
    _ = shutDownRootIfLast(root, under: registry)
    registry.unlock()
    released.free(to: endingsState)
    if isTypeSafe { startBarrierBatch() }
  }

  /// Takes a child that is shut down out of every list. The caller looks after its root: `shutDownRootIfLast`.
  func shutDownChild(
    _ cache: Pointer<Cache>, released: inout ReleasedDescriptors,
    under registry: borrowing RegistryLocked
  ) {
    cache.allNode.unlink()
    cache.siblingNode.unlink()
    cache.groupNode.unlink()
    cache.pointee.root.pointee.childCount -= 1
    counters.pointee.childCachesShutDown += 1
    if cache.pointee.root.pointee.isTypeSafe {
      counters.pointee.childCachesAwaitingBarrier += 1
      awaitBarrier(cache, under: registry)
    } else {
      releaseChild(cache, released: &released, under: registry)
    }
  }

  /// The last of the root, its children and its holds ends the root. True if the root awaits a barrier now: the caller
  /// calls `startBarrierBatch` when the lock is free again.
  func shutDownRootIfLast(
    _ root: Pointer<RootCache>, under registry: borrowing RegistryLocked
  ) -> Bool {
    guard root.pointee.childCount == 0, root.cache.state == .shutDown,
      root.pointee.holds.load(ordering: .acquiring) == 0
    else { return false }
    root.cache.allNode.unlink()
    root.rootNode.unlink()
    cachesState.pointee.rootCount -= 1
    let isTypeSafe = root.pointee.isTypeSafe
    if isTypeSafe {
      awaitBarrier(root.cache, under: registry)
    } else {
      releaseRoot(root, under: registry)
    }
    return isTypeSafe
  }
}
