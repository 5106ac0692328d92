// SPDX-License-Identifier: Apache-2.0
// How a sheaf ends while its cache lives on: it grows, or a thread wants what is in it. No thread holds a lock
// over the fence: others wait for a cache's lock, some of them under the registry lock.
//
//   under the lock   the sheaf is closed and put aside (`retireSheaf`), the cache is pinned
//   without          the fence; one for up to 16 caches (`SheafBatch`)
//   under the lock   what is in it goes back to the slabs, one CPU's part at a time
//
// The thread that retires a sheaf flushes it, unless the cache is deactivated meanwhile: then the fence worker does,
// after its own fence. Other threads that want to be sure that nothing is in it wait for that.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Keeps a cache on all its lists until `unpin`, as a slab that is being made does: a cache with slabs, or one that
  /// cannot end meanwhile. Fork waits for it.
  func pin(under lock: borrowing CacheLocked) {
    lock.check(pointee.lock)
    pointee.slabCount += 1
    pointee.allocator.takeInHand(under: lock)
  }

  /// Holding no lock of a cache. The cache may be gone when this returns.
  func unpin() {
    let allocator = pointee.allocator
    let lock = pointee.lock.lock()
    pointee.slabCount -= 1
    let isLast = becomesDyingIfEmpty(under: lock)
    lock.unlock()
    if isLast { allocator.handOver(self) }
    allocator.putDown()
  }

  /// Closes the sheaf and puts it aside. False if there is none, or one that another thread has put aside.
  func retireSheaf(under lock: borrowing CacheLocked) -> Bool {
    lock.check(pointee.lock)
    keepSheaf(under: lock)
    guard pointee.retiredSheaf.isClosed else { return false }
    pointee.retiredSheaf = pointee.words.exchange(.closed, mode: mode)
    return !pointee.retiredSheaf.isClosed
  }

  /// By the thread that has retired it, where the fence failed. A sequence may still be at work in it, so the sheaf is
  /// opened again, with the capacity that is allowed by now. In a cache that has ended meanwhile, the fence worker
  /// flushes it.
  fileprivate func reopenRetiredSheaf() {
    let lock = pointee.lock.lock()
    guard state == .active else { return }
    let word = pointee.retiredSheaf
    let capacity = min(word.capacity, mostInSheaf(under: lock))
    _ = pointee.words.exchange(SheafWord(first: word.first, capacity: capacity), mode: mode)
    pointee.retiredSheaf = .closed
    lock.unlock()
  }

  /// After the fence: the whole of it.
  func flushRetiredSheaf(emptied chain: inout SlabChain, under lock: borrowing CacheLocked) {
    guard !pointee.retiredSheaf.isClosed else { return }
    let stripes = pointee.allocator.region.pointee.stripeCount
    for stripe in 0..<stripes { flushRetiredSheaf(onStripe: stripe, emptied: &chain, under: lock) }
  }

  /// By the thread that has retired it and pinned the cache, after the fence: takes the lock for each CPU.
  fileprivate func flushRetiredSheaf() {
    for stripe in 0..<pointee.allocator.region.pointee.stripeCount {
      var chain = SlabChain()
      let lock = pointee.lock.lock()
      guard state == .active else { return }
      let before = pointee.objectsInUse
      flushRetiredSheaf(onStripe: stripe, emptied: &chain, under: lock)
      countObjects(since: before, under: lock)
      lock.unlock()
      release(chain)
    }
  }

  /// One CPU's part; with the last one its block is free.
  private func flushRetiredSheaf(
    onStripe stripe: Int, emptied chain: inout SlabChain, under lock: borrowing CacheLocked
  ) {
    let allocator = pointee.allocator
    let first = pointee.retiredSheaf.first
    let sheaf = Words(at: allocator.region.pointee.address(first, onStripe: stripe))
    let count = Int(sheaf[0]) / 8
    if count > 0 {
      // SAFETY: after the fence the CPU's part is the flushing thread's, and has so many objects.
      let objects = unsafe UnsafeMutableBufferPointer<UInt>(
        start: UnsafeMutablePointer(bitPattern: sheaf.address + 8), count: count)
      unsafe putObjects(objects, emptied: &chain, under: lock)
      sheaf[0] = 0
    }
    guard stripe == allocator.region.pointee.stripeCount - 1 else { return }
    allocator.region.freeSheaf(first, ofClass: Int(pointee.sheafClass))
    pointee.retiredSheaf = .closed
  }

  /// Holding no lock, after a sheaf has ended, unless the cache has another one meanwhile.
  fileprivate func noteEndOfSheaf(_ end: SheafEnd) {
    let lock = pointee.lock.lock()
    guard sheaf(under: lock).isClosed, pointee.retiredSheaf.isClosed else { return }
    noteEndOfSheaf(end, under: lock)
  }

  /// Holding no lock, with the cache pinned: until no thread has a retired sheaf of it.
  fileprivate func waitForRetiredSheaf() {
    var looks = 0
    while true {
      let lock = pointee.lock.lock()
      let isOver = pointee.retiredSheaf.isClosed || pointee.isResting || state != .active
      lock.unlock()
      if isOver { return }
      looks += 1
      pointee.allocator.pause(afterLooks: looks)
    }
  }

  /// Holding no lock, when `noteSlowOperation` has said so: a larger sheaf instead of the retired one.
  @inline(never)
  func growSheaf() {
    let allocator = pointee.allocator
    do {
      try allocator.fence()
      allocator.counters.pointee.sheafFences += 1
      pausePoint(.beforeGrowing)
      flushRetiredSheaf()
      let lock = pointee.lock.lock()
      let isClosed = pointee.words.load(mode: mode).isClosed && pointee.retiredSheaf.isClosed
      if state == .active, isClosed {
        openSheaf(ofClass: Int(pointee.sheafClass) + 1, under: lock)
        pointee.sheavesReclaimed = 0
      }
      // The load may be over with this operation: it is watched for what it has got now.
      let need = barnNeed(wasFull: false, under: lock)
      let isNews = isNewlyIdle(under: lock)
      lock.unlock()
      if need != .nothing { growBarn(need) }
      if isNews { tellOwner() }
    } catch {
      reopenRetiredSheaf()
    }
    unpin()
  }
}

extension Pointer where Pointee == Cache {
  /// Of a cache that is deactivated and pinned, and that no other thread uses: gives all slabs back, whatever
  /// objects are live. O(slabs), the lock for 256 of them at a time.
  func giveBackAllSlabs() {
    var isOver = false
    while !isOver {
      var chain = SlabChain()
      let lock = pointee.lock.lock()
      let before = pointee.objectsInUse
      isOver = detachSlabs(to: &chain, atMost: SheafBatch.slabsPerPiece, under: lock)
      countObjects(since: before, under: lock)
      lock.unlock()
      release(chain)
    }
  }
}

/// Caches whose sheaves end together, with one fence.
struct SheafBatch {
  private var caches = InlineArray<16, Pointer<Cache>?>(repeating: nil)
  /// Bits of those whose sheaf this thread has retired.
  private var retired: UInt16 = 0
  private(set) var count = 0

  static var most: Int { 16 }
  /// Slabs that go back, and slabs that are sorted, while a cache's lock is held once.
  fileprivate static var slabsPerPiece: Int { 256 }
  private static var mostSorted: Int { 1024 }

  /// Adds a cache that is active, or that cannot end meanwhile.
  mutating func add(_ cache: Pointer<Cache>, under lock: borrowing CacheLocked) {
    cache.pin(under: lock)
    if cache.retireSheaf(under: lock) { retired |= 1 << UInt16(count) }
    caches[count] = cache
    count += 1
  }

  /// Holding no lock: the fence, if any sheaf was open; then what was in the sheaves goes back to the
  /// slabs, and empty slabs to where they came from. False if the fence failed, and the sheaves are as they
  /// were. The caches may be gone afterwards, and the batch is empty.
  @discardableResult
  mutating func finish(
    of allocator: Pointer<CachesState>, as end: SheafEnd, sorting: Bool = false
  ) -> Bool {
    allocator.expectNoLock(below: .gracePeriod, "a walk of slabs")
    if end != .reclaimed { allocator.beginIdleReturn() }
    defer { if end != .reclaimed { allocator.endIdleReturn() } }
    var isFenced = true
    if retired != 0 {
      do {
        try allocator.fence()
        allocator.counters.pointee.sheafFences += 1
      } catch {
        isFenced = false
      }
    }
    for index in 0..<count {
      let cache = caches[index]!
      if retired & 1 << UInt16(index) == 0 {
        cache.waitForRetiredSheaf()
      } else if isFenced {
        cache.flushRetiredSheaf()
      } else {
        cache.reopenRetiredSheaf()
      }
      // No sequence works in there: it needs no fence. After the sheaf, so that nothing comes from there any more.
      cache.endBarn()
      Self.giveBackEmptySlabs(of: cache, sorting: sorting)
      if end == .shrunk || isFenced && retired & 1 << UInt16(index) != 0 {
        cache.noteEndOfSheaf(end)
      }
      cache.unpin()
    }
    count = 0
    retired = 0
    return isFenced
  }

  private static func giveBackEmptySlabs(of cache: Pointer<Cache>, sorting: Bool) {
    var isOver = false
    while !isOver {
      var chain = SlabChain()
      let lock = cache.pointee.lock.lock()
      cache.detachEmptySlabs(to: &chain, atMost: slabsPerPiece, under: lock)
      isOver = cache.pointee.emptyCount == 0 || chain.first == nil
      if isOver, cache.pointee.retiredSheaf.isClosed, cache.sheaf(under: lock).isClosed {
        cache.endReservation(under: lock)
      }
      if isOver, sorting { cache.sortPartialList(atMost: mostSorted, under: lock) }
      lock.unlock()
      cache.release(chain)
    }
  }
}
