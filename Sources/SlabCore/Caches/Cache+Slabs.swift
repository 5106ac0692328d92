// SPDX-License-Identifier: Apache-2.0
// Making slabs and giving them back: never under the cache's lock, since a charge, the page lock
// and a constructor stand in between. `slabCount` counts such a slab all the while, so the cache
// cannot end under the thread that works on it.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Makes a slab of a run, which goes back if there is no memory for its descriptor.
  func makeSlab(of run: Run) throws(AllocatorError) -> Pointer<Slab> {
    let places = pointee.root.pointee.geometry.objectCount(order: run.order)
    let allocator = pointee.allocator
    let start = allocator.pages.pointee.map.address(ofUnit: run.unit)
    let firstObject = start + UInt(color(places: places, order: run.order))
    // The first objects are written to very soon, and recycled memory is cold among many groups.
    for place in 0..<min(places, 3) {
      prefetch(firstObject + UInt(place) * UInt(pointee.placeBytes))
    }
    let descriptor: UInt
    do throws(AllocatorError) {
      descriptor = try makeDescriptor(start: start, places: places)
    } catch {
      freeRun(run)
      throw error
    }
    let firstPlace = pointee.isSelfDescribing ? 1 : 0
    // SAFETY: the object is ours, of the cache of these descriptors.
    let slab = unsafe Pointer<Slab>(address: descriptor)!
    // SAFETY: the descriptor's memory is ours and large enough for the fields and their bits.
    unsafe slab.unsafePointer.initialize(
      to: Slab(
        owner: address, address: firstObject, places: places, order: run.order,
        firstPlace: firstPlace,
        isForeign: isClearedObjectByObject(run)))
    slab.setAllFree(places: places, firstPlace: firstPlace)
    construct(from: firstObject, places: places)
    allocator.pages.pointee.map.setSlab(
      slab, of: mapped, unit: run.unit, count: mappedUnits(of: run))
    let root = pointee.root
    root.add(places - firstPlace, to: RootCache.Sum.objectsTotal)
    root.add(run.units, to: RootCache.Sum.units)
    return slab
  }

  /// Memory for a slab's descriptor, and of a shared slab for its payers.
  private func makeDescriptor(start: UInt, places: Int) throws(AllocatorError) -> UInt {
    switch pointee.kind {
    case .selfDescribing: return start
    case .shared: return try makeSharedDescriptor(places: places)
    case .plain, .gate:
      return try pointee.allocator.slabDescriptors(places: places).allocate()
    }
  }

  /// Where the first object of a slab is. Descriptors of the core do not start with a page if the
  /// slab has room to spare: users' first objects do, and every allocation reads the first words of
  /// a child cache; it would wait for a store to an object with the same lowest twelve bits.
  private func color(places: Int, order: Int) -> Int {
    guard pointee.root.pointee.isInternal, !pointee.isSelfDescribing else { return 0 }
    let spare = (UnitMap.unitBytes << order) - places * Int(pointee.placeBytes)
    return min(spare, SlabGeometry.cacheLine) & ~(SlabGeometry.cacheLine - 1)
  }

  /// Clears a run that another tenant had, where that must be done now. True if it is done later, as objects are handed
  /// out. What the core leaves in its own objects' memory no user sees.
  private func isClearedObjectByObject(_ run: Run) -> Bool {
    let root = pointee.root
    guard run.isForeign, !root.pointee.isInternal else { return false }
    // Large objects are not cleared under the cache's lock; constructors and poison come first.
    guard unsafe root.pointee.constructor == nil, !root.pointee.isPoisoned,
      !hasLargeObjects
    else {
      zeroMemory(
        at: pointee.allocator.pages.pointee.map.address(ofUnit: run.unit), bytes: run.bytes)
      return false
    }
    return true
  }

  /// Units of a slab whose words in the page map are its own. An object that has a run of pages to itself
  /// is looked up by where it begins; the words inside the run stay 0, as they were while it was free.
  private func mappedUnits(of run: Run) -> Int {
    hasLargeObjects || hasBlocks ? 1 : run.units
  }

  private func construct(from firstObject: UInt, places: Int) {
    if pointee.root.pointee.isPoisoned {
      for place in 0..<places { poison(firstObject + UInt(place) * UInt(pointee.placeBytes)) }
    }
    guard let constructor = unsafe pointee.root.pointee.constructor else { return }
    pointee.allocator.expectNoLock(below: .inHand, "a constructor")
    for place in 0..<places {
      // SAFETY: the object lies in the run, which no other thread knows yet.
      unsafe constructor(
        UnsafeMutableRawPointer(bitPattern: firstObject + UInt(place) * UInt(pointee.placeBytes))!)
    }
  }

  /// Of a root: the tenant of what its objects hold.
  var tenant: Tenant { pointee.root.pointee.isInternal ? .nobody : .rootGroup }

  func freeRun(_ run: Run) {
    if isRoot {
      guard run.hasPages else { return }
      pointee.allocator.pages.free(run, of: tenant)
    } else {
      // SAFETY: the run lives as long as the call.
      unsafe withUnsafePointer(to: run) {
        unsafe giveBackRuns(UnsafeBufferPointer(start: $0, count: 1))
      }
    }
  }

  /// Gives detached slabs back, then takes them off `slabCount`; the thread that takes the last one
  /// off a deactivated cache hands it to the destroy queue. The cache may be gone when this
  /// returns. O(slabs); the page lock once for 16 of them.
  func release(_ chain: SlabChain) {
    guard chain.first != nil else { return }
    pausePoint(.beforeReleasingSlabs)
    let root = pointee.root
    var count = 0
    var next = chain.first
    while next != nil {
      var piece = SlabPiece()
      while piece.count < SlabPiece.most, let slab = next {
        next = slab.pointee.next
        piece.append(slab)
      }
      root.add(-piece.objects, to: RootCache.Sum.objectsTotal)
      root.add(-piece.units, to: RootCache.Sum.units)
      if root.pointee.isTypeSafe {
        for index in 0..<piece.count {
          pointee.allocator.cachesState.pointee.above.giveBackLater(piece[index].address)
        }
      } else {
        giveBack(piece)
      }
      count += piece.count
    }
    let allocator = pointee.allocator
    let lock = pointee.lock.lock()
    pointee.slabCount -= UInt32(count)
    let isLast = becomesDyingIfEmpty(under: lock)
    lock.unlock()
    if isLast { allocator.handOver(self) }
    allocator.putDown(count)
    if allocator.pages.isWorkerWanted() { allocator.wakeWorkers() }
  }

  /// Slabs that are in no book any more: their runs and their descriptors.
  fileprivate func giveBack(_ piece: SlabPiece) {
    // SAFETY: all that is read is written before. On the stack, since it is below 1,024 bytes.
    unsafe withUnsafeTemporaryAllocation(of: Run.self, capacity: SlabPiece.most) { runs in
      for index in 0..<piece.count {
        unsafe runs.initializeElement(at: index, to: takeRun(of: piece[index]))
      }
      let taken = unsafe UnsafeBufferPointer(rebasing: runs[..<piece.count])
      guard isRoot else { return unsafe giveBackRuns(taken) }
      for index in 0..<taken.count {
        let run = unsafe taken[index]
        if run.hasPages { pointee.allocator.pages.free(run, of: tenant) }
      }
    }
    guard !pointee.isSelfDescribing else { return }
    for index in 0..<piece.count {
      let slab = piece[index]
      guard pointee.kind != .shared else {
        freeSharedDescriptor(slab)
        continue
      }
      pointee.allocator.slabDescriptors(places: Int(slab.pointee.objectCount)).free(slab.address)
    }
  }

  /// The memory of a slab that is in no book any more, which the page map forgets.
  private func takeRun(of slab: Pointer<Slab>) -> Run {
    guard !hasCharges else { return Run(chargedUnits: slab.units) }
    let map = pointee.allocator.pages.pointee.map
    let run = Run(
      unit: map.unit(of: slab.pointee.address), units: slab.units, isForeign: slab.isForeign)
    map.clear(unit: run.unit, count: mappedUnits(of: run))
    return run
  }

  /// After a grace period, of a type-safe cache: no reader can have found an object in the slab.
  func giveBack(_ slab: Pointer<Slab>) {
    var piece = SlabPiece()
    piece.append(slab)
    giveBack(piece)
  }

  /// Whether this thread is the one that ends the cache. If so, it must pass it to the destroy queue after the
  /// unlock. No other thread can touch it in between: there is no object left to free, and no allocation gets past
  /// the state.
  func becomesDyingIfEmpty(under lock: borrowing CacheLocked) -> Bool {
    guard pointee.slabCount == 0, state == .deactivated else { return false }
    moveState(to: .dying, under: lock)
    return true
  }
}

/// A few slabs that go back together.
private struct SlabPiece {
  private var slabs = InlineArray<16, Pointer<Slab>?>(repeating: nil)
  private(set) var count = 0
  /// Objects that they hold, and their memory.
  private(set) var objects = 0
  private(set) var units = 0

  static var most: Int { 16 }

  mutating func append(_ slab: Pointer<Slab>) {
    slabs[count] = slab
    count += 1
    objects += Int(slab.pointee.objectCount) * slab.pagesOrObject
    units += slab.units
  }

  subscript(_ index: Int) -> Pointer<Slab> { slabs[index]! }
}
