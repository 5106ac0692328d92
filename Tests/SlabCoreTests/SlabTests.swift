// One slab: taking and putting objects, against a plain set.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct SlabTests {
  /// A descriptor in memory of the test's own; the slab's run is only a number.
  private func withSlab(
    slots: Int, firstSlot: Int = 0, _ body: (Pointer<Slab>) throws -> Void
  ) rethrows {
    let bytes = UnsafeMutableRawPointer.allocate(
      byteCount: Slab.wideDescriptorBytes, alignment: 64)
    defer { unsafe bytes.deallocate() }
    let slab = Pointer<Slab>(address: UInt(bitPattern: bytes))!
    unsafe slab.unsafePointer.initialize(
      to: Slab(
        cache: Pointer<Cache>(address: 64)!, address: 1 << 20, slots: slots, order: 2,
        firstSlot: firstSlot, isForeign: false))
    slab.setAllFree(slots: slots, firstSlot: firstSlot)
    try body(slab)
  }

  private func slot(of object: UInt) -> Int { Int(object - 1 << 20) / 8 }

  private func expect(_ slab: Pointer<Slab>, hasFree free: Set<Int>, of count: Int) {
    #expect(slab.countedFreeObjects == free.count)
    #expect(Int(slab.pointee.inUse) == count - free.count)
    #expect(Int(slab.pointee.objectCount) == count)
    #expect(slab.hasFreeObjects == !free.isEmpty)
  }

  /// Every state of slabs of up to six objects, and from each of them every step.
  @Test(arguments: 1...6) func everyStateAndStep(_ slots: Int) {
    withSlab(slots: slots) { slab in
      for state in 0..<1 << slots {
        let free = Set((0..<slots).filter { state & 1 << $0 == 0 })
        for step in -1..<slots {
          // From an empty slab to the state: all taken, the free ones put back.
          slab.setAllFree(slots: slots, firstSlot: 0)
          slab.pointee.inUse = 0
          slab.pointee.firstWord = 0
          for expected in 0..<slots { #expect(slot(of: slab.takeObject(slotBytes: 8)) == expected) }
          for index in free { #expect(slab.putObject(slot: index)) }
          expect(slab, hasFree: free, of: slots)
          if step < 0 {
            guard let lowest = free.min() else { continue }
            #expect(slot(of: slab.takeObject(slotBytes: 8)) == lowest)
            expect(slab, hasFree: free.subtracting([lowest]), of: slots)
          } else {
            #expect(slab.putObject(slot: step) == !free.contains(step))
            expect(slab, hasFree: free.union([step]), of: slots)
          }
        }
      }
    }
  }

  /// Sizes on both sides of the words' borders, up to the widest descriptor.
  @Test(arguments: [63, 64, 65, 127, 128, 129, 191, 192, 193, 512, 704])
  func manyObjects(_ slots: Int) {
    withSeed { seed in
      var random = SeededGenerator(seed: seed)
      withSlab(slots: slots) { slab in
        var free = Set(0..<slots)
        var taken: [Int] = []
        for step in 0..<4 * slots {
          // First until it is full, then at random, so that the first word moves both ways.
          if !free.isEmpty, step < slots || taken.isEmpty || Bool.random(using: &random) {
            let object = slot(of: slab.takeObject(slotBytes: 8))
            #expect(object == free.min())
            free.remove(object)
            taken.append(object)
          } else {
            let object = taken.remove(at: Int.random(in: 0..<taken.count, using: &random))
            #expect(slab.putObject(slot: object))
            #expect(!slab.putObject(slot: object))
            free.insert(object)
          }
        }
        expect(slab, hasFree: free, of: slots)
      }
    }
  }

  /// The first slot of a slab that carries its own descriptor is never handed out, nor taken back.
  @Test(arguments: [16, 64, 65]) func firstSlotIsTheDescriptors(_ slots: Int) {
    withSlab(slots: slots, firstSlot: 1) { slab in
      expect(slab, hasFree: Set(1..<slots), of: slots - 1)
      var seen: [Int] = []
      while slab.hasFreeObjects { seen.append(slot(of: slab.takeObject(slotBytes: 8))) }
      #expect(seen == Array(1..<slots))
      for index in 1..<slots { #expect(slab.putObject(slot: index)) }
      expect(slab, hasFree: Set(1..<slots), of: slots - 1)
      // All are in: one more would be one too many, whichever it is.
      #expect(!slab.putObject(slot: 0))
    }
  }

  @Test func descriptorsHaveRoomForTheirBits() {
    #expect(MemoryLayout<Slab>.size == 40)
    #expect(Slab.slotsOfDescriptor == 192)
    #expect(Slab.slotsOfWideDescriptor == 704)
  }
}
