// SPDX-License-Identifier: Apache-2.0
// One slab: taking and putting objects, against a plain set.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct SlabTests {
  /// A descriptor in memory of the test's own; the slab's run is only a number.
  private func withSlab(
    places: Int, firstPlace: Int = 0, _ body: (Pointer<Slab>) throws -> Void
  ) rethrows {
    let bytes = UnsafeMutableRawPointer.allocate(
      byteCount: Slab.wideDescriptorBytes, alignment: 64)
    defer { unsafe bytes.deallocate() }
    let slab = unsafe Pointer<Slab>(address: UInt(bitPattern: bytes))!
    unsafe slab.unsafePointer.initialize(
      to: Slab(
        owner: 64, address: 1 << 20, places: places, order: 2,
        firstPlace: firstPlace, isForeign: false))
    slab.setAllFree(places: places, firstPlace: firstPlace)
    try body(slab)
  }

  private func place(of object: UInt) -> Int { Int(object - 1 << 20) / 8 }

  private func expect(_ slab: Pointer<Slab>, hasFree free: Set<Int>, of count: Int) {
    #expect(slab.countedFreeObjects == free.count)
    #expect(Int(slab.pointee.inUse) == count - free.count)
    #expect(Int(slab.pointee.objectCount) == count)
    #expect(slab.hasFreeObjects == !free.isEmpty)
  }

  /// Every state of slabs of up to six objects, and from each of them every step.
  @Test(arguments: 1...6) func everyStateAndStep(_ places: Int) {
    withSlab(places: places) { slab in
      for state in 0..<1 << places {
        let free = Set((0..<places).filter { state & 1 << $0 == 0 })
        for step in -1..<places {
          // From an empty slab to the state: all taken, the free ones put back.
          slab.setAllFree(places: places, firstPlace: 0)
          slab.pointee.inUse = 0
          slab.pointee.firstWord = 0
          for expected in 0..<places {
            #expect(place(of: slab.takeObject(placeBytes: 8)) == expected)
          }
          for index in free { #expect(slab.putObject(place: index)) }
          expect(slab, hasFree: free, of: places)
          if step < 0 {
            guard let lowest = free.min() else { continue }
            #expect(place(of: slab.takeObject(placeBytes: 8)) == lowest)
            expect(slab, hasFree: free.subtracting([lowest]), of: places)
          } else {
            #expect(slab.putObject(place: step) == !free.contains(step))
            expect(slab, hasFree: free.union([step]), of: places)
          }
        }
      }
    }
  }

  /// Sizes on both sides of the words' borders, up to the widest descriptor.
  @Test(arguments: [63, 64, 65, 127, 128, 129, 191, 192, 193, 512, 704])
  func manyObjects(_ places: Int) {
    withSeed { seed in
      var random = SeededGenerator(seed: seed)
      withSlab(places: places) { slab in
        var free = Set(0..<places)
        var taken: [Int] = []
        for step in 0..<4 * places {
          // First until it is full, then at random, so that the first word moves both ways.
          if !free.isEmpty, step < places || taken.isEmpty || Bool.random(using: &random) {
            let object = place(of: slab.takeObject(placeBytes: 8))
            #expect(object == free.min())
            free.remove(object)
            taken.append(object)
          } else {
            let object = taken.remove(at: Int.random(in: 0..<taken.count, using: &random))
            #expect(slab.putObject(place: object))
            #expect(!slab.putObject(place: object))
            free.insert(object)
          }
        }
        expect(slab, hasFree: free, of: places)
      }
    }
  }

  /// The first place of a slab that carries its own descriptor is never handed out, nor taken back.
  @Test(arguments: [16, 64, 65]) func firstPlaceIsTheDescriptors(_ places: Int) {
    withSlab(places: places, firstPlace: 1) { slab in
      expect(slab, hasFree: Set(1..<places), of: places - 1)
      var seen: [Int] = []
      while slab.hasFreeObjects { seen.append(place(of: slab.takeObject(placeBytes: 8))) }
      #expect(seen == Array(1..<places))
      for index in 1..<places { #expect(slab.putObject(place: index)) }
      expect(slab, hasFree: Set(1..<places), of: places - 1)
      // All are in: one more would be one too many, whichever it is.
      #expect(!slab.putObject(place: 0))
    }
  }

  /// As many at a time as a buffer has room for are the same objects as one by one.
  @Test(arguments: [1, 63, 64, 65, 129, 192, 193, 704]) func takesManyAtATime(_ places: Int) {
    withSeed { seed in
      var random = SeededGenerator(seed: seed)
      withSlab(places: places) { slab in
        var free = Set(0..<places)
        for _ in 0..<100 {
          let room = Int.random(in: 0...places, using: &random)
          let expected = Array(free.sorted().prefix(room))
          #expect(slab.takeObjects(room).map { self.place(of: $0) } == expected)
          free.subtract(expected)
          expect(slab, hasFree: free, of: places)
          for index in 0..<places where !free.contains(index) && Bool.random(using: &random) {
            #expect(slab.putObject(place: index))
            free.insert(index)
          }
        }
      }
    }
  }

  /// Objects of a word come back together, or none of them does.
  @Test func putsAWordAtATime() {
    withSlab(places: 130) { slab in
      #expect(slab.takeObjects(130).count == 130)
      #expect(slab.putObjects(bits: 0b1011, ofWord: 1))
      expect(slab, hasFree: [64, 65, 67], of: 130)
      #expect(!slab.putObjects(bits: 0b1100, ofWord: 1))
      expect(slab, hasFree: [64, 65, 67], of: 130)
      #expect(slab.putObjects(bits: 0b11, ofWord: 2))
      #expect(slab.takeObjects(9).map { place(of: $0) } == [64, 65, 67, 128, 129])
    }
  }

  @Test func descriptorsHaveRoomForTheirBits() {
    #expect(MemoryLayout<Slab>.size == 40)
    #expect(Slab.placesOfDescriptor == 192)
    #expect(Slab.mostPlaces == 704)
  }
}

extension Pointer where Pointee == Slab {
  fileprivate func takeObjects(_ room: Int) -> [UInt] {
    var objects = [UInt](repeating: 0, count: room)
    let taken = unsafe objects.withUnsafeMutableBufferPointer {
      unsafe takeObjects(into: $0, placeBytes: 8)
    }
    return Array(objects[..<taken])
  }

  fileprivate func putObject(place: Int) -> Bool {
    putObjects(bits: 1 << UInt64(place & 63), ofWord: place >> 6)
  }
}
