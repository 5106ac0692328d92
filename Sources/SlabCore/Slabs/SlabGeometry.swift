// SPDX-License-Identifier: Apache-2.0
// How objects of one size are laid out in slabs: as mm/slub.c of Linux 4.11 for the full order, and
// smaller orders, down to a unit, for the first slabs of a group's child caches.
//
// One page per group and size is a trap: three sizes would cost a small tenant 12 KiB and three
// page faults. So a child cache begins with the smallest slab that wastes little, taken from pages
// that the group shares among its own caches, and doubles with what it holds.

package struct SlabGeometry: Equatable, Sendable {
  /// From one object to the next, in bytes: the requested size rounded up to the alignment.
  package let placeBytes: Int
  private let storedFullOrder: UInt8
  private let storedFirstOrder: UInt8
  /// Whether each slab is a block of any number of pages: see Caches/Cache+Blocks.swift.
  let isOfBlocks: Bool
  /// Whether each of them is a charge alone: see Caches/Cache+Charges.swift.
  var isOfCharges = false

  /// log2 of the units of a slab of a root, and of a child that has grown.
  package var fullOrder: Int { Int(storedFullOrder) }
  /// log2 of the units of a child's first slab.
  package var firstOrder: Int { Int(storedFirstOrder) }

  /// Objects that a slab of 2^order units holds.
  package func objectCount(order: Int) -> Int {
    (UnitMap.unitBytes << order) / placeBytes
  }

  /// 2^32 / placeBytes, rounded up: offset * reciprocal >> 32 is the index of the object at an
  /// offset, exactly, while offset * placeBytes < 2^32 (slabs have at most 64 KiB).
  var reciprocal: UInt32 { UInt32(((1 << 32) + placeBytes - 1) / placeBytes & 0xffff_ffff) }

  /// Objects from this size on have a run of pages each; what is kept of them is in LargeRuns.swift.
  static var pageRun: Int { 64 << 10 }

  /// Largest object of a user's cache.
  package static var largestObject: Int { 32 << 10 }
  package static var largestAlignment: Int { PageAllocator.pageBytes }

  /// Bytes of a cache line, for caches that want their objects on lines of their own.
  package static var cacheLine: Int { 64 }

  /// The layout for objects of a size that has been checked; `alignment` is a power of two or 0.
  package init(objectSize: Int, alignment: Int, cacheAligned: Bool, processorCount: Int) {
    let alignment = Self.effectiveAlignment(
      objectSize: objectSize, requested: alignment, cacheAligned: cacheAligned)
    isOfBlocks = false
    placeBytes = (objectSize + alignment - 1) & ~(alignment - 1)
    let fullOrder = Self.order(placeBytes: placeBytes, processorCount: processorCount)
    storedFullOrder = UInt8(fullOrder)
    storedFirstOrder = UInt8(
      Self.firstOrder(placeBytes: placeBytes, alignment: alignment, full: fullOrder))
  }

  /// Of blocks: what is counted of them is their pages.
  static var ofBlocks: SlabGeometry { SlabGeometry() }

  static var ofCharges: SlabGeometry {
    var geometry = SlabGeometry()
    geometry.isOfCharges = true
    return geometry
  }

  private init() {
    isOfBlocks = true
    placeBytes = PageAllocator.pageBytes
    storedFullOrder = UInt8(UnitMap.pageOrder)
    storedFirstOrder = UInt8(UnitMap.pageOrder)
  }

  /// As `calculate_alignment` of mm/slab_common.c: a cache line if asked for, halved while the object
  /// fits in half of it; at least 8.
  private static func effectiveAlignment(
    objectSize: Int, requested: Int, cacheAligned: Bool
  ) -> Int {
    var line = 1
    if cacheAligned {
      line = cacheLine
      while objectSize <= line / 2 { line /= 2 }
    }
    return max(8, requested, line)
  }

  /// As `calculate_order` of mm/slub.c: at least 4·(fls(CPUs)+1) objects, at most what fits in order 3; the smallest
  /// order that wastes at most 1/16, then 1/8, then 1/4; then with fewer objects, down to one;
  /// else the order that holds one object. In units.
  private static func order(placeBytes: Int, processorCount: Int) -> Int {
    let largest = 3
    let bitLength = Int.bitWidth - processorCount.leadingZeroBitCount
    var objects = min(
      4 * (bitLength + 1), (PageAllocator.pageBytes << largest) / placeBytes)
    while objects > 1 {
      // 1/16, 1/8, 1/4.
      for shift in (2...4).reversed() {
        for order in 0...largest {
          let bytes = PageAllocator.pageBytes << order
          guard bytes >= objects * placeBytes else { continue }
          if bytes % placeBytes <= bytes >> shift { return order + UnitMap.pageOrder }
        }
      }
      objects -= 1
    }
    var order = 0
    while PageAllocator.pageBytes << order < placeBytes { order += 1 }
    return order + UnitMap.pageOrder
  }

  /// The smallest order that wastes at most a quarter; alignments hold since a slab of 2^order
  /// units is aligned to its size.
  private static func firstOrder(placeBytes: Int, alignment: Int, full: Int) -> Int {
    for order in 0..<full {
      let bytes = UnitMap.unitBytes << order
      guard bytes >= placeBytes, bytes >= alignment else { continue }
      if bytes % placeBytes <= bytes / 4 { return order }
    }
    return full
  }

  /// The order for the next slab of a child that already has `units` of memory: as much again,
  /// within the two orders, so that a tenant's waste is bounded by what it uses.
  func nextOrder(afterUnits units: Int) -> Int {
    let doubling = units <= 1 ? 0 : Int.bitWidth - 1 - units.leadingZeroBitCount
    return min(fullOrder, max(firstOrder, doubling))
  }
}
