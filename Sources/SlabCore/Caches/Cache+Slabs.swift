// Making slabs and giving them back: never under the cache's lock, since a charge, the page lock
// and a constructor stand in between. `slabCount` counts such a slab all the while, so the cache
// cannot end under the thread that works on it.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Makes a slab of the cache. `units` is the memory that the cache had under its lock.
  func makeSlab(afterUnits units: Int) throws(AllocatorError) -> Pointer<Slab> {
    let run = try allocateRun(afterUnits: units)
    pointee.group?.reclaimAboveHigh()
    let slots = pointee.root.pointee.geometry.objectCount(order: run.order)
    let allocator = pointee.allocator
    let start = allocator.pointee.pages.map.address(ofUnit: run.unit)
    let firstObject = start + UInt(color(slots: slots, order: run.order))
    // The first objects are written to very soon, and recycled memory is cold among many groups.
    for slot in 0..<min(slots, 3) { prefetch(firstObject + UInt(slot) * UInt(pointee.slotBytes)) }
    let descriptor: UInt
    if pointee.isSelfDescribing {
      descriptor = start
    } else {
      do throws(AllocatorError) {
        descriptor = try allocator.slabDescriptors(slots: slots).allocate()
      } catch {
        freeRun(run)
        throw error
      }
    }
    let firstSlot = pointee.isSelfDescribing ? 1 : 0
    let slab = Pointer<Slab>(address: descriptor)!
    // SAFETY: the descriptor's memory is ours and large enough for the fields and their bits.
    unsafe slab.unsafePointer.initialize(
      to: Slab(
        cache: self, address: firstObject, slots: slots, order: run.order, firstSlot: firstSlot,
        isForeign: isClearedObjectByObject(run)))
    slab.setAllFree(slots: slots, firstSlot: firstSlot)
    construct(from: firstObject, slots: slots)
    allocator.pointee.pages.map.setSlab(
      slab, of: self, unit: run.unit, count: mappedUnits(order: run.order))
    let root = pointee.root
    root.add(slots - firstSlot, to: RootCache.Sum.objectsTotal)
    root.add(1 << run.order, to: RootCache.Sum.units)
    return slab
  }

  /// Where the first object of a slab is. Descriptors of the core do not start with a page if the
  /// slab has room to spare: users' first objects do, and every allocation reads the first words of
  /// a child cache; it would wait for a store to an object with the same lowest twelve bits.
  private func color(slots: Int, order: Int) -> Int {
    guard pointee.root.pointee.isInternal, !pointee.isSelfDescribing else { return 0 }
    let spare = (UnitMap.unitBytes << order) - slots * Int(pointee.slotBytes)
    return min(spare, SlabGeometry.cacheLine) & ~(SlabGeometry.cacheLine - 1)
  }

  /// Clears a run for a slab that another tenant had, where that must be done now; whether it is done as
  /// objects are handed out. What the core leaves in its own objects' memory nobody sees.
  private func isClearedObjectByObject(_ run: Run) -> Bool {
    let root = pointee.root
    guard run.isForeign, !root.pointee.isInternal else { return false }
    // Large objects are not cleared under the cache's lock; constructors and poison come first.
    guard unsafe root.pointee.constructor == nil, !root.pointee.isPoisoned,
      pointee.slotBytes < SlabGeometry.pageRun
    else {
      zeroMemory(
        at: pointee.allocator.pointee.pages.map.address(ofUnit: run.unit), bytes: run.bytes)
      return false
    }
    return true
  }

  /// Units of a slab whose words in the page map are its own. An object that has a run of pages to itself
  /// is looked up by where it begins; the words inside the run stay 0, as they were while it was free.
  private func mappedUnits(order: Int) -> Int {
    pointee.slotBytes < SlabGeometry.pageRun ? 1 << order : 1
  }

  private func construct(from firstObject: UInt, slots: Int) {
    if pointee.root.pointee.isPoisoned {
      for slot in 0..<slots { poison(firstObject + UInt(slot) * UInt(pointee.slotBytes)) }
    }
    guard let constructor = unsafe pointee.root.pointee.constructor else { return }
    pointee.allocator.expectRegistryUnlocked("registry lock: held over a constructor")
    for slot in 0..<slots {
      // SAFETY: the object lies in the run, which nobody else knows yet.
      unsafe constructor(
        UnsafeMutableRawPointer(bitPattern: firstObject + UInt(slot) * UInt(pointee.slotBytes))!)
    }
  }

  /// A run for the next slab, charged to the cache's group. A refused charge or allocation is
  /// tried again with the smallest slab, then, for a charge, after a reclaim.
  private func allocateRun(afterUnits units: Int) throws(AllocatorError) -> Run {
    let geometry = pointee.root.pointee.geometry
    // A child's slabs are made by holders of a handle, for whom it does not change.
    guard let group = pointee.group else {
      let pages = pointee.allocator.pages
      if let run = pages.allocate(order: geometry.fullOrder, for: tenant) { return run }
      let smallest = max(UnitMap.pageOrder, geometry.firstOrder)
      guard smallest < geometry.fullOrder, let run = pages.allocate(order: smallest, for: tenant)
      else { throw .outOfMemory }
      return run
    }
    let order = geometry.nextOrder(afterUnits: units)
    do throws(AllocatorError) {
      return try group.allocateRun(order: order)
    } catch {
      if order > geometry.firstOrder, let run = try? group.allocateRun(order: geometry.firstOrder) {
        return run
      }
      guard case .groupLimit(let refusing) = error else { throw error }
      return try group.allocateRunAfterReclaim(order: geometry.firstOrder, refusedBy: refusing)
    }
  }

  /// Of a root: whose bytes its objects hold.
  private var tenant: Tenant { pointee.root.pointee.isInternal ? .nobody : .rootGroup }

  private func freeRun(_ run: Run) {
    if isRoot {
      pointee.allocator.pages.free(run, of: tenant)
    } else {
      freeChargedRuns(InlineArray(repeating: run), count: 1)
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
        countAwaiting(piece.count)
        for index in 0..<piece.count {
          unsafe pointee.allocator.call(piece[index].callback, giveBackAfterGracePeriod)
        }
      } else {
        giveBack(piece)
      }
      count += piece.count
    }
    let allocator = pointee.allocator
    pointee.lock.lock()
    pointee.slabCount -= UInt32(count)
    let isLast = becomesDyingIfEmpty()
    pointee.lock.unlock()
    if isLast { allocator.enqueueDying(self) }
    allocator.putDown(count)
    if allocator.pointee.pages.hasExcess.load(ordering: .relaxed) { allocator.kickWorkers() }
  }

  /// Slabs that are in no book any more: their runs and their descriptors.
  fileprivate func giveBack(_ piece: SlabPiece) {
    let map = pointee.allocator.pointee.pages.map
    var runs = InlineArray<16, Run>(repeating: Run())
    for index in 0..<piece.count {
      let slab = piece[index]
      runs[index] = Run(
        unit: map.unit(of: slab.pointee.address), order: slab.pointee.order,
        isForeign: slab.isForeign)
      map.clear(unit: runs[index].unit, count: mappedUnits(order: runs[index].order))
    }
    if isRoot {
      for index in 0..<piece.count {
        pointee.allocator.pages.free(runs[index], of: tenant)
      }
    } else {
      freeChargedRuns(runs, count: piece.count)
    }
    guard !pointee.isSelfDescribing else { return }
    for index in 0..<piece.count {
      let slab = piece[index]
      pointee.allocator.slabDescriptors(slots: Int(slab.pointee.objectCount)).free(slab.address)
    }
  }

  /// Under the lock: whether this thread is the one that ends the cache. If so, it must pass it to
  /// the destroy queue after the unlock, and nobody else can touch it in between: there is no
  /// object left to free, and no allocation gets past the state.
  func becomesDyingIfEmpty() -> Bool {
    guard pointee.slabCount == 0, state == .deactivated else { return false }
    moveState(to: .dying)
    return true
  }
}

/// The callback of a type-safe slab: no reader can have found an object in it.
private func giveBackAfterGracePeriod(_ head: UnsafeMutableRawPointer) {
  let slab = Pointer<Slab>(callback: UInt(bitPattern: head))
  var piece = SlabPiece()
  piece.append(slab)
  let cache = slab.pointee.cache
  cache.giveBack(piece)
  // The cache is there until a barrier behind this callback.
  cache.countAwaiting(-1)
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
    objects += Int(slab.pointee.objectCount)
    units += 1 << slab.pointee.order
  }

  subscript(_ index: Int) -> Pointer<Slab> { slabs[index]! }
}
