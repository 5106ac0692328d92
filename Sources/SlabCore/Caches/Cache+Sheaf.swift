// The cache's sheaf. A cold cache has none and works under its lock; after a number of slow
// operations it gets one, which grows about fourfold each time it proves too small, from 7 objects to
// 535. Everything here runs under the cache's lock.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Slow operations after which a sheaf is opened or grows.
  static var slowOperationsPerStep: UInt32 { 16 }

  private var mode: PerCPUMode { pointee.allocator.pointee.region.mode }

  /// Counts a slow operation, and opens the sheaf or lets it grow when it is time.
  func noteSlowOperation(emptied chain: inout SlabChain) {
    // Not beyond: a cache that is over may have more objects to be freed than the counter can hold.
    guard state == .active else { return }
    keepSheaf()
    pointee.slowOperations += 1
    guard pointee.slowOperations >= Self.slowOperationsPerStep else { return }
    pointee.slowOperations = 0
    let limit = pointee.root.pointee.sheafCapacity.load(ordering: .relaxed)
    guard limit > 0 else { return }
    let allocator = pointee.allocator
    let word = pointee.words.load(mode: mode)
    if word.isClosed {
      if let block = allocator.takeSheafBlock(ofClass: 0) { openSheaf(block, limit: limit) }
    } else if word.capacity < limit, Int(pointee.sheafClass) + 1 < PerCPURegion.sheafClassCount {
      // First, so that where there is none the cache keeps the sheaf that it has.
      guard let block = allocator.takeSheafBlock(ofClass: Int(pointee.sheafClass) + 1) else {
        return
      }
      if closeSheaf(emptied: &chain) {
        openSheaf(block, limit: limit)
      } else {
        allocator.region.freeSheaf(block.first, ofClass: block.index)
      }
    }
  }

  private func openSheaf(_ block: SheafBlock, limit: Int) {
    pointee.sheafClass = UInt32(block.index)
    let capacity = min(limit, PerCPURegion.sheafCapacity(ofClass: block.index))
    _ = pointee.words.exchange(SheafWord(first: block.first, capacity: capacity), mode: mode)
  }

  /// Under the lock: whoever works in the cache uses its sheaf, which is not taken back then (see
  /// ColdSheaves.swift). Whether it was on its way.
  @discardableResult
  func keepSheaf() -> Bool {
    guard !pointee.retiredSheaf.isClosed, state == .active else { return false }
    _ = pointee.words.exchange(pointee.retiredSheaf, mode: mode)
    pointee.retiredSheaf = .closed
    return true
  }

  /// Closes the sheaf, fences and drains it: nothing of the cache is on any CPU afterwards, until
  /// it warms up again. False, with the sheaf as it was, if the fence failed.
  @discardableResult
  func closeSheaf(emptied chain: inout SlabChain) -> Bool {
    keepSheaf()
    let word = pointee.words.exchange(.closed, mode: mode)
    guard !word.isClosed else { return true }
    do {
      try pointee.allocator.pointee.region.fence()
    } catch {
      // Without a fence a sequence may still be at work in it: it stays what it was, but that nothing is
      // put in beyond what has been set meanwhile.
      let limit = pointee.root.pointee.sheafCapacity.load(ordering: .relaxed)
      _ = pointee.words.exchange(
        SheafWord(first: word.first, capacity: min(word.capacity, limit)), mode: mode)
      return false
    }
    pointee.allocator.pointee.sheafFences.add(1, ordering: .relaxed)
    drain(word, emptied: &chain)
    return true
  }

  /// Moves the objects of a sheaf that is closed and fenced back to the slabs, and frees its block.
  func drain(_ word: SheafWord, emptied chain: inout SlabChain) {
    let allocator = pointee.allocator
    for slot in 0..<allocator.pointee.region.slotCount {
      let sheaf = Words(at: allocator.pointee.region.address(word.first, onSlot: slot))
      let count = Int(sheaf[0]) / 8
      if count == 0 { continue }
      for index in 1...count { putObject(UInt(sheaf[index]), emptied: &chain) }
      sheaf[0] = 0
    }
    allocator.region.freeSheaf(word.first, ofClass: Int(pointee.sheafClass))
  }

  /// Under the lock: the sheaf, open or not any more.
  var sheafUnderLock: SheafWord {
    let open = pointee.words.load(mode: mode)
    return open.isClosed ? pointee.retiredSheaf : open
  }

  /// Under the lock: objects in the sheaf, or in the one that awaits the fence. Exact when nobody
  /// uses the cache. O(CPUs).
  var objectsInSheaf: Int {
    let word = sheafUnderLock
    guard !word.isClosed else { return 0 }
    let allocator = pointee.allocator
    var count = 0
    for slot in 0..<allocator.pointee.region.slotCount {
      count += allocator.pointee.region.objectCount(ofSheaf: word.first, onSlot: slot)
    }
    // An object that moves from one CPU's sheaf to another's meanwhile is counted twice.
    return min(count, Int(pointee.objectsInUse))
  }

  /// After an allocation that found the sheaf empty: fills half of it from the slabs at hand. No
  /// slab is made for it.
  func refillSheaf() {
    let word = pointee.words.load(mode: mode)
    guard !word.isClosed, pointee.partialFirst != nil else { return }
    let wanted = max(1, word.capacity / 2)
    // SAFETY: the buffer is used within its scope and its count.
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: wanted) { buffer in
      var taken = 0
      while taken < wanted, pointee.partialFirst != nil {
        unsafe buffer[taken] = takeObject()
        taken += 1
      }
      let offered = unsafe UnsafeMutableBufferPointer(rebasing: buffer[..<taken])
      let put = unsafe pointee.allocator.pointee.region.pushBatch(words, offered)
      // The thread moved to a CPU whose sheaf has less room.
      var unused = SlabChain()
      for index in put..<taken { unsafe putObject(offered[index], emptied: &unused) }
      unused.relist(in: self)
    }
  }

  /// Before a free that found the sheaf full: moves half of it to the slabs.
  func flushHalfSheaf(emptied chain: inout SlabChain) {
    let word = pointee.words.load(mode: mode)
    guard !word.isClosed else { return }
    // SAFETY: the buffer is used within its scope and its count.
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: max(1, word.capacity / 2)) {
      buffer in
      let taken = unsafe pointee.allocator.pointee.region.popBatch(words, into: buffer)
      for index in 0..<taken { unsafe putObject(buffer[index], emptied: &chain) }
    }
  }
}

extension SlabChain {
  /// Puts slabs back on the list of the cache that they were detached from a moment ago.
  fileprivate mutating func relist(in cache: Pointer<Cache>) {
    while let slab = first {
      first = slab.pointee.next
      cache.addSlab(slab)
      cache.pointee.allocator.putDown()
    }
  }
}
