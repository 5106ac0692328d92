// The cache's sheaf. A cold cache has none and works under its lock; after a number of slow
// operations it gets one, which grows about fourfold each time it proves too small, from 7 objects to
// 535. The core's own caches, which are used under locks, have one of the largest size at once.
// Everything here runs under the cache's lock; how a sheaf ends is in Cache+Retire.swift.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Slow operations after which a sheaf is opened or grows.
  static var slowOperationsPerStep: UInt32 { 16 }

  var mode: PerCPUMode { pointee.allocator.pointee.region.mode }

  /// Counts a slow operation, and opens the sheaf when it is time. True if the sheaf is to grow, and the
  /// caller calls `growSheaf` when it holds no lock.
  func noteSlowOperation() -> Bool {
    keepSheaf()
    // Not beyond: a cache that is over may have more objects to be freed than the counter can hold.
    guard state == .active, pointee.retiredSheaf.isClosed else { return false }
    pointee.slowOperations += 1
    guard pointee.slowOperations >= Self.slowOperationsPerStep else { return false }
    pointee.slowOperations = 0
    let word = pointee.words.load(mode: mode)
    guard !word.isClosed else {
      let isInternal = pointee.root.pointee.isInternal
      openSheaf(ofClass: isInternal ? PerCPURegion.sheafClassCount - 1 : 0)
      return false
    }
    guard word.capacity < pointee.root.sheafCapacity,
      Int(pointee.sheafClass) + 1 < PerCPURegion.sheafClassCount,
      // Where there is no place for a larger one the cache keeps the sheaf that it has.
      pointee.allocator.hasSheafBlock(ofClass: Int(pointee.sheafClass) + 1)
    else { return false }
    _ = retireSheaf()
    pin()
    return true
  }

  /// Opens a sheaf of a class, unless the cache may have none. Of an active cache that has none.
  func openSheaf(ofClass index: Int) {
    // Relaxed: whoever changes it takes this lock afterwards, and finds what is opened now.
    let limit = pointee.root.pointee.sheafCapacity.load(ordering: .relaxed)
    // Where the region is full the cache goes on under its lock.
    guard limit > 0, let block = pointee.allocator.takeSheafBlock(ofClass: index) else { return }
    pointee.sheafClass = UInt32(block.index)
    let capacity = min(limit, PerCPURegion.sheafCapacity(ofClass: block.index))
    _ = pointee.words.exchange(SheafWord(first: block.first, capacity: capacity), mode: mode)
  }

  /// Closes the sheaf without taking anything out of it. The next operation opens it again, unless the hand
  /// comes before (see ColdSheaves.swift): it is nobody's meanwhile. Of an active cache.
  func restSheaf() {
    guard pointee.retiredSheaf.isClosed else { return }
    pointee.retiredSheaf = pointee.words.exchange(.closed, mode: mode)
    pointee.isResting = !pointee.retiredSheaf.isClosed
  }

  /// Opens a sheaf that rests. Whether it did.
  @discardableResult
  func keepSheaf() -> Bool {
    guard pointee.isResting else { return false }
    pointee.isResting = false
    _ = pointee.words.exchange(pointee.retiredSheaf, mode: mode)
    pointee.retiredSheaf = .closed
    return true
  }

  /// Under the lock: the sheaf, open or resting.
  var sheafUnderLock: SheafWord {
    pointee.isResting ? pointee.retiredSheaf : pointee.words.load(mode: mode)
  }

  /// Under the lock: objects in the sheaf, or in the one that awaits the fence. Exact when nobody
  /// uses the cache. O(CPUs).
  var objectsInSheaf: Int {
    let open = pointee.words.load(mode: mode)
    let word = open.isClosed ? pointee.retiredSheaf : open
    guard !word.isClosed else { return 0 }
    let allocator = pointee.allocator
    var count = 0
    for slot in 0..<allocator.pointee.region.slotCount {
      count += allocator.pointee.region.objectCount(ofSheaf: word.first, onSlot: slot)
    }
    // An object that moves from one CPU's sheaf to another's meanwhile is counted twice.
    return min(count, Int(pointee.objectsInUse))
  }

  /// Objects that move between the sheaf and the slabs at a time, by one sequence: as many addresses as
  /// the language puts on the stack, and not on the heap, which must not be entered under the lock.
  private static var objectsPerMove: Int { 128 }

  /// After an allocation that found the sheaf empty: fills half of it from the slabs at hand. No
  /// slab is made for it.
  func refillSheaf() {
    let word = pointee.words.load(mode: mode)
    guard !word.isClosed else { return }
    var wanted = max(1, word.capacity / 2)
    while wanted > 0, pointee.partialFirst != nil {
      let most = min(wanted, Self.objectsPerMove)
      guard moveToSheaf(most) else { return }
      wanted -= most
    }
  }

  /// Moves objects from the slabs at hand to the sheaf. False if it has no room for all of them: the thread
  /// moved to a CPU whose sheaf has less.
  private func moveToSheaf(_ most: Int) -> Bool {
    // SAFETY: the buffer is used within its scope and its count.
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: Self.objectsPerMove) { buffer in
      var taken = 0
      while taken < most, pointee.partialFirst != nil {
        unsafe buffer[taken] = takeObject()
        taken += 1
      }
      let offered = unsafe UnsafeMutableBufferPointer(rebasing: buffer[..<taken])
      let put = unsafe pointee.allocator.pointee.region.pushBatch(words, offered)
      var unused = SlabChain()
      for index in put..<taken { unsafe putObject(offered[index], emptied: &unused) }
      unused.relist(in: self)
      return put == taken
    }
  }

  /// Before a free that found the sheaf full: moves half of it to the slabs.
  func flushHalfSheaf(emptied chain: inout SlabChain) {
    let word = pointee.words.load(mode: mode)
    guard !word.isClosed else { return }
    var wanted = max(1, word.capacity / 2)
    // SAFETY: the buffer is used within its scope and its count.
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: Self.objectsPerMove) { buffer in
      while wanted > 0 {
        let room = unsafe UnsafeMutableBufferPointer(
          rebasing: buffer[..<min(wanted, Self.objectsPerMove)])
        let taken = unsafe pointee.allocator.pointee.region.popBatch(words, into: room)
        for index in 0..<taken { unsafe putObject(room[index], emptied: &chain) }
        guard taken == room.count else { return }
        wanted -= taken
      }
    }
  }
}

extension SlabChain {
  /// Puts slabs back on the list of the cache that they were detached from a moment ago.
  fileprivate mutating func relist(in cache: Pointer<Cache>) {
    while let slab = first {
      first = slab.pointee.next
      cache.addSlab(slab, isLast: true)
      cache.pointee.allocator.putDown()
    }
  }
}
