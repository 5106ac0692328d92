// SPDX-License-Identifier: Apache-2.0
// Giving memory back without waiting for frees: the kernel's `kmem_cache_shrink`, and what a
// refused charge does before it fails.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Flushes the sheaf, gives empty slabs back and sorts the first 1,024 of the rest; whether slabs are left.
  /// The caller keeps the cache from ending. Waits for a fence, holding no lock. O(empty slabs).
  @discardableResult
  package func shrink() -> Bool {
    let allocator = pointee.allocator
    var batch = SheafBatch()
    var lock = pointee.lock.lock()
    batch.add(self, under: lock)
    lock.letGo { batch.finish(of: allocator, as: .shrunk, sorting: true) }
    return pointee.objectsInUse > 0
  }
}

extension Pointer where Pointee == RootCache {
  /// `shrink` of the root's own slabs, and of those that groups share. The caller keeps the root from ending.
  package func shrink() {
    cache.shrink()
    // Acquiring: pairs with the releasing store in `link`.
    let shared = pointee.sharedCache.load(ordering: .acquiring)
    // SAFETY: the cache is there as long as its root.
    unsafe Pointer<Cache>(address: shared)?.shrink()
  }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// Gives back what a root and its children hold without a user, of those that a condition picks under
  /// their lock. O(children): the registry lock for 16 of them at a time, and a fence for each 16.
  func giveBackIdle(
    of root: Pointer<RootCache>, where isWanted: (Pointer<Cache>, borrowing CacheLocked) -> Bool
  ) {
    var batch = SheafBatch()
    addIdle(of: root.cache, where: isWanted, to: &batch)
    var registry = lockRegistry()
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    withCursor(in: root.children, under: &registry) { cursor, registry in
      var visited = 0
      while let node = cursor.advance(in: root.children) {
        addIdle(of: Pointer<Cache>(siblingNode: node), where: isWanted, to: &batch)
        visited += 1
        guard visited % SheafBatch.most == 0 || batch.count == SheafBatch.most else { continue }
        registry.letGo { batch.finish(of: cachesState, as: .shrunk) }
      }
    }
    putDown()
    registry.unlock()
    batch.finish(of: cachesState, as: .shrunk)
  }

  private func addIdle(
    of cache: Pointer<Cache>, where isWanted: (Pointer<Cache>, borrowing CacheLocked) -> Bool,
    to batch: inout SheafBatch
  ) {
    let lock = cache.pointee.lock.lock()
    if cache.state == .active, isWanted(cache, lock) { batch.add(cache, under: lock) }
  }
}
