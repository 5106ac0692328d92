// SPDX-License-Identifier: Apache-2.0
// Objects and the partial list.

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
  func takeObject(under lock: borrowing CacheLocked) -> UInt {
    lock.check(pointee.lock)
    let slab = pointee.partialFirst!
    if slab.pointee.inUse == 0 { pointee.emptyCount -= 1 }
    let object = slab.takeObject(placeBytes: Int(pointee.placeBytes))
    relistIfFull(slab, under: lock)
    pointee.objectsInUse += 1
    if pointee.root.pointee.isPoisoned { checkPoison(of: object, under: lock) }
    return object
  }

  /// After objects were taken from the first slab of the partial list. O(1).
  @inline(__always)
  func relistIfFull(_ slab: Pointer<Slab>, under lock: borrowing CacheLocked) {
    guard !slab.hasFreeObjects else { return }
    unlistSlab(slab, under: lock)
    listFullSlab(slab, under: lock)
  }

  /// Puts an object back into its slab; a slab that becomes empty and is one too many goes to the
  /// chain. O(1). A broken contract ends the process here at the latest.
  func putObject(
    _ object: UInt, emptied chain: inout SlabChain, under lock: borrowing CacheLocked
  ) {
    lock.check(pointee.lock)
    let slab = slab(of: object)
    let wasFull = !slab.hasFreeObjects
    let place = place(of: object, in: slab)
    slab.put(bits: 1 << UInt64(place & 63), ofWord: place >> 6)
    pointee.objectsInUse -= UInt64(slab.pagesOrObject)
    if pointee.root.pointee.isPoisoned { poison(object) }
    relist(slab, wasFull: wasFull, emptied: &chain, under: lock)
  }

  /// The slab of an object that comes back, which must be one of this cache.
  @inline(__always)
  func slab(of object: UInt) -> Pointer<Slab> {
    let map = pointee.allocator.pages.pointee.map
    let word = map.word(at: object)
    guard UnitMap.isSlab(word) else { fatal("free: not an object of this allocator") }
    guard map.cache(of: word) == mapped else { fatal("free: object of another cache") }
    return map.slab(of: word)
  }

  /// The place of an object that comes back to a slab.
  @inline(__always)
  func place(of object: UInt, in slab: Pointer<Slab>) -> Int {
    guard let place = startingPlace(of: object, in: slab) else {
      fatal("free: not the start of an object")
    }
    return place
  }

  /// Whether an address in one of the cache's slabs is where an object begins.
  func isStartOfObject(_ object: UInt) -> Bool {
    let map = pointee.allocator.pages.pointee.map
    return startingPlace(of: object, in: map.slab(of: map.word(at: object))) != nil
  }

  /// The place that begins at an address in a slab, if one does.
  @inline(__always)
  private func startingPlace(of object: UInt, in slab: Pointer<Slab>) -> Int? {
    let offset = UInt64(object - slab.pointee.address)
    let place = Int((offset * UInt64(pointee.reciprocal)) >> 32)
    let isStart = place * Int(pointee.placeBytes) == Int(offset) && place < placeLimit(of: slab)
    return isStart ? place : nil
  }

  /// After objects have come back to a slab: where it stands now. One that is empty and one too many goes to the
  /// chain. O(1).
  func relist(
    _ slab: Pointer<Slab>, wasFull: Bool, emptied chain: inout SlabChain,
    under lock: borrowing CacheLocked
  ) {
    let isEmpty = slab.pointee.inUse == 0
    guard wasFull || isEmpty else { return }
    if wasFull { unlistFullSlab(slab, under: lock) } else { unlistSlab(slab, under: lock) }
    guard isEmpty else { return listSlabFirst(slab, under: lock) }
    let kept = emptySlabsToKeep(under: lock)
    if pointee.emptyCount >= kept {
      // Several at a time, of a cache that keeps some.
      let surplus = kept > 0 ? slabsAtATime(under: lock) - 1 : 0
      guard pointee.emptyCount < kept + UInt32(surplus) else {
        detach(slab, to: &chain, under: lock)
        return detachEmptySlabs(to: &chain, atMost: surplus, under: lock)
      }
    }
    pointee.emptyCount += 1
    listSlabLast(slab, under: lock)
  }

  private func placeLimit(of slab: Pointer<Slab>) -> Int {
    Int(slab.pointee.objectCount) + (pointee.isSelfDescribing ? 1 : 0)
  }

  /// `min_partial` while the cache allocates; 0 from the moment its group is offline, so that
  /// slabs go back on the free that empties them, and of large objects without a reservation.
  private func emptySlabsToKeep(under lock: borrowing CacheLocked) -> UInt32 {
    // Of an active cache the group does not change: only deactivated ones are reparented.
    guard state == .active, pointee.owner?.pointee.isOnline ?? true else { return 0 }
    if keepsItsSlabs { return .max }
    if hasLargeObjects, pointee.reservedRuns == 0 { return 0 }
    return UInt32(clamping: pointee.root.pointee.minPartial.load(ordering: .relaxed))
  }

  /// Whether slabs of the cache never go back to the pages. Those of the roots' descriptors: an
  /// allocation in the root group may come to the descriptor of a root that has been released (see
  /// `likelyChild`), and reads there which root it is. It never is the one that is looked for, as long as the
  /// memory is a root's, or was one's.
  private var keepsItsSlabs: Bool {
    pointee.allocator.cachesState.pointee.rootCaches.map { $0.cache == self } ?? false
  }

  /// Takes empty slabs out, every one by default. O(empty slabs): they stand at the end, but for one that
  /// was made for an allocation and not used.
  func detachEmptySlabs(
    to chain: inout SlabChain, atMost limit: Int = .max, under lock: borrowing CacheLocked
  ) {
    lock.check(pointee.lock)
    guard !keepsItsSlabs else { return }
    var left = limit
    var slab = pointee.partialLast
    while let candidate = slab, pointee.emptyCount > 0, left > 0 {
      slab = candidate.pointee.previous
      guard candidate.pointee.inUse == 0 else { continue }
      unlistSlab(candidate, under: lock)
      pointee.emptyCount -= 1
      detach(candidate, to: &chain, under: lock)
      left -= 1
    }
  }

  /// The slab leaves the cache's books, but not `slabCount`: see `release`.
  private func detach(
    _ slab: Pointer<Slab>, to chain: inout SlabChain, under lock: borrowing CacheLocked
  ) {
    if pointee.root.pointee.isPoisoned { checkPoison(ofFreeObjectsIn: slab, under: lock) }
    pointee.objectsTotal -= UInt64(Int(slab.pointee.objectCount) * slab.pagesOrObject)
    pointee.units -= UInt32(slab.units)
    chain.push(slab)
    pointee.allocator.takeInHand(under: lock)
  }

  /// Takes the slab of a live block or charge out.
  func dropSlab(
    _ slab: Pointer<Slab>, to chain: inout SlabChain, under lock: borrowing CacheLocked
  ) {
    unlistFullSlab(slab, under: lock)
    pointee.objectsInUse -= UInt64(slab.pagesOrObject)
    detach(slab, to: &chain, under: lock)
  }

  /// Takes slabs out, whatever objects are live: no more than a number of them. True if none is left.
  func detachSlabs(
    to chain: inout SlabChain, atMost limit: Int, under lock: borrowing CacheLocked
  ) -> Bool {
    lock.check(pointee.lock)
    guard !hasCharges else { return true }
    var left = limit
    while left > 0, let slab = pointee.partialFirst ?? pointee.fullFirst {
      if slab.hasFreeObjects {
        unlistSlab(slab, under: lock)
      } else {
        unlistFullSlab(slab, under: lock)
      }
      pointee.objectsInUse -= UInt64(Int(slab.pointee.inUse) * slab.pagesOrObject)
      if slab.pointee.inUse == 0 { pointee.emptyCount -= 1 }
      detach(slab, to: &chain, under: lock)
      left -= 1
    }
    return pointee.partialFirst == nil && pointee.fullFirst == nil
  }

  /// Lists slabs that have just been made, the first of them foremost.
  func addSlabs(_ made: SlabChain, under lock: borrowing CacheLocked) {
    var next = made.first
    while let slab = next {
      next = slab.pointee.next
      addSlab(slab, isLast: state != .active, under: lock)
    }
  }

  /// Lists an empty slab: first, for an allocation that takes from it next, or last. `slabCount` counts it
  /// already.
  func addSlab(_ slab: Pointer<Slab>, isLast: Bool, under lock: borrowing CacheLocked) {
    pointee.objectsTotal += UInt64(slab.pointee.objectCount)
    pointee.units += UInt32(slab.units)
    pointee.emptyCount += 1
    if isLast { listSlabLast(slab, under: lock) } else { listSlabFirst(slab, under: lock) }
  }

  // MARK: - The partial list

  private func listSlabFirst(_ slab: Pointer<Slab>, under lock: borrowing CacheLocked) {
    pointee.partialCount += 1
    slab.pointee.previous = nil
    slab.pointee.next = pointee.partialFirst
    if let first = pointee.partialFirst { first.pointee.previous = slab }
    pointee.partialFirst = slab
    if pointee.partialLast == nil { pointee.partialLast = slab }
  }

  private func listSlabLast(_ slab: Pointer<Slab>, under lock: borrowing CacheLocked) {
    pointee.partialCount += 1
    slab.pointee.next = nil
    slab.pointee.previous = pointee.partialLast
    if let last = pointee.partialLast { last.pointee.next = slab }
    pointee.partialLast = slab
    if pointee.partialFirst == nil { pointee.partialFirst = slab }
  }

  private func unlistSlab(_ slab: Pointer<Slab>, under lock: borrowing CacheLocked) {
    pointee.partialCount -= 1
    let next = slab.pointee.next
    let previous = slab.pointee.previous
    if let next { next.pointee.previous = previous } else { pointee.partialLast = previous }
    if let previous { previous.pointee.next = next } else { pointee.partialFirst = next }
    slab.pointee.next = nil
    slab.pointee.previous = nil
  }

  // MARK: - The list of full slabs

  func listFullSlab(_ slab: Pointer<Slab>, under lock: borrowing CacheLocked) {
    guard !isRoot else { return }
    slab.pointee.next = pointee.fullFirst
    if let first = pointee.fullFirst { first.pointee.previous = slab }
    pointee.fullFirst = slab
  }

  private func unlistFullSlab(_ slab: Pointer<Slab>, under lock: borrowing CacheLocked) {
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
  func sortPartialList(atMost limit: Int, under lock: borrowing CacheLocked) {
    var buckets = InlineArray<33, Pointer<Slab>?>(repeating: nil)
    var left = limit
    while let slab = pointee.partialFirst, slab.pointee.inUse > 0, left > 0 {
      unlistSlab(slab, under: lock)
      let free = Int(slab.pointee.objectCount - slab.pointee.inUse)
      let bucket = min(free, 33) - 1
      slab.pointee.next = buckets[bucket]
      buckets[bucket] = slab
      left -= 1
    }
    for bucket in (0..<33).reversed() {
      while let slab = buckets[bucket] {
        buckets[bucket] = slab.pointee.next
        listSlabFirst(slab, under: lock)
      }
    }
  }
}

extension Pointer where Pointee == Slab {
  /// Puts the objects of a word's places back, all of which users or sheaves must have.
  func put(bits: UInt64, ofWord word: Int) {
    guard putObjects(bits: bits, ofWord: word) else {
      fatal("free: object is free already (double free)")
    }
  }
}
