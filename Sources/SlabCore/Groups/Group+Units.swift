// SPDX-License-Identifier: Apache-2.0
// The memory of a group's slabs. Slabs of a page and more come from the page allocator; smaller
// ones share pages that belong to the group alone, so that tenants never share a page, and a
// tenant with three sizes needs one page and not three.
//
// A group's pages of units are a buddy system of orders 0 and 1 on the page map, under the page
// lock; a page whose units are all free goes back, and its charge with it. Pages that a parent took
// over with the caches in them are its own from then on, free units included; but what is in them is
// another tenant's, and since lists are joined in O(1) it cannot be told apart: such a parent's units
// are foreign to it.

internal import SlabPlatform

extension Pointer where Pointee == Group {
  /// A run of a shape charged to this group. What a block that grows gets is all that it needs, charged by what it
  /// has not had.
  func allocateRun(
    _ shape: RunShape, isOver: Bool = false
  ) throws(AllocatorError) -> Run {
    let pages = allocator.pages
    if shape.isBelowPage {
      let lock = pages.pointee.lock.lock()
      let order = shape.units.trailingZeroBitCount
      if let units = takeUnits(order: order, under: lock) { return units }
    }
    pausePoint(.beforeCharging)
    if let refusing = charge(bytes: shape.chargedBytes, isOver ? .over : .ordinary) {
      throw refusing.pointee.current.isClosed ? .groupOffline : .groupLimit(refusing)
    }
    guard shape.takesPages else { return Run(chargedUnits: shape.units) }
    guard let run = pages.allocating({ takePages(shape, under: $0) }) else {
      uncharge(bytes: shape.chargedBytes)
      throw .outOfMemory
    }
    return run
  }

  private func takePages(_ shape: RunShape, under lock: borrowing PagesLocked) -> Run? {
    let pages = allocator.pages
    guard shape.isBelowPage else {
      return pages.pointee.allocate(shape, for: pointee.tenant, under: lock)
    }
    guard
      var run = pages.pointee.allocate(
        order: UnitMap.pageOrder, for: pointee.tenant, under: lock)
    else { return nil }
    // The rest of a page stays the group's: the upper half as one run of two, then one of one.
    while run.units > shape.units {
      run.units /= 2
      pushUnits(
        Run(unit: run.end, units: run.units, isForeign: run.isForeign), under: lock)
    }
    return run
  }

  private var allocator: Pointer<GroupsState> { pointee.allocator }

  /// Units from the group's own pages.
  private func takeUnits(order: Int, under lock: borrowing PagesLocked) -> Run? {
    if let units = popUnits(order: order, under: lock) { return units }
    guard order == 0, var units = popUnits(order: 1, under: lock) else { return nil }
    units.units = 1
    pushUnits(Run(unit: units.end, order: 0, isForeign: units.isForeign), under: lock)
    return units
  }

  /// Of a free unit the bit that says "dirty" of a page says "foreign": no unit is clean.
  private func pushUnits(_ units: Run, under lock: borrowing PagesLocked) {
    allocator.pages.pointee.map.pushFree(
      unit: units.unit, order: units.order, dirty: units.isForeign,
      head: &pointee.freeUnits[units.order])
  }

  private func popUnits(order: Int, under lock: borrowing PagesLocked) -> Run? {
    let map = allocator.pages.pointee.map
    let head = pointee.freeUnits[order]
    guard head != UnitMap.none else { return nil }
    let isForeign = UnitMap.isDirty(map.words[Int(head)]) || pointee.hasInheritedUnits
    map.removeFree(unit: Int(head), head: &pointee.freeUnits[order])
    return Run(unit: Int(head), order: order, isForeign: isForeign)
  }
}

extension Pointer where Pointee == Cache {
  /// Of a child that has a slab: the group that its memory is charged to. The page lock keeps that group from being
  /// released, and its charges from moving on.
  private func charged(under lock: borrowing PagesLocked) -> Pointer<Group> {
    let group = pointee.group!
    pausePoint(.beforeUncharging)
    return group.state.hasHandedOver ? group.pointee.parent! : group
  }

  /// Takes a child's runs back and their charge, as far as pages became free: from the group that the
  /// charge is with now. Uncharging under the page lock costs others O(depth) additions; afterwards
  /// the group may be gone. O(runs + depth).
  func freeChargedRuns(_ runs: UnsafePointer<Run>, count: Int) {
    let pages = pointee.allocator.pages
    let lock = pages.pointee.lock.lock()
    let group = charged(under: lock)
    var bytes = 0
    for index in 0..<count {
      var run = unsafe runs[index]
      // What an inherited cache leaves is not the heir's.
      if pointee.isInherited || group != pointee.group { run.isForeign = true }
      bytes += group.takeBack(run, under: lock)
    }
    if bytes > 0 { group.uncharge(bytes: bytes) }
  }
}

extension Pointer where Pointee == Group {
  /// Takes a run of a slab of the group back. Returns the bytes of pages that became free.
  fileprivate func takeBack(_ run: Run, under lock: borrowing PagesLocked) -> Int {
    guard run.hasPages else { return run.bytes }
    let pages = allocator.pages
    let map = pages.pointee.map
    var run = run
    if run.units < UnitMap.unitsOfPage, pointee.hasInheritedUnits { run.isForeign = true }
    while run.units < UnitMap.unitsOfPage {
      let buddy = run.unit ^ 1 << run.order
      let word = map.neighbour(buddy)
      guard UnitMap.isFree(word), UnitMap.order(word) == run.order else { break }
      map.removeFree(unit: buddy, head: &pointee.freeUnits[run.order])
      if UnitMap.isDirty(word) { run.isForeign = true }
      run.unit = min(run.unit, buddy)
      run.units *= 2
    }
    guard run.units >= UnitMap.unitsOfPage else {
      pushUnits(run, under: lock)
      return 0
    }
    pages.pointee.free(run, of: pointee.tenant, under: lock)
    return run.bytes
  }
}
