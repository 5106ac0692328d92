// SPDX-License-Identifier: Apache-2.0
// Runs of any number of pages, at any alignment. What a run of 2^order units, or the last of
// some chunks in a row, has too much is split off at once, so that a block holds its own pages and no others; it
// joins its neighbours again when it is freed.
//
//   up to 4 MiB, alignment too   a dirty run of the power of two below and what is free behind it; else out of the
//                                free runs of the next power of two
//   more                         chunks of 4 MiB in a row and what is free behind them, the first that fit; else the
//                                heap grows
//   one that grows               the free runs behind it, and the heap's end; else a run for all of it
//
// Dirty runs and clean ones do not merge, so what a block leaves may not join what was split off it. The search
// below a power of two finds both, where they lie side by side: a thread that frees a block and takes one of
// the same size gets the same pages.

internal import SlabPlatform
internal import Synchronization

extension PageAllocator {
  /// Runs that one growth takes at most besides whole chunks: as many steps as the lock is held for.
  private static var mostPieces: Int { 64 }

  /// A run of a shape; of one that grows either the units behind it or all that it needs. `nil` if the
  /// reservation has no such place or the system refuses memory. O(orders), from 4 MiB on O(chunks).
  mutating func allocate(
    _ shape: RunShape, for tenant: Tenant, under lock: borrowing PagesLocked
  ) -> Run? {
    guard let grown = shape.grown else {
      return allocate(units: shape.units, alignment: shape.alignment, for: tenant)
    }
    return extend(grown, by: shape.units, for: tenant)
      ?? allocate(units: grown.units + shape.units, alignment: shape.alignment, for: tenant)
  }

  private mutating func allocate(units: Int, alignment: Int, for tenant: Tenant) -> Run? {
    let span = max(units, alignment)
    guard span <= 1 << Self.largestOrder else {
      return takeChunks(units: units, alignment: alignment, for: tenant)
    }
    let fitting = Int.bitWidth - 1 - units.leadingZeroBitCount
    if alignment <= 1 << fitting, 1 << fitting < units,
      let run = takeDirty(order: fitting, andUnits: units - 1 << fitting, for: tenant)
    {
      return run
    }
    let order = Int.bitWidth - (span - 1).leadingZeroBitCount
    guard let (whole, dirty, last) = takeRunOfAnyKind(order: order) else { return nil }
    putBackPart(whole + units..<whole + 1 << order, dirty: dirty, of: last)
    notePeak()
    return Run(
      unit: whole, units: units, isForeign: dirty && tenant.isForeign(to: last), isZero: !dirty)
  }

  /// The first dirty run of an order with so many free units behind it.
  private mutating func takeDirty(
    order: Int, andUnits more: Int, for tenant: Tenant
  ) -> Run? {
    guard let (unit, last) = takeRun(order: order, dirty: true) else { return nil }
    var run = Run(unit: unit, order: order, isForeign: tenant.isForeign(to: last))
    guard isFree(from: run.end, to: run.end + more, growing: false) else {
      putBackPart(unit..<run.end, dirty: true, of: last)
      return nil
    }
    takeFree(from: run.end, to: run.end + more, into: &run, for: tenant)
    run.units += more
    return run
  }

  /// Units of a run that was just taken, which are free again.
  private mutating func putBackPart(_ part: Range<Int>, dirty: Bool, of tenant: Tenant) {
    let pages = part.count >> UnitMap.pageOrder
    guard pages > 0 else { return }
    usedPages -= pages
    if dirty { dirtyPages += pages } else { cleanPages += pages }
    insert(part, dirty: dirty, of: tenant)
  }

  // MARK: - Chunks in a row

  private mutating func takeChunks(units: Int, alignment: Int, for tenant: Tenant) -> Run? {
    let chunkUnits = 1 << Self.largestOrder
    let step = max(1, alignment / chunkUnits)
    guard
      let first = findChunks(forUnits: units, step: step)
        ?? growForChunks((units + chunkUnits - 1) / chunkUnits, step: step)
    else { return nil }
    var run = Run(unit: first * chunkUnits, units: units, isZero: true)
    takeFree(from: run.unit, to: run.end, into: &run, for: tenant)
    return run
  }

  /// Takes what `isFree` has found.
  private mutating func takeFree(
    from start: Int, to end: Int, into run: inout Run, for tenant: Tenant
  ) {
    var next = start
    while next < end {
      let length = 1 << UnitMap.order(map.words[next])
      take(freeRunAt: next, upTo: end, into: &run, for: tenant)
      next += length
    }
    notePeak()
  }

  /// Takes a free run, or the part of it that lies before an end.
  private mutating func take(
    freeRunAt unit: Int, upTo end: Int, into run: inout Run, for tenant: Tenant
  ) {
    let word = map.words[unit]
    let order = UnitMap.order(word)
    let dirty = UnitMap.isDirty(word)
    let last = removeRun(unit, order: order, dirty: dirty)
    let pages = 1 << (order - UnitMap.pageOrder)
    usedPages += pages
    if dirty { dirtyPages -= pages } else { cleanPages -= pages }
    if dirty {
      run.isZero = false
      if tenant.isForeign(to: last) { run.isForeign = true }
    }
    if unit + 1 << order > end { putBackPart(end..<unit + 1 << order, dirty: dirty, of: last) }
  }

  /// The first chunk from one on whose address is a multiple of so many chunks.
  private func aligned(_ chunk: Int, step: Int) -> Int {
    let base = Int(map.heapBase / UInt(UnitMap.unitBytes << Self.largestOrder))
    return (base + chunk + step - 1) / step * step - base
  }

  private mutating func findChunks(forUnits units: Int, step: Int) -> Int? {
    let limit = endUnit >> Self.largestOrder
    let count = max(1, units >> Self.largestOrder)
    var candidate = aligned(0, step: step)
    while candidate + count <= limit {
      let end = freeChunks.first(from: candidate, below: limit, isMember: false)
      if end >= candidate + count {
        let unit = candidate << Self.largestOrder
        // The last part of it may be less than a chunk.
        let rest = unit + count << Self.largestOrder
        if isFree(from: rest, to: unit + units, growing: false) { return candidate }
        candidate = aligned(max(candidate + 1, end - count), step: step)
      } else {
        let next = freeChunks.first(from: end, below: limit, isMember: true)
        candidate = aligned(next, step: step)
      }
    }
    return nil
  }

  /// Commits what is missing behind the free chunks at the heap's end.
  private mutating func growForChunks(_ count: Int, step: Int) -> Int? {
    let limit = endUnit >> Self.largestOrder
    let first = aligned(freeChunks.startOfRow(before: limit), step: step)
    return grow(byChunks: first + count - limit) ? first : nil
  }

  // MARK: - Growing

  /// The units behind a block's run, if they are free.
  private mutating func extend(_ run: Run, by units: Int, for tenant: Tenant) -> Run? {
    let end = run.end + units
    guard isFree(from: run.end, to: end, growing: true) else { return nil }
    var more = Run(unit: run.end, units: units, isZero: true)
    takeFree(from: run.end, to: end, into: &more, for: tenant)
    return more
  }

  /// Whether free runs of pages follow each other, in a few pieces; if it is to grow, makes them at the heap's end. A
  /// free run begins where a used one ends, since none contains it.
  private mutating func isFree(from start: Int, to end: Int, growing: Bool) -> Bool {
    var next = start
    var pieces = 0
    while next < end {
      if next == endUnit {
        let chunks = (end - next + 1 << Self.largestOrder - 1) >> Self.largestOrder
        guard growing, grow(byChunks: chunks) else { return false }
      }
      let word = map.neighbour(next)
      // Free units of a group's page have smaller orders.
      guard UnitMap.isFree(word), UnitMap.order(word) >= UnitMap.pageOrder else { return false }
      if UnitMap.order(word) < Self.largestOrder { pieces += 1 }
      guard pieces <= Self.mostPieces else { return false }
      next += 1 << UnitMap.order(word)
    }
    return true
  }
}
