// SPDX-License-Identifier: Apache-2.0
// Runs of the heap's units: what is asked of the pages, and what they give.
//
//   a slab    2^order units, aligned to its size
//   a block   any number of whole pages; aligned to any power of two

/// Memory of a slab or a block.
struct Run {
  var unit = 0
  /// A power of two for a slab, any number of whole pages for a block.
  var units = 0
  /// Whether it may hold bytes of another tenant than the one that takes it or gives it back.
  var isForeign = false
  /// Whether all of it is known to be zero: of memory that has not been touched since it came from the system.
  var isZero = false
  /// Whether there are pages, and not a charge alone.
  var hasPages = true

  init() {}

  /// Of a charge.
  init(chargedUnits: Int) {
    units = chargedUnits
    hasPages = false
  }

  init(unit: Int, units: Int, isForeign: Bool = false, isZero: Bool = false) {
    self.unit = unit
    self.units = units
    self.isForeign = isForeign
    self.isZero = isZero
  }

  init(unit: Int, order: Int, isForeign: Bool = false, isZero: Bool = false) {
    self.init(unit: unit, units: 1 << order, isForeign: isForeign, isZero: isZero)
  }

  /// Of a slab's run: log2 of its units.
  var order: Int { units.trailingZeroBitCount }
  var bytes: Int { units * UnitMap.unitBytes }
  var pages: Int { units >> UnitMap.pageOrder }
  var end: Int { unit + units }
}

/// A few runs of one length; small, since each slab that is made comes by way of it.
struct RunBatch {
  private var starts = InlineArray<8, UInt32>(repeating: 0)
  private var units = 0
  // A bit for each.
  private var foreign: UInt8 = 0
  private var zero: UInt8 = 0
  private var hasPages = true
  private(set) var count = 0

  static var most: Int { 8 }

  mutating func append(_ run: Run) {
    starts[count] = UInt32(run.unit)
    units = run.units
    hasPages = run.hasPages
    if run.isForeign { foreign |= 1 << UInt8(count) }
    if run.isZero { zero |= 1 << UInt8(count) }
    count += 1
  }

  subscript(_ index: Int) -> Run {
    guard hasPages else { return Run(chargedUnits: units) }
    return Run(
      unit: Int(starts[index]), units: units, isForeign: foreign & 1 << UInt8(index) != 0,
      isZero: zero & 1 << UInt8(index) != 0)
  }
}

/// What is asked of the pages.
struct RunShape {
  /// Units that are wanted, besides those of `grown`.
  let units: Int
  /// Of its address, in units; a power of two.
  let alignment: Int
  /// The block's run that is to grow: by the units behind it, or else into a run for all of it.
  var grown: Run? = nil

  /// Whether there is more to be had than a charge.
  var takesPages = true
  /// Of a charge by the byte.
  private var exactBytes: Int? = nil

  /// Of a slab.
  init(order: Int) {
    units = 1 << order
    alignment = units
  }

  /// Of a block.
  init(pages: Int, alignment: Int) {
    units = pages << UnitMap.pageOrder
    self.alignment = max(alignment / UnitMap.unitBytes, UnitMap.unitsOfPage)
  }

  /// Of a block that becomes longer.
  init(growing run: Run, to units: Int) {
    self.units = units - run.units
    alignment = UnitMap.unitsOfPage
    grown = run
  }

  /// Of a charge.
  init(chargedPages: Int) {
    self.init(pages: chargedPages, alignment: 1)
    takesPages = false
  }

  /// Of a charge by the byte, for objects in slabs that are there.
  init(chargedBytes: Int) {
    self.init(chargedPages: 1)
    exactBytes = chargedBytes
  }

  /// Whether it is a part of a page.
  var isBelowPage: Bool { units < UnitMap.unitsOfPage }
  /// What is charged for it: whole pages, but for a charge by the byte.
  var chargedBytes: Int { exactBytes ?? max(units, UnitMap.unitsOfPage) * UnitMap.unitBytes }
}

extension UnitMap {
  static var unitsOfPage: Int { 1 << pageOrder }
}
