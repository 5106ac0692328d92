// SPDX-License-Identifier: Apache-2.0
// What a reclaim takes of a group's caches: the content of their sheaves and their empty slabs.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Group {
  /// Gives back what the group's own child caches hold without a user: the content of their
  /// sheaves and their empty slabs. A part of reclaim. O(1) if none has got any since the last time; else
  /// O(own caches): takes the registry lock for 16 of them at a time, and waits for a fence for each 16 with
  /// a sheaf, which then are cold again, and the colder the more often that happens: a tenant that stays at its limit
  /// costs the others few fences. Whether there was something, also in another thread's hand: then a refused charge may fit now.
  @discardableResult
  func giveBackIdle() -> Bool {
    let allocator = pointee.allocator
    guard pointee.owner.hasIdle.load(ordering: .relaxed) else {
      let hasWaited = waitForGivingBack()
      return allocator.waitForIdleReturns() || hasWaited
    }
    var found = false
    var registry = allocator.lockRegistry()
    pointee.givingBack.add(1, ordering: .relaxed)
    // Before the look at the caches: see Group+Reclaimable.swift.
    pointee.owner.hasIdle.store(false, ordering: .relaxed)
    // The cursor stands on this thread's stack.
    allocator.takeInHand(under: registry)
    withCursor(in: caches, under: &registry) { cursor, registry in
      var isOver = false
      while !isOver {
        var batch = SheafBatch()
        isOver = retireIdle(after: cursor, into: &batch, under: registry)
        guard batch.count > 0 || !isOver else { break }
        if batch.count > 0 { found = true }
        var isFenced = true
        registry.letGo { isFenced = batch.finish(of: allocator.cachesState, as: .reclaimed) }
        if !isFenced { noteIdle(under: registry) }
      }
    }
    allocator.putDown()
    registry.unlock()
    // Releasing: pairs with the acquiring load below; what has been given back is uncharged.
    pointee.givingBack.subtract(1, ordering: .releasing)
    return found || allocator.waitForIdleReturns()
  }

  /// What another thread is giving back is not marked as idle any more, but still charged: so a second thread at the
  /// same limit waits for it here, and is not refused. With a bound; holding no lock. Whether there was such a
  /// thread.
  private func waitForGivingBack() -> Bool {
    var looks = 0
    while looks < Self.mostLooks, pointee.givingBack.load(ordering: .acquiring) > 0 {
      looks += 1
      pointee.allocator.pause(afterLooks: looks)
    }
    return looks > 0
  }

  /// About 40 ms.
  private static var mostLooks: Int { 280 }

  /// The next 16 caches of the group's list. True if there are no more.
  private func retireIdle(
    after cursor: Pointer<ListNode>, into batch: inout SheafBatch,
    under registry: borrowing RegistryLocked
  ) -> Bool {
    for _ in 0..<SheafBatch.most {
      guard let node = cursor.advance(in: caches) else { return true }
      let cache = Pointer<Cache>(groupNode: node)
      // Nor have those behind it anything to give.
      if cache.pointee.isInherited { return true }
      pointee.allocator.counters.pointee.reclaimSteps += 1
      let lock = cache.pointee.lock.lock()
      // One that is ending gives its slabs back by itself. A retired sheaf belongs to a thread that is about
      // to empty it.
      if cache.state == .active,
        cache.hasIdle(under: lock) || !cache.pointee.retiredSheaf.isClosed
      {
        batch.add(cache, under: lock)
      }
    }
    return false
  }
}
