// From a root cache to the group's child of it: a small hash table, read without a lock on every
// charged allocation.
//
//   word 0        mask, in bytes: 8 * (the number of slots, a power of two, - 1)
//   word 1 + i    the address of a child cache, of `vacant` (ends a search) or of `tombstone`
//
// The last two are descriptors that belong to no root, so that the fast path needs no test for an
// empty slot: it compares the root that it finds, once.
//
// A child of root r is in the first fitting slot from index(r) & mask on. Slots are written under
// the registry lock. The first table of 8 slots is part of the group's descriptor; larger ones are
// objects of the core's, or runs of pages, and a reader may still use an old one while it holds a handle: so
// old tables are chained behind the new one and go away with the group.

public import SlabPlatform
public import Synchronization

extension Pointer where Pointee == Group {
  private var vacant: UInt64 { UInt64(pointee.allocator.pointee.vacantCache) }
  private var tombstone: UInt64 { UInt64(pointee.allocator.pointee.tombstoneCache) }

  /// The child of a root, if the first slot has it: the fast path's look. Else a cache of another
  /// root, or of none.
  @inlinable @inline(__always)
  package func likelyChild(of root: Pointer<RootCache>) -> Pointer<Cache> {
    // Acquiring: pairs with the releasing stores in `publish` and `growTable`, so that a reader
    // finds a whole table and a whole cache.
    let table = pointee.table.load(ordering: .acquiring)
    let offset = root.pointee.tableOffset & UInt(truncatingIfNeeded: Words(at: table)[0])
    let slot = AtomicWord(at: table &+ offset &+ 8).load()
    return Pointer<Cache>(nonzeroAddress: UInt(truncatingIfNeeded: slot))
  }

  /// The child of a root. O(1) expected.
  func child(of root: Pointer<RootCache>) -> Pointer<Cache>? {
    slot(of: root).map { Pointer<Cache>(nonzeroAddress: UInt(AtomicWord(at: $0).load())) }
  }

  /// Address of the slot with a root's child.
  private func slot(of root: Pointer<RootCache>) -> UInt? {
    let table = pointee.table.load(ordering: .acquiring)
    let mask = Int(Words(at: table)[0]) / 8
    var index = root.pointee.index & mask
    for _ in 0...mask {
      let slot = table + 8 + UInt(index) * 8
      let word = AtomicWord(at: slot).load()
      if word == vacant { return nil }
      if word != tombstone, Pointer<Cache>(nonzeroAddress: UInt(word)).pointee.root == root {
        return slot
      }
      index = (index + 1) & mask
    }
    return nil
  }

  /// Makes the inline table the group's, empty.
  func makeInlineTable() {
    pointee.inlineMask = 7 * 8
    pointee.inlineSlots = InlineArray(repeating: vacant)
    let mask = Pointer<UInt64>(of: &pointee.inlineMask)
    invariant(
      Pointer<InlineArray<8, UInt64>>(of: &pointee.inlineSlots).address == mask.address + 8,
      "group: the inline slots do not follow their mask")
    pointee.table.store(mask.address, ordering: .releasing)
  }

  private var inlineTable: UInt { Pointer<UInt64>(of: &pointee.inlineMask).address }

  /// Under the registry lock: publishes a child that is fully built. A slot that has become free is
  /// used again, so that roots that come and go do not make the table grow.
  func publish(_ child: Pointer<Cache>) throws(AllocatorError) {
    let table = pointee.table.load(ordering: .relaxed)
    let slots = Int(Words(at: table)[0]) / 8 + 1
    var slot = openSlot(for: child.pointee.root)
    if AtomicWord(at: slot).load() == vacant {
      // Three quarters full at most: a search must meet a vacant slot soon.
      if (Int(pointee.usedSlots) + 1) * 4 > slots * 3 {
        try growTable()
        slot = openSlot(for: child.pointee.root)
      }
      pointee.usedSlots += 1
    }
    AtomicWord(at: slot).store(UInt64(child.address))
  }

  /// Address of the first slot for a root's child that has none.
  private func openSlot(for root: Pointer<RootCache>) -> UInt {
    let table = pointee.table.load(ordering: .relaxed)
    let mask = Int(Words(at: table)[0]) / 8
    var index = root.pointee.index & mask
    while true {
      let slot = table + 8 + UInt(index) * 8
      let word = AtomicWord(at: slot).load()
      if word == vacant || word == tombstone { return slot }
      index = (index + 1) & mask
    }
  }

  /// Under the registry lock: a table of twice the size, the tombstones left behind. The last slot
  /// of a larger table is followed by the address of the table before it.
  private func growTable() throws(AllocatorError) {
    let old = pointee.table.load(ordering: .relaxed)
    let oldSlots = Int(Words(at: old)[0]) / 8 + 1
    let slots = oldSlots * 2
    let table = try allocateTable(slots: slots)
    let words = Words(at: table)
    words[0] = UInt64(slots - 1) * 8
    for index in 1...slots { words[index] = vacant }
    words[1 + slots] = UInt64(old)
    pointee.usedSlots = 0
    for index in 1...oldSlots {
      let child = Words(at: old)[index]
      guard child != vacant, child != tombstone else { continue }
      var slot =
        Pointer<Cache>(nonzeroAddress: UInt(child)).pointee.root.pointee.index & (slots - 1)
      while words[1 + slot] != vacant { slot = (slot + 1) & (slots - 1) }
      words[1 + slot] = child
      pointee.usedSlots += 1
    }
    // Published whole: pairs with the acquiring load in `likelyChild` and `child`.
    pointee.table.store(table, ordering: .releasing)
  }

  private static func tableBytes(slots: Int) -> Int { (slots + 2) * 8 }

  /// log2 of the units of a table that is a run of pages: one that is larger than any object of the core's.
  /// The rest of the run, nearly half, is not touched.
  private static func runOrder(slots: Int) -> Int? {
    let sizes = AllocatorState.generalSizes
    guard tableBytes(slots: slots) > sizes[sizes.count - 1] else { return nil }
    var order = UnitMap.pageOrder
    while UnitMap.unitBytes << order < tableBytes(slots: slots) { order += 1 }
    return order
  }

  /// Charged to nobody.
  private func allocateTable(slots: Int) throws(AllocatorError) -> UInt {
    let allocator = pointee.allocator
    guard let order = Self.runOrder(slots: slots) else {
      return try allocator.allocateInternal(bytes: Self.tableBytes(slots: slots))
    }
    guard let run = allocator.pages.allocate(order: order, for: .nobody) else {
      throw .outOfMemory
    }
    return allocator.pointee.pages.map.address(ofUnit: run.unit)
  }

  private func freeTable(_ table: UInt, slots: Int) {
    let allocator = pointee.allocator
    guard let order = Self.runOrder(slots: slots) else { return allocator.freeInternal(table) }
    let unit = allocator.pointee.pages.map.unit(of: table)
    allocator.pages.free(Run(unit: unit, order: order), of: .nobody)
  }

  /// Under the registry lock: takes one child out, when its root is destroyed. O(1) expected.
  func unpublish(_ child: Pointer<Cache>) {
    guard let slot = slot(of: child.pointee.root),
      AtomicWord(at: slot).load() == UInt64(child.address)
    else {
      return
    }
    AtomicWord(at: slot).store(tombstone)
  }

  /// Under the registry lock: makes the table empty for new lookups. O(1).
  func unpublishAll() {
    pointee.tableAtOffline = pointee.table.load(ordering: .relaxed)
    // Releasing for symmetry only: a reader that still sees the old table finds closed caches.
    pointee.table.store(pointee.allocator.pointee.emptyTable, ordering: .releasing)
  }

  /// When nobody can read them any more: gives the larger tables back.
  func freeTables() {
    var table = pointee.tableAtOffline
    while table != inlineTable {
      let slots = Int(Words(at: table)[0]) / 8 + 1
      let older = UInt(Words(at: table)[1 + slots])
      freeTable(table, slots: slots)
      table = older
    }
  }
}
