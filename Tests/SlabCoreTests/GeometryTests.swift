// SPDX-License-Identifier: Apache-2.0
// Sizes, alignments and orders, against the rules of mm/slub.c and against figures of real kernels.

import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct GeometryTests {
  private func geometry(
    _ size: Int, alignment: Int = 0, cacheAligned: Bool = false, processors: Int = 2
  ) -> SlabGeometry {
    SlabGeometry(
      objectSize: size, alignment: alignment, cacheAligned: cacheAligned,
      processorCount: processors)
  }

  /// Order and objects of a full slab on a machine of two CPUs: 4 * (fls(2) + 1) = 12 objects.
  @Test(arguments: [
    // size, order in pages, objects
    (8, 0, 512), (16, 0, 256), (24, 0, 170), (32, 0, 128), (64, 0, 64), (96, 0, 42),
    (128, 0, 32), (192, 0, 21), (256, 0, 16), (336, 0, 12), (512, 1, 16), (600, 1, 13),
    (1024, 2, 16), (2048, 3, 16), (4096, 3, 8), (5888, 3, 5), (8192, 3, 4), (16384, 3, 2),
    (20000, 3, 1), (32768, 3, 1),
  ])
  func ordersOnTwoCPUs(_ size: Int, _ order: Int, _ objects: Int) {
    let made = geometry(size)
    #expect(made.fullOrder == order + UnitMap.pageOrder)
    #expect(made.objectCount(order: made.fullOrder) == objects)
  }

  /// More CPUs want more objects in a slab.
  @Test(arguments: [(1, 0, 8), (2, 1, 16), (4, 1, 16), (8, 2, 32), (64, 2, 32)])
  func ordersByCPUs(_ processors: Int, _ order: Int, _ objects: Int) {
    let made = geometry(512, processors: processors)
    #expect(made.fullOrder == order + UnitMap.pageOrder)
    #expect(made.objectCount(order: made.fullOrder) == objects)
  }

  /// Written once more from the text of the reference, for every size.
  @Test(arguments: [1, 2, 3, 8, 64, 1024]) func ordersByTheReference(_ processors: Int) {
    var fls = 0
    while processors >> fls != 0 { fls += 1 }
    for place in stride(from: 8, through: 32784, by: 8) {
      let made = geometry(place, processors: processors)
      var wanted: Int?
      search: for objects in (1...max(1, min(4 * (fls + 1), 32768 / place))).reversed()
      where objects > 1 {
        for fraction in [16, 8, 4] {
          for order in 0...3 where 4096 << order >= objects * place {
            if (4096 << order) % place * fraction <= 4096 << order {
              wanted = order
              break search
            }
          }
        }
      }
      let alone = (0...4).first { 4096 << $0 >= place }!
      if made.placeBytes != place || made.fullOrder - UnitMap.pageOrder != wanted ?? alone {
        Issue.record("\(place) bytes: order \(made.fullOrder), reference \(wanted ?? alone)")
      }
    }
  }

  @Test func alignments() {
    for size in [1, 7, 8, 9, 24, 63, 64, 65, 100, 4095, 4096, 4097, 32768] {
      for shift in -1...12 {
        let alignment = shift < 0 ? 0 : 1 << shift
        let made = geometry(size, alignment: alignment)
        let actual = max(8, alignment)
        #expect(made.placeBytes % actual == 0)
        #expect((size..<size + actual).contains(made.placeBytes))
        #expect(1024 << made.firstOrder >= actual)
      }
    }
  }

  /// A cache line, halved while the object fits in half of it.
  @Test(arguments: [
    (1, 8), (8, 8), (9, 16), (16, 16), (17, 32), (32, 32), (33, 64), (64, 64), (65, 64), (200, 64),
  ])
  func cacheLines(_ size: Int, _ alignment: Int) {
    func rounded(_ multiple: Int) -> Int { (size + multiple - 1) / multiple * multiple }
    #expect(geometry(size, cacheAligned: true).placeBytes == rounded(alignment))
    #expect(geometry(size, alignment: 128, cacheAligned: true).placeBytes == rounded(128))
  }

  /// The first slab of a child: the smallest that holds an object, keeps the alignment and wastes
  /// at most a quarter.
  @Test func firstOrders() {
    for place in stride(from: 8, through: 32784, by: 8) {
      let made = geometry(place)
      let wanted =
        (0..<made.fullOrder).first { order in
          let bytes = 1024 << order
          return bytes >= place && bytes % place * 4 <= bytes
        } ?? made.fullOrder
      if made.firstOrder != wanted { Issue.record("\(place) bytes: \(made.firstOrder)") }
    }
    #expect(geometry(8).firstOrder == 0)
    #expect(geometry(192).firstOrder == 0)
    #expect(geometry(336).firstOrder == 0)
    #expect(geometry(400).firstOrder == 0)
    #expect(geometry(600).firstOrder == 1)
    #expect(geometry(3000).firstOrder == 4)
    #expect(geometry(1024).firstOrder == 0)
    #expect(geometry(8, alignment: 2048).firstOrder == 1)
    #expect(geometry(32768).firstOrder == geometry(32768).fullOrder)
  }

  /// A child's next slab is as large as all it has, within the two orders.
  @Test func nextOrders() {
    for size in [8, 192, 1024, 4096, 32768] {
      let made = geometry(size)
      #expect(made.nextOrder(afterUnits: 0) == made.firstOrder)
      var units = 0
      for _ in 0..<12 {
        let order = made.nextOrder(afterUnits: units)
        #expect((made.firstOrder...made.fullOrder).contains(order))
        #expect(order == made.firstOrder || 1 << order <= units)
        #expect(order == made.fullOrder || order == made.firstOrder || 2 << order > units)
        units += 1 << order
      }
      #expect(made.nextOrder(afterUnits: units) == made.fullOrder)
    }
  }

  /// From an offset to its place by one multiplication. The product grows with the offset, so if the
  /// first and the last byte of every place are right, every byte in between is.
  @Test func reciprocalsAreExact() {
    for placeBytes in stride(from: 8, through: 32784, by: 8) {
      let reciprocal = UInt64(geometry(placeBytes).reciprocal)
      var wrong = 0
      var offset = 0
      var place: UInt64 = 0
      while offset < 64 << 10 {
        let last = min(offset + placeBytes, 64 << 10) - 1
        if (UInt64(offset) * reciprocal) >> 32 != place { wrong += 1 }
        if (UInt64(last) * reciprocal) >> 32 != place { wrong += 1 }
        offset += placeBytes
        place += 1
      }
      if wrong > 0 { Issue.record("\(placeBytes) bytes: \(wrong) wrong") }
    }
  }

  @Test func largestSlabsHaveRoomForTheirBits() {
    for size in stride(from: 8, through: 32784, by: 8) {
      for processors in [1, 2, 64, 4096] {
        let made = geometry(size, processors: processors)
        let objects = made.objectCount(order: made.fullOrder)
        if objects > Slab.mostPlaces || objects < 1 {
          Issue.record("\(size) bytes, \(processors) CPUs: \(objects) objects")
        }
        if UnitMap.unitBytes << made.fullOrder > 64 << 10 { Issue.record("\(size): a large slab") }
      }
    }
  }
}
