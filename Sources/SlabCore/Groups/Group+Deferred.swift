// What waits for a grace period to be free, counted at its group and at all above it: objects that were
// freed so, and slabs of type-safe caches. A charge that is refused waits for them only if some are at or
// below the group that refused it; whatever other tenants have deferred gives it no room.
//
// An object is counted when it leaves the sheaf of deferred frees, and until it is free: the fast path counts
// nothing for its group. So whoever looks flushes that sheaf first.
//
// When a group is reparented nothing is counted anew: its parent and all above that count what it has already.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// For somebody who keeps the cache by an object or a slab of it, or by a pin: so many more of its objects
  /// or slabs await a grace period, or fewer. O(depth). Takes the cache's lock, or the registry lock if the
  /// cache has ended. (Not under the rules of Linux 4.10, which hold that lock where slabs go back.)
  func countAwaiting(_ delta: Int) {
    let allocator = pointee.allocator
    guard !isRoot, !allocator.isLinux410 else { return }
    pointee.lock.lock()
    let isActive = state == .active
    // The group of an active cache cannot be released while the lock is held: the cache ends first.
    if isActive { pointee.group!.countAwaiting(delta) }
    pointee.lock.unlock()
    guard !isActive else { return }
    allocator.pointee.registry.lock.lock()
    pointee.group!.countAwaiting(delta)
    allocator.pointee.registry.lock.unlock()
  }

  /// Frees objects that were counted, and counts them as free afterwards: whoever finds none that waits
  /// finds the room.
  func freeAwaited(_ objects: UnsafeMutableBufferPointer<UInt>) {
    guard !isRoot else { return unsafe free(bulk: objects) }
    let count = objects.count
    pointee.lock.lock()
    pin()
    pointee.lock.unlock()
    unsafe free(bulk: objects)
    countAwaiting(-count)
    unpin()
  }
}

extension Pointer where Pointee == Group {
  /// Under a lock that keeps the group. O(depth).
  fileprivate func countAwaiting(_ delta: Int) {
    var next: Pointer<Group>? = self
    while let group = next {
      // Sequentially consistent: lowered after the memory's charge.
      group.pointee.awaitingGracePeriod.add(delta, ordering: .sequentiallyConsistent)
      next = group.pointee.parent
    }
  }

  /// Whether something at or below this group awaits a grace period, or may. Holding no lock; may wait for a
  /// fence.
  var mayAwaitGracePeriod: Bool {
    let allocator = pointee.allocator
    guard !allocator.isLinux410 else {
      return allocator.hasDeferredFrees || allocator.pendingCallbacks > 0
    }
    var looks = 0
    // What is on the sheaf is counted for no group yet.
    while !allocator.flushDeferredFrees(mayWait: false) {
      // Another thread is at it, or there is no memory for a page or a fence.
      looks += 1
      if looks > Self.mostLooks { return true }
      allocator.pause(afterLooks: looks)
    }
    return pointee.awaitingGracePeriod.load(ordering: .sequentiallyConsistent) > 0
  }

  private static var mostLooks: Int { 64 }
}
