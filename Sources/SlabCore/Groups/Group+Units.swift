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
  /// A run of 2^order units charged to this group.
  func allocateRun(order: Int) throws(AllocatorError) -> Run {
    let pages = allocator.pages
    if order < UnitMap.pageOrder {
      pages.pointee.lock.lock()
      let units = takeUnits(order: order)
      pages.pointee.lock.unlock()
      if let units { return units }
    }
    let runOrder = max(order, UnitMap.pageOrder)
    let bytes = UnitMap.unitBytes << runOrder
    pausePoint(.beforeCharging)
    if let refusing = charge(bytes: bytes) {
      throw refusing.pointee.current.isClosed ? .groupOffline : .groupLimit(refusing)
    }
    pages.pointee.lock.lock()
    defer { pages.pointee.lock.unlock() }
    guard var run = pages.pointee.allocate(order: runOrder, for: pointee.tenant) else {
      uncharge(bytes: bytes)
      throw .outOfMemory
    }
    // The rest of a page stays the group's: the upper half as one run of two, then one of one.
    while run.order > order {
      run.order -= 1
      pushUnits(
        Run(unit: run.unit + 1 << run.order, order: run.order, isForeign: run.isForeign))
    }
    return run
  }

  private var allocator: Pointer<AllocatorState> { pointee.allocator }

  /// Under the page lock: units from the group's own pages.
  private func takeUnits(order: Int) -> Run? {
    if let units = popUnits(order: order) { return units }
    guard order == 0, var units = popUnits(order: 1) else { return nil }
    units.order = 0
    pushUnits(Run(unit: units.unit + 1, order: 0, isForeign: units.isForeign))
    return units
  }

  /// Of a free unit the bit that says "dirty" of a page says "foreign": no unit is clean.
  private func pushUnits(_ units: Run) {
    allocator.pointee.pages.map.pushFree(
      unit: units.unit, order: units.order, dirty: units.isForeign,
      head: &pointee.freeUnits[units.order])
  }

  private func popUnits(order: Int) -> Run? {
    let map = allocator.pointee.pages.map
    let head = pointee.freeUnits[order]
    guard head != UnitMap.none else { return nil }
    let isForeign = UnitMap.isDirty(map.words[Int(head)]) || pointee.hasInheritedUnits
    map.removeFree(unit: Int(head), head: &pointee.freeUnits[order])
    return Run(unit: Int(head), order: order, isForeign: isForeign)
  }
}

extension Pointer where Pointee == Cache {
  /// Under the page lock, of a child that has a slab: the group that its memory is charged to. The
  /// lock keeps that group from being released, and its charges from moving on.
  private var charged: Pointer<Group> {
    let group = pointee.group!
    pausePoint(.beforeUncharging)
    return group.state.hasHandedOver ? group.pointee.parent! : group
  }

  /// Takes a child's runs back and their charge, as far as pages became free: from the group that the
  /// charge is with now. Uncharging under the page lock costs others O(depth) additions; afterwards
  /// the group may be gone. O(runs + depth).
  func freeChargedRuns(_ runs: InlineArray<16, Run>, count: Int) {
    let pages = pointee.allocator.pages
    pages.pointee.lock.lock()
    defer { pages.pointee.lock.unlock() }
    let group = charged
    var bytes = 0
    for index in 0..<count {
      var run = runs[index]
      // What an inherited cache leaves is not the heir's.
      if pointee.isInherited || group != pointee.group { run.isForeign = true }
      bytes += group.takeBack(run)
    }
    if bytes > 0 { group.uncharge(bytes: bytes) }
  }
}

extension Pointer where Pointee == Group {
  /// Under the page lock: a run of a slab of the group. Returns the bytes of pages that became free.
  fileprivate func takeBack(_ run: Run) -> Int {
    let pages = allocator.pages
    let map = pages.pointee.map
    var run = run
    if run.order < UnitMap.pageOrder, pointee.hasInheritedUnits { run.isForeign = true }
    while run.order < UnitMap.pageOrder {
      let buddy = run.unit ^ 1 << run.order
      let word = map.neighbour(buddy)
      guard UnitMap.isFree(word), UnitMap.order(word) == run.order else { break }
      map.removeFree(unit: buddy, head: &pointee.freeUnits[run.order])
      if UnitMap.isDirty(word) { run.isForeign = true }
      run.unit = min(run.unit, buddy)
      run.order += 1
    }
    guard run.order >= UnitMap.pageOrder else {
      pushUnits(run)
      return 0
    }
    pages.pointee.free(run, of: pointee.tenant)
    return run.bytes
  }
}
