// SPDX-License-Identifier: Apache-2.0
// What waits for a grace period to be free, counted at its group and at all above it: objects that were
// freed so, and slabs of type-safe caches. A charge that is refused waits for them only if some are at or
// below the group that refused it; what other tenants have deferred gives it no room.
//
// An object is counted when it leaves the sheaf of deferred frees, and until it is free: the fast path counts
// nothing for its group. So a thread that looks flushes that sheaf first.
//
// When a group is reparented nothing is counted anew: its parent and all above that count what it has already.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// So many more objects or slabs of the cache await a grace period, or fewer. The caller keeps the cache by an
  /// object or a slab of it, or by a pin. O(depth). Takes the cache's lock, or the registry lock if the cache has
  /// ended: so the rules of a life cycle that gives slabs back under it count nothing.
  func countAwaiting(_ delta: Int) {
    let allocator = Pointer<DeferredState>(seenAs: pointee.allocator)
    guard !isRoot, allocator.deferredState.pointee.countsAwaited else { return }
    let lock = pointee.lock.lock()
    let isActive = state == .active
    // The group of an active cache cannot be released while the lock is held: the cache ends first.
    if isActive { pointee.group!.countAwaiting(delta, under: lock) }
    lock.unlock()
    guard !isActive else { return }
    let registry = allocator.lockRegistry()
    pointee.group!.countAwaiting(delta, under: registry)
  }

  /// The same for objects of this cache, each of which is a user's, or awaits its grace period.
  func countAwaiting(_ delta: Int, of objects: UnsafeMutableBufferPointer<UInt>) {
    guard pointee.kind == .gate else { return countAwaiting(delta * objects.count) }
    for index in 0..<objects.count {
      // One that has been freed twice is found when it is to be freed.
      let number = unsafe payer(of: objects[index])
      if number != 0 { pointee.allocator.seenByGroups.countAwaiting(delta, of: number) }
    }
  }

  /// Of a gate: an object that was counted.
  private func freeAwaitedShared(_ object: UInt) {
    let groups = pointee.allocator.seenByGroups
    let number = payer(of: object)
    guard number != 0 else { Self.reportDoubleFree() }
    let payer = groups.payer(number)
    groups.hold(payer)
    freeShared(object)
    groups.countAwaiting(-1, of: number)
    groups.drop(payer)
  }

  /// Frees objects that were counted, and counts them as free afterwards: a charge that finds none
  /// that waits finds the room.
  func freeAwaited(_ objects: UnsafeMutableBufferPointer<UInt>) {
    guard pointee.kind != .gate else {
      for index in 0..<objects.count { unsafe freeAwaitedShared(objects[index]) }
      return
    }
    guard !isRoot else { return unsafe free(bulk: objects) }
    let count = objects.count
    let lock = pointee.lock.lock()
    pin(under: lock)
    lock.unlock()
    unsafe free(bulk: objects)
    countAwaiting(-count)
    unpin()
  }
}

extension Pointer where Pointee == CachesState {
  fileprivate var seenByGroups: Pointer<DeferredState> { Pointer<DeferredState>(seenAs: self) }
}

extension Pointer where Pointee == DeferredState {
  /// For the group that is charged for a payer's objects, one of which keeps the payer. O(depth); takes the page lock.
  fileprivate func countAwaiting(_ delta: Int, of number: UInt32) {
    guard deferredState.pointee.countsAwaited else { return }
    let lock = pages.pointee.lock.lock()
    payer(number).paying(under: lock).pointee.group!.countAwaiting(delta, under: lock)
  }
}

extension Pointer where Pointee == Group {
  /// The lock keeps the group. O(depth).
  func countAwaiting<Class: LockClass>(
    _ delta: Int, under lock: borrowing Held<Class>
  ) {
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
    let allocator = Pointer<DeferredState>(seenAs: pointee.allocator)
    guard allocator.deferredState.pointee.countsAwaited else {
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

extension Pointer where Pointee == Slab {
  /// The two words of the list's neighbours are a callback's head while the slab of a type-safe cache waits.
  private static var callbackOffset: UInt { 8 }

  /// Gives the slab of a type-safe cache back after a grace period.
  func giveBackAfterGracePeriod() {
    // SAFETY: a slab's owner outlives it.
    let cache = unsafe Pointer<Cache>(nonzeroAddress: pointee.owner)
    cache.countAwaiting(1)
    // SAFETY: the two words of a slab that is on no list are free for it.
    let head = unsafe Pointer<GracePeriodCallback>(nonzeroAddress: address + Self.callbackOffset)
    unsafe Pointer<ReadersState>(seenAs: cache.pointee.allocator).enqueue(head) { head in
      // SAFETY: the head stands in its slab.
      let slab = unsafe Pointer<Slab>(nonzeroAddress: UInt(bitPattern: head) - Self.callbackOffset)
      // SAFETY: as above.
      let cache = unsafe Pointer<Cache>(nonzeroAddress: slab.pointee.owner)
      cache.giveBack(slab)
      // The cache is there until a barrier behind this callback.
      cache.countAwaiting(-1)
    }
  }
}
