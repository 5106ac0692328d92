// SPDX-License-Identifier: Apache-2.0
// From a root cache to the group's child of it: a small hash table, read without a lock on every
// charged allocation.
//
//   word 0        mask, in bytes: 8 * (the number of cells, a power of two, - 1)
//   word 1 + i    the address of a child cache, of `vacant` (ends a search) or of `tombstone`
//
// The last two are descriptors that belong to no root. So the fast path has one comparison, of the root that it finds,
// also for an empty cell.
//
// A child of root r is in the first fitting cell from index(r) & mask on. Cells are written under
// the registry lock. The first table of 8 cells is part of the group's descriptor; larger ones are
// objects of the core's, or runs of pages, and a reader may still use an old one while it holds a handle: so
// old tables are chained behind the new one and go away with the group.

public import SlabPlatform
public import Synchronization

extension Pointer where Pointee == Group {
  private var vacant: UInt64 { UInt64(pointee.allocator.groupsState.pointee.vacantCache) }
  private var tombstone: UInt64 { UInt64(pointee.allocator.groupsState.pointee.tombstoneCache) }

  /// The child of a root, if the first cell has it: the fast path's look. Else a cache of another
  /// root, or of none.
  @inlinable @inline(__always)
  package func likelyChild(of root: Pointer<RootCache>) -> Pointer<Cache> {
    // Acquiring: pairs with the releasing stores in `publish` and `growTable`, so that a reader
    // finds a whole table and a whole cache.
    let table = pointee.table.load(ordering: .acquiring)
    let offset = root.pointee.tableOffset & UInt(truncatingIfNeeded: Words(at: table)[0])
    let cell = AtomicWord(at: table &+ offset &+ 8).load()
    // SAFETY: a cell is the address of a cache, or of one of the two descriptors that stand for none.
    return unsafe Pointer<Cache>(nonzeroAddress: UInt(truncatingIfNeeded: cell))
  }

  /// The child of a root. O(1) expected.
  func child(of root: Pointer<RootCache>) -> Pointer<Cache>? {
    // SAFETY: a cell is the address of a cache, or of one of the two descriptors that stand for none.
    cell(of: root).map { unsafe Pointer<Cache>(nonzeroAddress: UInt(AtomicWord(at: $0).load())) }
  }

  /// Address of the cell with a root's child.
  private func cell(of root: Pointer<RootCache>) -> UInt? {
    let table = pointee.table.load(ordering: .acquiring)
    let mask = Int(Words(at: table)[0]) / 8
    var index = root.pointee.index & mask
    for _ in 0...mask {
      let cell = table + 8 + UInt(index) * 8
      let word = AtomicWord(at: cell).load()
      if word == vacant { return nil }
      // SAFETY: a cell is the address of a cache, or of one of the two descriptors that stand for none.
      if word != tombstone, unsafe Pointer<Cache>(nonzeroAddress: UInt(word)).pointee.root == root {
        return cell
      }
      index = (index + 1) & mask
    }
    return nil
  }

  /// Makes the lists and the table of a new group, all empty.
  func makeEmpty() {
    caches.makeEmptyList()
    childGroups.makeEmptyList()
    shrinkers.makeEmptyList()
    makeReclaimableList()
    makeInlineTable()
  }

  /// Gives the group its inline table, empty.
  private func makeInlineTable() {
    pointee.inlineMask = 7 * 8
    pointee.inlineCells = InlineArray(repeating: vacant)
    let mask = Pointer<UInt64>(of: &pointee.inlineMask)
    invariant(
      Pointer<InlineArray<8, UInt64>>(of: &pointee.inlineCells).address == mask.address + 8,
      "group: the inline cells do not follow their mask")
    pointee.table.store(mask.address, ordering: .releasing)
  }

  private var inlineTable: UInt { Pointer<UInt64>(of: &pointee.inlineMask).address }

  /// Publishes a child that is fully built. A cell that has become free is used again, so that roots that come and go
  /// do not make the table grow.
  func publish(
    _ child: Pointer<Cache>, under registry: borrowing RegistryLocked
  ) throws(AllocatorError) {
    let table = pointee.table.load(ordering: .relaxed)
    let cells = Int(Words(at: table)[0]) / 8 + 1
    var cell = openCell(for: child.pointee.root, under: registry)
    if AtomicWord(at: cell).load() == vacant {
      // Three quarters full at most: a search must meet a vacant cell soon.
      if (Int(pointee.usedCells) + 1) * 4 > cells * 3 {
        try growTable(under: registry)
        cell = openCell(for: child.pointee.root, under: registry)
      }
      pointee.usedCells += 1
    }
    AtomicWord(at: cell).store(UInt64(child.address))
  }

  /// Address of the first cell for a root's child that has none.
  private func openCell(
    for root: Pointer<RootCache>, under registry: borrowing RegistryLocked
  ) -> UInt {
    let table = pointee.table.load(ordering: .relaxed)
    let mask = Int(Words(at: table)[0]) / 8
    var index = root.pointee.index & mask
    while true {
      let cell = table + 8 + UInt(index) * 8
      let word = AtomicWord(at: cell).load()
      if word == vacant || word == tombstone { return cell }
      index = (index + 1) & mask
    }
  }

  /// A table of twice the size, the tombstones left behind. The last cell of a larger table is followed by the
  /// address of the table before it.
  private func growTable(under registry: borrowing RegistryLocked) throws(AllocatorError) {
    let old = pointee.table.load(ordering: .relaxed)
    let oldCells = Int(Words(at: old)[0]) / 8 + 1
    let cells = oldCells * 2
    let table = try allocateTable(cells: cells)
    let words = Words(at: table)
    words[0] = UInt64(cells - 1) * 8
    for index in 1...cells { words[index] = vacant }
    words[1 + cells] = UInt64(old)
    pointee.usedCells = 0
    for index in 1...oldCells {
      let child = Words(at: old)[index]
      guard child != vacant, child != tombstone else { continue }
      // SAFETY: a cell is the address of a cache, or of one of the two descriptors that stand for none.
      var cell =
        unsafe Pointer<Cache>(nonzeroAddress: UInt(child)).pointee.root.pointee.index & (cells - 1)
      while words[1 + cell] != vacant { cell = (cell + 1) & (cells - 1) }
      words[1 + cell] = child
      pointee.usedCells += 1
    }
    // Published whole: pairs with the acquiring load in `likelyChild` and `child`.
    pointee.table.store(table, ordering: .releasing)
  }

  private static func tableBytes(cells: Int) -> Int { (cells + 2) * 8 }

  /// log2 of the units of a table that is a run of pages: one that is larger than any object of the core's.
  /// The rest of the run, nearly half, is not touched.
  private static func runOrder(cells: Int) -> Int? {
    let sizes = CachesState.generalSizes
    guard tableBytes(cells: cells) > sizes[sizes.count - 1] else { return nil }
    var order = UnitMap.pageOrder
    while UnitMap.unitBytes << order < tableBytes(cells: cells) { order += 1 }
    return order
  }

  /// Charged to no group.
  private func allocateTable(cells: Int) throws(AllocatorError) -> UInt {
    let allocator = pointee.allocator
    guard let order = Self.runOrder(cells: cells) else {
      return try allocator.allocateInternal(bytes: Self.tableBytes(cells: cells))
    }
    guard let run = allocator.pages.allocate(order: order, for: .nobody) else {
      throw .outOfMemory
    }
    return allocator.pages.pointee.map.address(ofUnit: run.unit)
  }

  private func freeTable(_ table: UInt, cells: Int) {
    let allocator = pointee.allocator
    guard let order = Self.runOrder(cells: cells) else { return allocator.freeInternal(table) }
    let unit = allocator.pages.pointee.map.unit(of: table)
    allocator.pages.free(Run(unit: unit, order: order), of: .nobody)
  }

  /// Takes one child out, when its root is destroyed. O(1) expected.
  func unpublish(_ child: Pointer<Cache>, under registry: borrowing RegistryLocked) {
    guard let cell = cell(of: child.pointee.root),
      AtomicWord(at: cell).load() == UInt64(child.address)
    else {
      return
    }
    AtomicWord(at: cell).store(tombstone)
  }

  /// For the root group: takes a root out that is being destroyed.
  func leave(_ root: Pointer<RootCache>, under registry: borrowing RegistryLocked) {
    if child(of: root) != nil { unpublish(root.cache, under: registry) }
  }

  /// Makes the table empty for new lookups. O(1).
  func unpublishAll(under registry: borrowing RegistryLocked) {
    pointee.tableAtOffline = pointee.table.load(ordering: .relaxed)
    // Releasing for symmetry only: a reader that still sees the old table finds caches that serve until the group is offline,
    // and whose sheaves are closed soon afterwards.
    pointee.table.store(pointee.allocator.groupsState.pointee.emptyTable, ordering: .releasing)
  }

  /// When no thread can read them any more: gives the larger tables back.
  func freeTables() {
    freeMallocChildren()
    var table = pointee.tableAtOffline
    while table != inlineTable {
      let cells = Int(Words(at: table)[0]) / 8 + 1
      let older = UInt(Words(at: table)[1 + cells])
      freeTable(table, cells: cells)
      table = older
    }
  }
}
