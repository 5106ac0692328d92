// SPDX-License-Identifier: Apache-2.0
// Blocks: memory of any number of whole pages, at any alignment, each a run of pages of its own. To its cache a
// block is a slab with one object: so what outlives its group, is discarded, reparented, charged and shown goes
// the way of every slab. Two things are different:
//
//   its size        stands in its slab, since every block has another one. The cache's books count pages, of
//                   4 KiB each, where those of other caches count objects.
//   nothing is kept a block goes back to the pages when it is freed: another size is wanted next. The pages keep
//                   what is worth keeping, split it and join it (Pages/PageAllocator+Blocks.swift).
//
// Sizes that are a power of two of pages have caches of large objects, which keep a few (LargeRuns.swift). As
// there, only the first unit's word of the page map is written: the cost of a block does not grow with its pages.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Whether each slab is a block.
  var hasBlocks: Bool { pointee.placeBytes == 0 }

  /// A block of a shape, zero if it must be; for a holder of a handle. A charge, the page lock, and the cache's lock
  /// twice; O(bytes) where another tenant's bytes are cleared.
  func allocateBlock(_ shape: RunShape, isZeroed: Bool) throws(AllocatorError) -> UInt {
    try allocateSlab(shape, isZeroed: isZeroed).pointee.address
  }

  /// A block, or a charge. The slab is the caller's.
  func allocateSlab(_ shape: RunShape, isZeroed: Bool) throws(AllocatorError) -> Pointer<Slab> {
    #if DEBUG
      HeldLocks.expectNone(below: .inHand, "a block")
    #endif
    letForkGoFirst()
    try pinUnlessOver()
    let slab: Pointer<Slab>
    do throws(AllocatorError) { slab = try makeBlock(shape, isZeroed: isZeroed) } catch {
      unpin()
      throw error
    }
    pausePoint(.beforeAddingSlab)
    var chain = SlabChain()
    let lock = pointee.lock.lock()
    let before = pointee.objectsInUse
    pointee.slabCount += 1
    let pages = UInt64(slab.pagesOrObject)
    pointee.objectsTotal += pages
    pointee.objectsInUse += pages
    pointee.units += UInt32(slab.units)
    listFullSlab(slab, under: lock)
    // If the cache was deactivated meanwhile, the block must not stay.
    let isOver = state != .active
    if isOver { dropSlab(slab, to: &chain, under: lock) }
    countObjects(since: before, under: lock)
    lock.unlock()
    release(chain)
    unpin()
    guard isOver else { return slab }
    throw isRoot ? .cacheDestroyed : .groupOffline
  }

  /// Holding no lock.
  private func pinUnlessOver() throws(AllocatorError) {
    let lock = pointee.lock.lock()
    if let refusal { throw refusal }
    pin(under: lock)
  }

  /// A block that is in no book of the cache yet.
  private func makeBlock(
    _ shape: RunShape, isZeroed: Bool
  ) throws(AllocatorError) -> Pointer<Slab> {
    let allocator = pointee.allocator
    let run = try takeRun(shape)
    let map = allocator.pages.pointee.map
    let descriptor: UInt
    do throws(AllocatorError) {
      descriptor = try allocator.slabDescriptors(places: 1).allocate()
    } catch {
      freeRun(run)
      throw error
    }
    if shape.takesPages, !run.isZero, isZeroed || run.isForeign { allocator.pages.clear(run) }
    // SAFETY: the object is ours, of the cache of these descriptors.
    let slab = unsafe Pointer<Slab>(nonzeroAddress: descriptor)
    // SAFETY: the descriptor's memory is ours and large enough for the fields, the bit and the size.
    unsafe slab.unsafePointer.initialize(
      to: Slab(
        owner: address, address: shape.takesPages ? map.address(ofUnit: run.unit) : 0, places: 1,
        order: Slab.orderOfBlock, firstPlace: 0, isForeign: false))
    slab.setAllFree(places: 1, firstPlace: 0)
    slab.setUnits(run.units)
    _ = slab.takeObject(placeBytes: 0)
    if shape.takesPages { map.setSlab(slab, of: self, unit: run.unit, count: 1) }
    pointee.root.add(run.pages, to: RootCache.Sum.objectsTotal)
    pointee.root.add(run.units, to: RootCache.Sum.units)
    return slab
  }

  private func takeRun(_ shape: RunShape) throws(AllocatorError) -> Run {
    guard isRoot else { return try requestRun(shape, atLeast: shape) }
    guard shape.takesPages else { return Run(chargedUnits: shape.units) }
    guard let run = pointee.allocator.pages.allocate(shape, for: tenant) else {
      throw .outOfMemory
    }
    return run
  }

  // MARK: - Another size

  /// Units of a live block. O(1).
  func units(ofBlock block: UInt) -> Int { slab(ofBlock: block).units }

  private func slab(ofBlock block: UInt) -> Pointer<Slab> {
    let map = pointee.allocator.pages.pointee.map
    let slab = map.slab(of: map.word(at: block))
    guard slab.pointee.address == block else { fatal("resize: not the start of an object") }
    return slab
  }

  /// Gives the end of a live block back, also where its group has ended. O(depth).
  func shrinkBlock(_ block: UInt, toUnits units: Int) {
    let slab = slab(ofBlock: block)
    let old = slab.units
    let map = pointee.allocator.pages.pointee.map
    letForkGoFirst()
    setUnits(units, of: slab)
    let rest = Run(unit: map.unit(of: block) + units, units: old - units)
    freeRun(rest)
    unpin()
    if pointee.allocator.pages.isWorkerWanted() { pointee.allocator.wakeWorkers() }
  }

  /// Makes a live block longer, by the pages behind it or by a move of its contents; what is new is zero, or what the
  /// same tenant has left there. Its new address; when it throws it is as it was. For holders of a handle on the
  /// group of this cache. What is charged meanwhile is the difference alone.
  func growBlock(_ block: UInt, toUnits units: Int) throws(AllocatorError) -> UInt {
    let allocator = pointee.allocator
    let map = allocator.pages.pointee.map
    let slab = slab(ofBlock: block)
    let old = Run(unit: map.unit(of: block), units: slab.units)
    letForkGoFirst()
    try pinUnlessOver()
    let run: Run
    do throws(AllocatorError) {
      run = try takeRun(RunShape(growing: old, to: units))
    } catch {
      unpin()
      throw error
    }
    let isInPlace = run.unit == old.end
    let new = isInPlace ? run : Run(unit: run.unit + old.units, units: units - old.units)
    if run.isForeign { allocator.pages.clear(new) }
    let target = isInPlace ? block : map.address(ofUnit: run.unit)
    if !isInPlace { moveBlock(slab, of: old, to: run) }
    setUnits(units, of: slab)
    // Of the two pins.
    unpin()
    unpin()
    return target
  }

  /// The contents of a block to another run, whose rest is not theirs; the old one goes back, its charge stays.
  private func moveBlock(_ slab: Pointer<Slab>, of old: Run, to run: Run) {
    let pages = pointee.allocator.pages
    let map = pages.pointee.map
    let target = map.address(ofUnit: run.unit)
    var left = old
    left.isZero = pages.moveContents(from: slab.pointee.address, to: target, bytes: old.bytes)
    map.setSlab(slab, of: self, unit: run.unit, count: 1)
    slab.pointee.address = target
    map.clear(unit: old.unit, count: 1)
    // Which group's it is only the rooms above know; what the kernel has moved has no bytes of any.
    pages.free(left, of: isRoot ? tenant : .nobody)
  }

  /// Notes another size of a block, and pins the cache.
  private func setUnits(_ units: Int, of slab: Pointer<Slab>) {
    let lock = pointee.lock.lock()
    let before = pointee.objectsInUse
    let pages = (units - slab.units) / UnitMap.unitsOfPage
    pointee.objectsInUse = UInt64(Int(pointee.objectsInUse) + pages)
    pointee.objectsTotal = UInt64(Int(pointee.objectsTotal) + pages)
    pointee.units = UInt32(Int(pointee.units) + units - slab.units)
    slab.setUnits(units)
    countObjects(since: before, under: lock)
    pin(under: lock)
    lock.unlock()
    pointee.root.add(pages, to: RootCache.Sum.objectsTotal)
    pointee.root.add(pages * UnitMap.unitsOfPage, to: RootCache.Sum.units)
  }
}
