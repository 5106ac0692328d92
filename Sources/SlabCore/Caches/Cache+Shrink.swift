// Giving memory back without waiting for frees: the kernel's `kmem_cache_shrink`, and what a
// refused charge does before it fails.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Drains the sheaf, gives empty slabs back and sorts the first 1,024 of the rest; whether slabs are left.
  /// For somebody who keeps the cache from ending. Waits for a fence, holding no lock. O(empty slabs).
  @discardableResult
  package func shrink() -> Bool {
    let allocator = pointee.allocator
    var batch = SheafBatch()
    pointee.lock.lock()
    batch.add(self)
    pointee.lock.unlock()
    batch.finish(of: allocator, sorting: true)
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    return pointee.objectsInUse > 0
  }
}

extension Pointer where Pointee == Group {
  /// Gives back what the group's own child caches hold without a user: the content of their
  /// sheaves and their empty slabs. A part of reclaim. O(1) if none has got any since the last time; else
  /// O(own caches): takes the registry lock for 16 of them at a time, and waits for a fence for each 16 with
  /// a sheaf, which then are cold again: a tenant that stays at its limit costs the others no fence after
  /// the first.
  func giveBackIdle() {
    let allocator = pointee.allocator
    guard pointee.hasIdle.load(ordering: .relaxed) else { return }
    allocator.pointee.registry.lock.lock()
    // Before the look at the caches: see Group+Reclaimable.swift.
    pointee.hasIdle.store(false, ordering: .relaxed)
    // The cursor stands on this thread's stack.
    allocator.takeInHand()
    withCursor(in: caches) { cursor in
      var isOver = false
      while !isOver {
        var batch = SheafBatch()
        isOver = retireIdle(after: cursor, into: &batch)
        guard batch.count > 0 || !isOver else { break }
        allocator.pointee.registry.lock.unlock()
        let isFenced = batch.finish(of: allocator)
        allocator.pointee.registry.lock.lock()
        if !isFenced { noteIdle() }
      }
    }
    allocator.putDown()
    allocator.pointee.registry.lock.unlock()
  }

  /// Under the registry lock: the next 16 caches of the group's list. True if there are no more.
  private func retireIdle(
    after cursor: Pointer<ListNode>, into batch: inout SheafBatch
  ) -> Bool {
    for _ in 0..<SheafBatch.most {
      guard let node = cursor.advance(in: caches) else { return true }
      let cache = Pointer<Cache>(groupNode: node)
      // Nor have those behind it anything to give.
      if cache.pointee.isInherited { return true }
      pointee.allocator.pointee.registry.reclaimSteps += 1
      cache.pointee.lock.lock()
      // One that is ending gives its slabs back by itself. A retired sheaf is somebody's who is about to
      // empty it.
      if cache.state == .active, cache.hasIdle || !cache.pointee.retiredSheaf.isClosed {
        batch.add(cache)
      }
      cache.pointee.lock.unlock()
    }
    return false
  }
}
