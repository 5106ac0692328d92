// Giving memory back without waiting for frees: `kmem_cache_shrink` (reference e.4), and what a
// refused charge does before it fails.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Drains the sheaf, gives empty slabs back and sorts the rest; whether slabs are left. May wait
  /// for a fence. O(slabs on the partial list).
  @discardableResult
  package func shrink() -> Bool {
    var chain = SlabChain()
    pointee.lock.lock()
    let before = pointee.objectsInUse
    closeSheaf(emptied: &chain)
    detachEmptySlabs(to: &chain)
    sortPartialList()
    countObjects(since: before)
    let remain = pointee.objectsInUse > 0
    pointee.lock.unlock()
    release(chain)
    return remain
  }
}

extension Pointer where Pointee == Group {
  /// Shrinks the child caches of the group and of all groups below it. Under a charge that was
  /// refused it takes the registry lock, which nobody holds while he waits for a charge.
  package func reclaim() {
    let allocator = pointee.allocator
    allocator.pointee.registry.lock.lock()
    reclaimLocked()
    allocator.pointee.registry.lock.unlock()
  }

  private func reclaimLocked() {
    var node = caches.successor(in: caches)
    while let current = node {
      node = current.successor(in: caches)
      let cache = Pointer<Cache>(groupNode: current)
      // One that is ending gives its slabs back by itself.
      if cache.state == .active { cache.shrink() }
    }
    var child = childGroups.successor(in: childGroups)
    while let current = child {
      child = current.successor(in: childGroups)
      Pointer<Group>(siblingNode: current).reclaimLocked()
    }
  }
}
