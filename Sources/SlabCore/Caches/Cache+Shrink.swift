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
  /// Gives back what the group's own child caches hold without a user: the content of their
  /// sheaves and their empty slabs. A part of reclaim. O(own caches); takes the registry lock;
  /// a fence for each cache with a sheaf, which then is cold again: a tenant that stays at its
  /// limit costs the others no fence after the first.
  func giveBackIdle() {
    let allocator = pointee.allocator
    allocator.pointee.registry.lock.lock()
    var node = caches.successor(in: caches)
    while let current = node {
      node = current.successor(in: caches)
      let cache = Pointer<Cache>(groupNode: current)
      // Nor have those behind it anything to give.
      if cache.pointee.isInherited { break }
      // One that is ending gives its slabs back by itself.
      if cache.state == .active, cache.hasSomethingToReclaim { cache.shrink() }
    }
    allocator.pointee.registry.lock.unlock()
  }
}

extension Pointer where Pointee == Cache {
  fileprivate var hasSomethingToReclaim: Bool {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    return pointee.emptyCount > 0 || !sheafUnderLock.isClosed
  }
}
