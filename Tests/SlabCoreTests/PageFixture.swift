// SPDX-License-Identifier: Apache-2.0
// A page allocator of a test's own, over a reservation of a few MiB.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

struct PageFixture {
  let pages: Pointer<PageAllocator>
  private let start: UInt
  private let bytes: Int

  static let chunkBytes = 4 << 20
  static let chunkUnits = 1 << PageAllocator.largestOrder

  init(chunks: Int, freeBytesToKeep: Int = 0, hasRounds: Bool = false) throws {
    let heapBytes = chunks * Self.chunkBytes
    let mapBytes = heapBytes / UnitMap.unitBytes * 8
    bytes = heapBytes + mapBytes + Self.chunkBytes
    start = try SystemCall.reserve(bytes: bytes)
    let heap = (start + UInt(mapBytes + Self.chunkBytes - 1)) & ~UInt(Self.chunkBytes - 1)
    let map = UnitMap(
      words: Words(at: heap - UInt(mapBytes)), heapBase: heap,
      unitLimit: heapBytes / UnitMap.unitBytes)
    let memory = UnsafeMutablePointer<PageAllocator>.allocate(capacity: 1)
    unsafe memory.initialize(
      to: PageAllocator(map: map, freeBytesToKeep: freeBytesToKeep, hasRounds: hasRounds))
    pages = unsafe Pointer(memory)
  }

  func close() {
    unsafe pages.unsafePointer.deallocate()
    try? SystemCall.unmap(at: start, bytes: bytes)
  }

  var map: UnitMap { pages.pointee.map }

  /// From the runs as they are.
  func allocate(order: Int) -> Int? {
    let lock = pages.pointee.lock.lock()
    return pages.pointee.allocate(order: order, for: .rootGroup, under: lock)?.unit
  }
  /// As the core does: what is dirty goes back before a refusal.
  func allocateOrGiveBack(order: Int) -> Int? {
    pages.allocate(order: order, for: .rootGroup)?.unit
  }
  func free(_ unit: Int, order: Int) { pages.free(Run(unit: unit, order: order), of: .rootGroup) }
  func giveBack(keeping: Int) { pages.giveBack(keeping: keeping) }

  var hasExcess: Bool { pages.pointee.hasExcess.load(ordering: .relaxed) }
  var wantsRound: Bool { pages.pointee.rounds.isWanted.load(ordering: .relaxed) }
  func endRound() { pages.endRound() }
  /// As a worker does.
  func giveBackExcess() { pages.giveBack() }
  func clearExcess() { pages.pointee.hasExcess.store(false, ordering: .relaxed) }

  /// The figures that must add up, for comparisons.
  struct Figures: Equatable {
    var used: Int
    var dirty: Int
    var clean: Int
    var endUnit: Int
  }

  var figures: Figures {
    Figures(
      used: pages.pointee.usedPages, dirty: pages.pointee.dirtyPages,
      clean: pages.pointee.cleanPages, endUnit: pages.pointee.endUnit)
  }

  func expectWhole(sourceLocation: SourceLocation = #_sourceLocation) {
    if let broken = pages.brokenInvariant() {
      Issue.record("\(broken)", sourceLocation: sourceLocation)
    }
  }

  /// Writes into the first and the last byte of a run, as a slab does.
  func touch(_ unit: Int, order: Int) {
    let words = Words(at: map.address(ofUnit: unit))
    words[0] = 1
    words[(UnitMap.unitBytes << order) / 8 - 1] = 1
  }
}

func withPages(
  chunks: Int, freeBytesToKeep: Int = 0, hasRounds: Bool = false,
  _ body: (PageFixture) throws -> Void
) throws {
  let fixture = try PageFixture(
    chunks: chunks, freeBytesToKeep: freeBytesToKeep, hasRounds: hasRounds)
  defer { fixture.close() }
  try body(fixture)
}
