// Objects and the partial list: everything in this file runs under the cache's lock.

internal import SlabPlatform
internal import Synchronization

/// Slabs that have been taken out of their cache and are on their way back.
struct SlabChain {
  var first: Pointer<Slab>? = nil

  mutating func push(_ slab: Pointer<Slab>) {
    slab.pointee.next = first
    first = slab
  }
}

extension Pointer where Pointee == Cache {
  /// Takes an object from the first slab of the partial list; there must be one. O(1).
  func takeObject() -> UInt {
    let slab = pointee.partialFirst!
    if slab.pointee.inUse == 0 { pointee.emptyCount -= 1 }
    let object = slab.takeObject(slotBytes: Int(pointee.slotBytes))
    if !slab.hasFreeObjects {
      unlistSlab(slab)
      listFullSlab(slab)
    }
    pointee.objectsInUse += 1
    if pointee.root.pointee.isPoisoned { checkPoison(of: object) }
    return object
  }

  /// Puts an object back into its slab; a slab that becomes empty and is one too many goes to the
  /// chain. O(1). A broken contract ends the process here at the latest.
  func putObject(_ object: UInt, emptied chain: inout SlabChain) {
    let map = pointee.allocator.pointee.pages.map
    let word = map.word(at: object)
    guard UnitMap.isSlab(word) else { fatal("free: not an object of this allocator") }
    guard map.cache(of: word) == self else { fatal("free: object of another cache") }
    let slab = map.slab(of: word)
    let offset = object - slab.pointee.address
    let slot = Int((UInt64(offset) * UInt64(pointee.reciprocal)) >> 32)
    guard slot * Int(pointee.slotBytes) == Int(offset), slot < slotLimit(of: slab) else {
      fatal("free: not the start of an object")
    }
    let wasFull = !slab.hasFreeObjects
    guard slab.putObject(slot: slot) else { fatal("free: object is free already (double free)") }
    pointee.objectsInUse -= 1
    if pointee.root.pointee.isPoisoned { poison(object) }
    if wasFull {
      unlistFullSlab(slab)
      listSlabFirst(slab)
    }
    guard slab.pointee.inUse == 0 else { return }
    unlistSlab(slab)
    if pointee.emptyCount < emptySlabsToKeep {
      pointee.emptyCount += 1
      listSlabLast(slab)
    } else {
      detach(slab, to: &chain)
    }
  }

  /// Whether an address in one of the cache's slabs is where an object begins.
  func isStartOfObject(_ object: UInt) -> Bool {
    let map = pointee.allocator.pointee.pages.map
    let slab = map.slab(of: map.word(at: object))
    let offset = object - slab.pointee.address
    let slot = Int((UInt64(offset) * UInt64(pointee.reciprocal)) >> 32)
    return slot * Int(pointee.slotBytes) == Int(offset) && slot < slotLimit(of: slab)
  }

  private func slotLimit(of slab: Pointer<Slab>) -> Int {
    Int(slab.pointee.objectCount) + (pointee.isSelfDescribing ? 1 : 0)
  }

  /// `min_partial` while the cache allocates; 0 from the moment its group is offline, so that
  /// slabs go back on the free that empties them.
  private var emptySlabsToKeep: UInt32 {
    // Of an active cache the group does not change: only deactivated ones are reparented.
    guard state == .active, pointee.group?.isOnline ?? true else { return 0 }
    if keepsItsSlabs { return .max }
    return UInt32(clamping: pointee.root.pointee.minPartial.load(ordering: .relaxed))
  }

  /// Whether slabs of the cache never go back to the pages. Those of the roots' descriptors: whoever
  /// allocates in the root group may come to the descriptor of a root that has been released (see
  /// `likelyChild`), and reads there which root it is. It never is the one that is looked for, as long as the
  /// memory is a root's, or was one's.
  private var keepsItsSlabs: Bool {
    pointee.allocator.pointee.rootCaches.map { $0.cache == self } ?? false
  }

  /// Takes empty slabs out, every one by default. O(empty slabs): they stand at the end, but for one that
  /// was made for an allocation and not used.
  func detachEmptySlabs(to chain: inout SlabChain, atMost limit: Int = .max) {
    guard !keepsItsSlabs else { return }
    var left = limit
    var slab = pointee.partialLast
    while let candidate = slab, pointee.emptyCount > 0, left > 0 {
      slab = candidate.pointee.previous
      guard candidate.pointee.inUse == 0 else { continue }
      unlistSlab(candidate)
      pointee.emptyCount -= 1
      detach(candidate, to: &chain)
      left -= 1
    }
  }

  /// The slab leaves the cache's books, but not `slabCount`: see `release`.
  private func detach(_ slab: Pointer<Slab>, to chain: inout SlabChain) {
    if pointee.root.pointee.isPoisoned { checkPoison(ofFreeObjectsIn: slab) }
    pointee.objectsTotal -= UInt64(slab.pointee.objectCount)
    pointee.units -= 1 << UInt32(slab.pointee.order)
    chain.push(slab)
    pointee.allocator.takeInHand()
  }

  /// Takes slabs out, whatever objects are live: no more than a number of them. True if none is left.
  func detachSlabs(to chain: inout SlabChain, atMost limit: Int) -> Bool {
    var left = limit
    while left > 0, let slab = pointee.partialFirst ?? pointee.fullFirst {
      if slab.hasFreeObjects { unlistSlab(slab) } else { unlistFullSlab(slab) }
      pointee.objectsInUse -= UInt64(slab.pointee.inUse)
      if slab.pointee.inUse == 0 { pointee.emptyCount -= 1 }
      detach(slab, to: &chain)
      left -= 1
    }
    return pointee.partialFirst == nil && pointee.fullFirst == nil
  }

  /// Lists an empty slab: first, for an allocation that takes from it next, or last. `slabCount` counts it
  /// already.
  func addSlab(_ slab: Pointer<Slab>, isLast: Bool) {
    pointee.objectsTotal += UInt64(slab.pointee.objectCount)
    pointee.units += 1 << UInt32(slab.pointee.order)
    pointee.emptyCount += 1
    if isLast { listSlabLast(slab) } else { listSlabFirst(slab) }
  }

  // MARK: - The partial list

  func listSlabFirst(_ slab: Pointer<Slab>) {
    slab.pointee.previous = nil
    slab.pointee.next = pointee.partialFirst
    if let first = pointee.partialFirst { first.pointee.previous = slab }
    pointee.partialFirst = slab
    if pointee.partialLast == nil { pointee.partialLast = slab }
  }

  func listSlabLast(_ slab: Pointer<Slab>) {
    slab.pointee.next = nil
    slab.pointee.previous = pointee.partialLast
    if let last = pointee.partialLast { last.pointee.next = slab }
    pointee.partialLast = slab
    if pointee.partialFirst == nil { pointee.partialFirst = slab }
  }

  func unlistSlab(_ slab: Pointer<Slab>) {
    let next = slab.pointee.next
    let previous = slab.pointee.previous
    if let next { next.pointee.previous = previous } else { pointee.partialLast = previous }
    if let previous { previous.pointee.next = next } else { pointee.partialFirst = next }
    slab.pointee.next = nil
    slab.pointee.previous = nil
  }

  // MARK: - The list of full slabs

  private func listFullSlab(_ slab: Pointer<Slab>) {
    guard !isRoot else { return }
    slab.pointee.next = pointee.fullFirst
    if let first = pointee.fullFirst { first.pointee.previous = slab }
    pointee.fullFirst = slab
  }

  private func unlistFullSlab(_ slab: Pointer<Slab>) {
    guard !isRoot else { return }
    let next = slab.pointee.next
    let previous = slab.pointee.previous
    if let next { next.pointee.previous = previous }
    if let previous { previous.pointee.next = next } else { pointee.fullFirst = next }
    slab.pointee.next = nil
    slab.pointee.previous = nil
  }

  // MARK: - Sorting

  /// As `kmem_cache_shrink` of mm/slub.c: slabs with at most 32 free objects come first, the fullest foremost, so that
  /// they fill up and the emptiest get a chance to become empty. Of a long list the first slabs, which are
  /// the next to be used. O(slabs that are sorted).
  func sortPartialList(atMost limit: Int) {
    var buckets = InlineArray<33, Pointer<Slab>?>(repeating: nil)
    var left = limit
    while let slab = pointee.partialFirst, slab.pointee.inUse > 0, left > 0 {
      unlistSlab(slab)
      let free = Int(slab.pointee.objectCount - slab.pointee.inUse)
      let bucket = min(free, 33) - 1
      slab.pointee.next = buckets[bucket]
      buckets[bucket] = slab
      left -= 1
    }
    for bucket in (0..<33).reversed() {
      while let slab = buckets[bucket] {
        buckets[bucket] = slab.pointee.next
        listSlabFirst(slab)
      }
    }
  }
}
