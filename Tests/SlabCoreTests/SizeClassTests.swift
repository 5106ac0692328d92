// SPDX-License-Identifier: Apache-2.0
// The size classes: for every size the right one, and little waste where it matters.

import Foundation
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct SizeClassTests {
  private var sizes: [Int] { (0..<SizeClasses.sizes.count).map { SizeClasses.sizes[$0] } }

  private func geometry(_ bytes: Int) -> SlabGeometry {
    SlabGeometry(
      objectSize: bytes, alignment: min(bytes & -bytes, SlabGeometry.largestAlignment),
      cacheAligned: false, processorCount: 2)
  }

  @Test func everySizeHasTheSmallestClass() {
    var classes = SizeClasses()
    classes.fill()
    let sizes = sizes
    #expect(sizes == sizes.sorted())
    for bytes in 0...(32 << 10) {
      let index = classes.index(forBytes: bytes)
      if sizes[index] < bytes || (index > 0 && sizes[index - 1] >= bytes) {
        Issue.record("\(bytes) bytes have the class of \(sizes[index])")
      }
    }
    // Above, what is no power of two of pages is a block.
    for pages in 9...2048 {
      let bytes = pages * PageAllocator.pageBytes
      let index = sizes.firstIndex(of: bytes) ?? SizeClasses.blocks
      #expect(classes.index(forBytes: bytes) == index)
      #expect(classes.index(forBytes: bytes - 4095) == index)
    }
    #expect(classes.index(forBytes: Allocator.largestAllocation) == SizeClasses.blocks)
  }

  /// Each class holds more objects in a slab than the next larger one, else it would be of no use.
  @Test func noClassIsIdle() {
    for (bytes, next) in zip(sizes, sizes.dropFirst()) {
      let own = geometry(bytes)
      let other = geometry(next)
      #expect(own.placeBytes == bytes)
      let perObject = Double(1 << own.fullOrder) / Double(own.objectCount(order: own.fullOrder))
      let perOther =
        Double(1 << other.fullOrder) / Double(other.objectCount(order: other.fullOrder))
      #expect(perObject < perOther, "\(bytes) bytes")
    }
  }

  /// What a server in Swift allocates most (a closure, a task, a child task, a task allocator's slab):
  /// at most a sixteenth of the memory is not theirs.
  @Test(arguments: [32, 304, 336, 1016]) func littleWaste(bytes: Int) {
    var classes = SizeClasses()
    classes.fill()
    let geometry = geometry(SizeClasses.sizes[classes.index(forBytes: bytes)])
    let slab = UnitMap.unitBytes << geometry.fullOrder
    let used = geometry.objectCount(order: geometry.fullOrder) * bytes
    #expect((slab - used) * 16 <= slab)
  }

  /// The table of docs/size-classes.md.
  @Test func theDocumentedTable() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/size-classes.md")
    let rows = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      .filter { $0.hasPrefix("| ") && $0.dropFirst(2).first!.isNumber }
    var smallest = 1
    let expected = sizes.filter { $0 <= 32 << 10 }.map { bytes in
      defer { smallest = bytes + 1 }
      let geometry = geometry(bytes)
      let slab = UnitMap.unitBytes << geometry.fullOrder
      let count = geometry.objectCount(order: geometry.fullOrder)
      let left = 100 * Double(slab - count * bytes) / Double(slab)
      return "| \(grouped(bytes)) | \(grouped(smallest)) to \(grouped(bytes)) | \(slab >> 10) KiB"
        + " | \(count) | \(String(format: "%.1f", left)) % |"
    }
    #expect(rows.map(String.init) == expected)
  }

  private func grouped(_ number: Int) -> String {
    number < 1000
      ? "\(number)" : "\(number / 1000),\(String(String(number % 1000 + 1000).dropFirst()))"
  }

  @Test func blocks() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant")
      var blocks: [(UInt, Int)] = []
      var bytes = 1
      while bytes <= 16 << 20 {
        for wanted in [bytes - 1, bytes, bytes + 1] {
          let block = try allocator.allocate(bytes: wanted, in: group)
          #expect(allocator.usableBytes(of: block) >= wanted)
          #expect(block % 16 == 0)
          zeroMemory(at: block, bytes: wanted)
          blocks.append((block, wanted))
        }
        bytes *= 2
      }
      #expect(allocator.statistics.rootCachesCreated == 0)
      expectWhole(allocator)
      for (block, _) in blocks { allocator.free(block) }
      #expect(throws: AllocatorError.invalidObjectSize) {
        try allocator.allocate(bytes: Allocator.largestAllocation + 1, in: group)
      }
      #expect(throws: AllocatorError.invalidObjectSize) {
        try allocator.allocate(bytes: -1, in: group)
      }
      try allocator.close(group)
      allocator.release(group)
    }
  }

  /// A slab of one large object writes one word of the page map, however many units it has; and what
  /// smaller slabs wrote there before leads nobody to a cache.
  @Test(arguments: [64 << 10, 1 << 20, 4 << 20])
  func aLargeObjectHasOneWordOfThePageMap(bytes: Int) throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant")
      let map = allocator.pages.pointee.map
      let small = try (0..<100).map { _ in try allocator.allocate(bytes: 32 << 10, in: group) }
      for object in small { allocator.free(object) }
      allocator.reclaim(bytes: .max, of: group)
      let block = try allocator.allocate(bytes: bytes, in: group)
      let units = 0..<bytes / UnitMap.unitBytes
      let written = units.filter { map.words[map.unit(of: block) + $0] != 0 }
      #expect(written == [0])
      #expect(allocator.usableBytes(of: block) == bytes)
      expectWhole(allocator)
      allocator.free(block)
      #expect(units.allSatisfy { map.cache(at: block + UInt($0 * UnitMap.unitBytes)) == nil })
      expectWhole(allocator)
      allocator.release(group)
    }
  }

  @Test func alignments() throws {
    try withAllocator { allocator in
      let root = allocator.rootGroup
      for shift in 0...12 {
        for bytes in [1, 17, 200, 304, 1016, 5000, 100_000] {
          let block = try allocator.allocate(bytes: bytes, alignment: 1 << shift, in: root)
          #expect(block % (1 << UInt(shift)) == 0)
          #expect(allocator.usableBytes(of: block) >= bytes)
          allocator.free(block)
        }
      }
      for alignment in [0, -8, 24, 48, 12288] {
        #expect(throws: AllocatorError.invalidAlignment) {
          try allocator.allocate(bytes: 8, alignment: alignment, in: root)
        }
      }
    }
  }
}
