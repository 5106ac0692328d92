// The memory of a group's slabs. Slabs of a page and more come from the page allocator; smaller
// ones share pages that belong to the group alone, so that tenants never share a page, and a
// tenant with three sizes needs one page and not three.
//
// A group's pages of units are a buddy system of orders 0 and 1 on the page map, under the page
// lock; a page whose units are all free goes back, and its charge with it. Pages that a parent took
// over with the caches in them are its own from then on, free units included.

internal import SlabPlatform

extension Pointer where Pointee == Group {
  /// A run of 2^order units charged to this group.
  func allocateRun(order: Int) throws(AllocatorError) -> Int {
    let pages = allocator.pages
    if order < UnitMap.pageOrder {
      pages.pointee.lock.lock()
      let unit = takeUnits(order: order)
      pages.pointee.lock.unlock()
      if let unit { return unit }
    }
    let runOrder = max(order, UnitMap.pageOrder)
    let bytes = UnitMap.unitBytes << runOrder
    pausePoint(.beforeCharging)
    if let refusing = charge(bytes: bytes) {
      throw refusing.pointee.current.isClosed ? .groupOffline : .groupLimit(refusing)
    }
    pages.pointee.lock.lock()
    defer { pages.pointee.lock.unlock() }
    guard let unit = pages.pointee.allocate(order: runOrder) else {
      uncharge(bytes: bytes)
      throw .outOfMemory
    }
    // The rest of a page stays the group's: the upper half as one run of two, then one of one.
    var split = runOrder
    while split > order {
      split -= 1
      pages.pointee.map.pushFree(
        unit: unit + 1 << split, order: split, dirty: true, head: &pointee.freeUnits[split])
    }
    return unit
  }

  private var allocator: Pointer<AllocatorState> { pointee.allocator }

  /// Under the page lock: units from the group's own pages.
  private func takeUnits(order: Int) -> Int? {
    let map = allocator.pointee.pages.map
    if let unit = map.popFree(head: &pointee.freeUnits[order]) { return unit }
    guard order == 0, let unit = map.popFree(head: &pointee.freeUnits[1]) else { return nil }
    map.pushFree(unit: unit + 1, order: 0, dirty: true, head: &pointee.freeUnits[0])
    return unit
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
  func freeChargedRuns(_ runs: InlineArray<16, (unit: Int, order: Int)>, count: Int) {
    let pages = pointee.allocator.pages
    pages.pointee.lock.lock()
    defer { pages.pointee.lock.unlock() }
    let group = charged
    var bytes = 0
    for index in 0..<count {
      bytes += group.takeBack(unit: runs[index].unit, order: runs[index].order)
    }
    if bytes > 0 { group.uncharge(bytes: bytes) }
  }
}

extension Pointer where Pointee == Group {
  /// Under the page lock: a run of a slab of the group. Returns the bytes of pages that became free.
  fileprivate func takeBack(unit: Int, order: Int) -> Int {
    let pages = allocator.pages
    let map = pages.pointee.map
    var unit = unit
    var order = order
    while order < UnitMap.pageOrder {
      let buddy = unit ^ 1 << order
      let word = map.neighbour(buddy)
      guard UnitMap.isFree(word), UnitMap.order(word) == order else { break }
      map.removeFree(unit: buddy, head: &pointee.freeUnits[order])
      unit = min(unit, buddy)
      order += 1
    }
    guard order >= UnitMap.pageOrder else {
      map.pushFree(unit: unit, order: order, dirty: true, head: &pointee.freeUnits[order])
      return 0
    }
    pages.pointee.free(unit: unit, order: order)
    return UnitMap.unitBytes << order
  }
}
