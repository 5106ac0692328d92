// SPDX-License-Identifier: Apache-2.0
// Runs of 2^order OS pages: a buddy system on the page map, over a reservation that is committed
// in chunks from its low end.
//
// A free run is *dirty* (its memory is resident, a slab can use it without a page fault) or *clean*
// (never touched, or given back). Two sets of free lists keep them apart, and runs merge only with
// their like: so a dirty run is recycled whole, and no clean page is counted as resident. Clean
// addresses that do not merge cost nothing, and merge when their neighbours are given back.
//
// The methods of the type are called under the lock; those of a pointer to it, in
// PageAllocator+Locking.swift, take it themselves. A method that changes the allocator has it for
// itself from its first to its last instruction, so it cannot take the lock in between. The private methods are
// called by the others.
//
// Invariants, under `lock`:
//   usedPages + dirtyPages + cleanPages = committed pages
//   two free buddies of one order and kind do not exist
//   a run of order o starts at a multiple of 2^o units

internal import SlabPlatform
internal import Synchronization

/// The page lock.
enum PagesLock: LockClassOfFork { static var rank: LockRank { .pages } }
typealias PagesLocked = Held<PagesLock>

@usableFromInline
package struct PageAllocator: ~Copyable {
  @usableFromInline package let map: UnitMap
  let lock = RankedLock<PagesLock>()

  // All under `lock`.
  /// First unit behind the committed part of the heap.
  var endUnit = 0
  /// Highest `endUnit` ever: what of the heap may have been touched, and of the map.
  var endUnitPeak = 0
  var dirtyHeads = InlineArray<13, UInt32>(repeating: UnitMap.none)
  var cleanHeads = InlineArray<13, UInt32>(repeating: UnitMap.none)
  var usedPages = 0
  var dirtyPages = 0
  var cleanPages = 0
  /// Most pages that were resident at one time.
  var residentPagesPeak = 0
  /// Bytes of the heap and of the map that were ever given back to the system.
  var returnedBytes = 0
  /// Chunks of 4 MiB that are free as a whole, of either kind.
  var freeChunks = ChunkSet()
  /// Bytes that caches of large objects may keep idle: see Caches/LargeRuns.swift.
  var reservedBytes = 0

  /// Free pages that are kept at least.
  let leastToKeep: Int
  /// log2 of the units of one page of the kernel's, which may be larger than ours: smaller runs stay.
  private(set) var smallestOrderGivenBack = UnitMap.pageOrder
  /// Set when pages are to be given back now.
  let hasExcess = Atomic<Bool>(false)
  /// What the idle clock looks at; see PageAllocator+Rounds.swift.
  var rounds: PageRounds

  /// Units of the largest run, and of a step of commitment: 4 MiB.
  static var largestOrder: Int { 12 }

  init(map: UnitMap, freeBytesToKeep: Int, hasRounds: Bool) {
    self.map = map
    rounds = PageRounds(isCounted: hasRounds)
    leastToKeep = max(0, freeBytesToKeep / Self.pageBytes)
    while UnitMap.unitBytes << smallestOrderGivenBack < SystemCall.pageBytes {
      smallestOrderGivenBack += 1
    }
  }

  /// How many free pages stay: an eighth of what is in use.
  var pagesToKeep: Int { max(leastToKeep, usedPages / 8) }

  /// Bytes of a page: the grain of charges and of runs, whatever the kernel's pages are.
  package static var pageBytes: Int { 4096 }

  // MARK: - Allocating

  /// A run of 2^order units, order at least `UnitMap.pageOrder`, aligned to its size; `nil` if the
  /// reservation is used up or the system refuses memory. What is foreign in it the tenant clears, when
  /// the lock is free.
  ///
  /// O(orders); one system call per 4 MiB of growth.
  mutating func allocate(
    order: Int, for tenant: Tenant, under lock: borrowing PagesLocked
  ) -> Run? {
    invariant(order >= UnitMap.pageOrder && order <= Self.largestOrder, "pages: order")
    guard let (unit, dirty, last) = takeRunOfAnyKind(order: order) else { return nil }
    notePeak()
    return Run(
      unit: unit, order: order, isForeign: dirty && tenant.isForeign(to: last), isZero: !dirty)
  }

  /// As many runs as are wanted, or as there are: for more than the first the heap does not grow. O(runs × orders).
  mutating func allocate(
    _ count: Int, order: Int, for tenant: Tenant, into runs: inout RunBatch,
    under lock: borrowing PagesLocked
  ) {
    guard let first = allocate(order: order, for: tenant, under: lock) else { return }
    runs.append(first)
    while runs.count < count,
      let (unit, dirty, last) = takeFreeRun(order: order)
    {
      runs.append(
        Run(
          unit: unit, order: order, isForeign: dirty && tenant.isForeign(to: last), isZero: !dirty))
    }
    notePeak()
  }

  /// The first run, while no other thread knows the allocator.
  mutating func allocateFirst(order: Int) -> Run? {
    let lock = lock.lock()
    return allocate(order: order, for: .nobody, under: lock)
  }

  /// A run of 2^order units, dirty if there is one, and its last tenant.
  mutating func takeRunOfAnyKind(order: Int) -> (unit: Int, dirty: Bool, tenant: Tenant)? {
    if let run = takeFreeRun(order: order) { return run }
    guard grow(byChunks: 1) else { return nil }
    return takeFreeRun(order: order)
  }

  /// The same without growth of the heap.
  private mutating func takeFreeRun(
    order: Int
  ) -> (unit: Int, dirty: Bool, tenant: Tenant)? {
    if let (unit, last) = takeRun(order: order, dirty: true) { return (unit, true, last) }
    guard let (unit, _) = takeRun(order: order, dirty: false) else { return nil }
    return (unit, false, .nobody)
  }

  /// When pages have been taken.
  mutating func notePeak() {
    residentPagesPeak = max(residentPagesPeak, usedPages + dirtyPages)
    noteUse()
  }

  /// The smallest free run of one kind that is large enough, split down, and its last tenant.
  mutating func takeRun(order: Int, dirty: Bool) -> (unit: Int, tenant: Tenant)? {
    for larger in order...Self.largestOrder {
      guard let (unit, tenant) = popRun(order: larger, dirty: dirty) else { continue }
      var split = larger
      while split > order {
        split -= 1
        pushRun(unit + 1 << split, order: split, dirty: dirty, of: tenant)
      }
      let pages = 1 << (order - UnitMap.pageOrder)
      if dirty { dirtyPages -= pages } else { cleanPages -= pages }
      usedPages += pages
      rounds.note(dirtyPages: dirtyPages)
      return (unit, tenant)
    }
    return nil
  }

  /// Commits the next chunks of 4 MiB.
  mutating func grow(byChunks count: Int) -> Bool {
    let units = count << Self.largestOrder
    guard endUnit + units <= map.unitLimit else { return false }
    do {
      let wordsStart = UInt(endUnit) * 8
      try SystemCall.protectReadWrite(at: map.words.address + wordsStart, bytes: units * 8)
      try SystemCall.protectReadWrite(
        at: map.address(ofUnit: endUnit), bytes: units * UnitMap.unitBytes)
    } catch {
      return false
    }
    for index in 0..<count {
      pushRun(
        endUnit + index << Self.largestOrder, order: Self.largestOrder, dirty: false, of: .nobody)
    }
    endUnit += units
    endUnitPeak = max(endUnitPeak, endUnit)
    cleanPages += units >> UnitMap.pageOrder
    return true
  }

  // MARK: - Freeing

  /// Takes a run back from a tenant; its memory stays resident until it is given back, unless the kernel has it
  /// already. O(orders), and O(chunks) of a larger one.
  mutating func free(_ run: Run, of tenant: Tenant, under lock: borrowing PagesLocked) {
    usedPages -= run.pages
    if run.isZero { cleanPages += run.pages } else { dirtyPages += run.pages }
    insert(run.unit..<run.end, dirty: !run.isZero, of: run.isForeign ? .nobody : tenant)
    if dirtyPages > 2 * pagesToKeep { noteExcess() }
  }

  /// Makes units free that belong to no run: in pieces of 2^order units that are aligned to their size.
  mutating func insert(_ units: Range<Int>, dirty: Bool, of tenant: Tenant) {
    var unit = units.lowerBound
    while unit < units.upperBound {
      let fitting = Int.bitWidth - 1 - (units.upperBound - unit).leadingZeroBitCount
      let order = min(unit.trailingZeroBitCount, fitting, Self.largestOrder)
      insertMerging(unit: unit, order: order, dirty: dirty, of: tenant)
      unit += 1 << order
    }
  }

  private mutating func insertMerging(
    unit: Int, order: Int, dirty: Bool, of tenant: Tenant
  ) {
    var unit = unit
    var order = order
    var tenant = tenant
    while order < Self.largestOrder {
      let buddy = unit ^ 1 << order
      let word = map.neighbour(buddy)
      guard UnitMap.isFree(word), UnitMap.order(word) == order, UnitMap.isDirty(word) == dirty
      else { break }
      if removeRun(buddy, order: order, dirty: dirty) != tenant { tenant = .nobody }
      unit = min(unit, buddy)
      order += 1
    }
    pushRun(unit, order: order, dirty: dirty, of: tenant)
  }

  // MARK: - Giving back

  /// A dirty run, if more than `keeping` dirty pages are there: the largest that leaves so many, which may be a part of
  /// a larger one. While its memory is on the way back the run has no tenant; it counts as used. O(orders).
  mutating func takeDirtyRun(
    keeping: Int, under lock: borrowing PagesLocked
  ) -> (unit: Int, order: Int)? {
    guard dirtyPages > keeping else { return nil }
    let tooMany = dirtyPages - keeping
    let fitting = UnitMap.pageOrder + Int.bitWidth - 1 - tooMany.leadingZeroBitCount
    var order = max(smallestOrderGivenBack, min(fitting, Self.largestOrder))
    while order >= smallestOrderGivenBack {
      if let (unit, _) = takeRun(order: order, dirty: true) { return (unit, order) }
      order -= 1
    }
    return nil
  }

  /// Puts a run of `takeDirtyRun` back: clean, or dirty as it was if the system refused its memory.
  mutating func putBack(
    _ run: (unit: Int, order: Int), refused: Bool, under lock: borrowing PagesLocked
  ) {
    let pages = 1 << (run.order - UnitMap.pageOrder)
    usedPages -= pages
    if refused {
      dirtyPages += pages
    } else {
      cleanPages += pages
      returnedBytes += pages * Self.pageBytes
    }
    insertMerging(unit: run.unit, order: run.order, dirty: refused, of: .nobody)
  }

  /// Takes free 4 MiB chunks off the end of the heap and gives the map's memory for them back.
  mutating func shrinkHeap(under lock: borrowing PagesLocked) {
    let units = 1 << Self.largestOrder
    while endUnit > units {
      let unit = endUnit - units
      let word = map.words[unit]
      guard UnitMap.isFree(word), UnitMap.order(word) == Self.largestOrder,
        !UnitMap.isDirty(word)
      else { return }
      _ = removeRun(unit, order: Self.largestOrder, dirty: false)
      // Where the kernel refuses, the words are zero all the same.
      try? SystemCall.giveBack(at: map.words.address + UInt(unit) * 8, bytes: units * 8)
      returnedBytes += units * 8
      endUnit = unit
      cleanPages -= units >> UnitMap.pageOrder
    }
  }

  // MARK: - Lists

  private mutating func pushRun(_ unit: Int, order: Int, dirty: Bool, of tenant: Tenant) {
    if order == Self.largestOrder { freeChunks[unit >> order] = true }
    if dirty {
      map.pushFree(unit: unit, order: order, dirty: true, head: &dirtyHeads[order])
      map.setTenant(tenant, ofFreeRun: unit)
    } else {
      map.pushFree(unit: unit, order: order, dirty: false, head: &cleanHeads[order])
    }
  }

  /// Takes a run off its list; its last tenant.
  mutating func removeRun(_ unit: Int, order: Int, dirty: Bool) -> Tenant {
    if order == Self.largestOrder { freeChunks[unit >> order] = false }
    guard dirty else {
      map.removeFree(unit: unit, head: &cleanHeads[order])
      return .nobody
    }
    map.removeFree(unit: unit, head: &dirtyHeads[order])
    return takeTenant(ofRun: unit)
  }

  private mutating func popRun(order: Int, dirty: Bool) -> (unit: Int, tenant: Tenant)? {
    let head = dirty ? dirtyHeads[order] : cleanHeads[order]
    guard head != UnitMap.none else { return nil }
    return (Int(head), removeRun(Int(head), order: order, dirty: dirty))
  }

  /// The mark of a run that is on no list any more: words inside a run are 0.
  private func takeTenant(ofRun unit: Int) -> Tenant {
    let tenant = map.tenant(ofFreeRun: unit)
    map.setTenant(.nobody, ofFreeRun: unit)
    return tenant
  }

  /// Bytes of memory that the heap and its map hold: pages in use and dirty ones, and the map's.
  var residentBytes: Int {
    (usedPages + dirtyPages) * Self.pageBytes + endUnit * 8
  }

  var residentBytesPeak: Int {
    residentPagesPeak * Self.pageBytes + endUnitPeak * 8
  }
}
