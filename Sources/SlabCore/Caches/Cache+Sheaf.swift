// SPDX-License-Identifier: Apache-2.0
// The cache's sheaf. A cold cache has none and works under its lock; after a number of slow
// operations it gets one, which grows about fourfold each time it proves too small, from 7 objects to
// 535. The core's own caches, which are used under locks, have one of the largest size at once.
// How a sheaf ends is in Cache+Retire.swift.

internal import SlabPlatform
internal import Synchronization

/// Why the sheaf of an active cache has ended. What the cache opens next is one class smaller: then one that is used every
/// now and then grows once and not three times.
enum SheafEnd {
  /// A user wants the cache to be small, or places for sheaves are scarce: the next one is of the smallest class.
  case shrunk
  case cold
  case reclaimed
}

extension Pointer where Pointee == Cache {
  /// Slow operations after which a sheaf grows, or the first one is opened.
  static var slowOperationsPerStep: UInt8 { 16 }
  private static var mostSheavesReclaimed: UInt8 { 4 }

  /// Slow operations after which a sheaf is opened: twice as many for each time that a reclaim has taken it. A tenant that
  /// stays at its limit would open one again and again, and the fence that takes it back interrupts all other CPUs.
  private var slowOperationsToOpen: UInt8 {
    UInt8(clamping: Int(Self.slowOperationsPerStep) << Int(pointee.sheavesReclaimed))
  }

  var mode: PerCPUMode { pointee.allocator.region.pointee.mode }

  /// Counts a slow operation, and opens the sheaf when it is time. True if the sheaf is to grow, and the
  /// caller calls `growSheaf` when it holds no lock.
  func noteSlowOperation(under lock: borrowing CacheLocked) -> Bool {
    keepSheaf(under: lock)
    // Not beyond: a cache that is over may have more objects to be freed than the counter can hold.
    guard state == .active, pointee.retiredSheaf.isClosed else { return false }
    pointee.slowOperations += 1
    guard pointee.slowOperations >= Self.slowOperationsPerStep else { return false }
    let word = pointee.words.load(mode: mode)
    if word.isClosed, pointee.slowOperations < slowOperationsToOpen { return false }
    pointee.slowOperations = 0
    guard !word.isClosed else {
      if hasLargeObjects, !reserveRuns(under: lock) { return false }
      let isInternal = pointee.root.pointee.isInternal
      let index = isInternal ? PerCPURegion.sheafClassCount - 1 : Int(pointee.sheafClass)
      openSheaf(ofClass: index, under: lock)
      return false
    }
    guard word.capacity < mostInSheaf(under: lock),
      Int(pointee.sheafClass) + 1 < PerCPURegion.sheafClassCount,
      // Where there is no place for a larger one the cache keeps the sheaf that it has.
      pointee.allocator.hasSheafBlock(ofClass: Int(pointee.sheafClass) + 1, under: lock)
    else { return false }
    _ = retireSheaf(under: lock)
    pin(under: lock)
    return true
  }

  /// The part of the least limit of an active cache's memory that may lie on one CPU.
  private static var partOfLimit: Int { 16 }

  /// How many objects an active cache may have on a CPU: as its root says, and a part of its least limit, but for two.
  /// O(depth).
  func mostInSheaf(under lock: borrowing CacheLocked) -> Int {
    // Relaxed: a thread that changes it takes this lock afterwards, and finds what is opened now. Limits are looked at when
    // a sheaf opens or grows alone: what an open one has beyond a lower limit goes back before a refusal.
    let most = pointee.root.pointee.sheafCapacity.load(ordering: .relaxed)
    guard most > 2 else { return most }
    return min(
      most, max(2, leastLimit(under: lock) / Self.partOfLimit / Int(pointee.placeBytes)))
  }

  /// Opens a sheaf of a class, unless the cache may have none. Of an active cache that has none.
  func openSheaf(ofClass index: Int, under lock: borrowing CacheLocked) {
    lock.check(pointee.lock)
    let limit = mostInSheaf(under: lock)
    // Where the region is full the cache goes on under its lock.
    guard limit > 0, let block = pointee.allocator.takeSheafBlock(ofClass: index, under: lock)
    else { return }
    pointee.sheafClass = UInt8(block.index)
    let capacity = min(limit, PerCPURegion.sheafCapacity(ofClass: block.index))
    _ = pointee.words.exchange(SheafWord(first: block.first, capacity: capacity), mode: mode)
  }

  /// After a sheaf has ended: the class of the next one, and how soon it opens.
  func noteEndOfSheaf(_ end: SheafEnd, under lock: borrowing CacheLocked) {
    lock.check(pointee.lock)
    switch end {
    case .shrunk: pointee.sheafClass = 0
    case .cold: pointee.sheafClass = UInt8(max(1, pointee.sheafClass)) - 1
    case .reclaimed:
      pointee.sheafClass = UInt8(max(1, pointee.sheafClass)) - 1
      pointee.sheavesReclaimed = min(Self.mostSheavesReclaimed, pointee.sheavesReclaimed + 1)
    }
  }

  /// Closes the sheaf without taking anything out of it. The next operation opens it again, unless the hand
  /// comes before (see ColdSheaves.swift): it belongs to no thread meanwhile. Of an active cache.
  func restSheaf(under lock: borrowing CacheLocked) {
    lock.check(pointee.lock)
    guard pointee.retiredSheaf.isClosed else { return }
    pointee.retiredSheaf = pointee.words.exchange(.closed, mode: mode)
    pointee.isResting = !pointee.retiredSheaf.isClosed
  }

  /// Opens a sheaf that rests. Whether it did.
  @discardableResult
  func keepSheaf(under lock: borrowing CacheLocked) -> Bool {
    lock.check(pointee.lock)
    guard pointee.isResting else { return false }
    pointee.isResting = false
    _ = pointee.words.exchange(pointee.retiredSheaf, mode: mode)
    pointee.retiredSheaf = .closed
    return true
  }

  /// The sheaf, open or resting.
  func sheaf(under lock: borrowing CacheLocked) -> SheafWord {
    pointee.isResting ? pointee.retiredSheaf : pointee.words.load(mode: mode)
  }

  /// Objects in the sheaf, or in the one that awaits the fence, and in the barn. Exact while no thread uses the cache.
  /// O(CPUs + full sheaves).
  func objectsInSheaf(under lock: borrowing CacheLocked) -> Int {
    lock.check(pointee.lock)
    let open = pointee.words.load(mode: mode)
    let word = open.isClosed ? pointee.retiredSheaf : open
    var count = objectsInBarn(under: lock)
    guard !word.isClosed else { return count }
    let allocator = pointee.allocator
    for stripe in 0..<allocator.region.pointee.stripeCount {
      count += allocator.region.pointee.objectCount(ofSheaf: word.first, onStripe: stripe)
    }
    // An object that moves from one CPU's sheaf to another's meanwhile is counted twice.
    return min(count, Int(pointee.objectsInUse))
  }

  /// Objects that move between the sheaf and the slabs at a time, by one sequence: as many addresses as
  /// the language puts on the stack, and not on the heap, which must not be entered under the lock.
  private static var objectsPerMove: Int { 128 }

  /// After an allocation that found the sheaf empty: fills half of it from the slabs at hand. No
  /// slab is made for it.
  func refillSheaf(under lock: borrowing CacheLocked) {
    let word = pointee.words.load(mode: mode)
    guard !word.isClosed else { return }
    var wanted = max(1, word.capacity / 2)
    while wanted > 0, pointee.partialFirst != nil {
      let most = min(wanted, Self.objectsPerMove)
      guard moveToSheaf(most, under: lock) else { return }
      wanted -= most
    }
  }

  /// Moves objects from the slabs at hand to the sheaf. False if it has no room for all of them: the thread
  /// moved to a CPU whose sheaf has less.
  private func moveToSheaf(_ most: Int, under lock: borrowing CacheLocked) -> Bool {
    // SAFETY: the buffer is used within its scope and its count.
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: Self.objectsPerMove) { buffer in
      let room = unsafe UnsafeMutableBufferPointer(rebasing: buffer[..<most])
      let taken = unsafe takeObjects(into: room, under: lock)
      let offered = unsafe UnsafeMutableBufferPointer(rebasing: buffer[..<taken])
      let put = unsafe pointee.allocator.region.pointee.pushBatch(words, offered)
      var unused = SlabChain()
      let rest = unsafe UnsafeMutableBufferPointer(rebasing: offered[put...])
      unsafe putObjects(rest, emptied: &unused, under: lock)
      unused.relist(in: self, under: lock)
      return put == taken
    }
  }

  /// Before a free that found the sheaf full: moves half of it to the slabs. A sheaf of one object keeps
  /// it for the next allocation, and the freed one goes to its slab.
  func flushHalfSheaf(emptied chain: inout SlabChain, under lock: borrowing CacheLocked) {
    let word = pointee.words.load(mode: mode)
    guard !word.isClosed else { return }
    var wanted = word.capacity / 2
    // SAFETY: the buffer is used within its scope and its count.
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: Self.objectsPerMove) { buffer in
      while wanted > 0 {
        let room = unsafe UnsafeMutableBufferPointer(
          rebasing: buffer[..<min(wanted, Self.objectsPerMove)])
        let taken = unsafe pointee.allocator.region.pointee.popBatch(words, into: room)
        let objects = unsafe UnsafeMutableBufferPointer(rebasing: room[..<taken])
        unsafe putObjects(objects, emptied: &chain, under: lock)
        guard taken == room.count else { return }
        wanted -= taken
      }
    }
  }
}

extension SlabChain {
  /// Puts slabs back on the list of the cache that they were detached from a moment ago.
  fileprivate mutating func relist(
    in cache: Pointer<Cache>, under lock: borrowing CacheLocked
  ) {
    while let slab = first {
      first = slab.pointee.next
      cache.addSlab(slab, isLast: true, under: lock)
      cache.pointee.allocator.putDown()
    }
  }
}
