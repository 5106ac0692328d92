// SPDX-License-Identifier: Apache-2.0
// The operations of one thread on one CPU's sheaf, in both modes.

import SlabPlatform
import SlabTestSupport
import Testing

@Suite(.inTurn) struct SheafTests {
  static let classes = Array(0..<PerCPURegion.sheafClassCount)

  @Test(arguments: testedModes, classes)
  func holdsItsCapacityAndGivesTheLastFirst(_ mode: PerCPUMode, _ index: Int) throws {
    try withRegion(mode) { fixture in
      let word = try fixture.open(ofClass: index)
      #expect(word.capacity == PerCPURegion.sheafCapacity(ofClass: index))
      try onOneCPU {
        #expect(fixture.pop() == 0)
        for object in 1...UInt(word.capacity) {
          try #require(fixture.push(object * 8) == .done)
        }
        #expect(fixture.push(4) == .full)
        #expect(fixture.objects(in: word).count == word.capacity)
        for object in (1...UInt(word.capacity)).reversed() {
          try #require(fixture.pop() == object * 8)
        }
        #expect(fixture.pop() == 0)
        #expect(fixture.pop() == 0)
      }
      #expect(try fixture.closeAndFlush(ofClass: index) == [])
    }
  }

  @Test(arguments: testedModes, [1, 2, 3, 6])
  func capacityMayBeLessThanTheBlock(_ mode: PerCPUMode, _ capacity: Int) throws {
    try withRegion(mode) { fixture in
      _ = try fixture.open(ofClass: 0, capacity: capacity)
      onOneCPU {
        for object in 1...UInt(capacity) { #expect(fixture.push(object * 8) == .done) }
        #expect(fixture.push(800) == .full)
        #expect(fixture.pushBatch([800, 808]) == 0)
        #expect(fixture.popBatch(10).count == capacity)
        #expect(fixture.pushBatch((1...10).map { UInt($0) * 8 }) == capacity)
      }
    }
  }

  /// All numbers of objects there, taken and offered, for a sheaf of seven.
  @Test(arguments: testedModes) func batchesOfEverySize(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      let word = try fixture.open(ofClass: 0)
      try onOneCPU {
        for there in 0...7 {
          for wanted in 0...9 {
            let before = (0..<there).map { UInt(64 + $0 * 8) }
            try #require(fixture.pushBatch(before) == there)
            let taken = fixture.popBatch(wanted)
            try #require(taken == Array(before.reversed().prefix(wanted)))

            let offered = (0..<wanted).map { UInt(1024 + $0 * 8) }
            let put = fixture.pushBatch(offered)
            try #require(put == min(wanted, 7 - there + taken.count))
            let rest = Array(before.dropLast(taken.count))
            try #require(fixture.objects(in: word) == rest + offered.prefix(put))
            while fixture.pop() != 0 {}
          }
        }
      }
    }
  }

  @Test(arguments: testedModes) func topIsCheckedForADoubleFree(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      let word = try fixture.open(ofClass: 0)
      onOneCPU {
        #expect(fixture.push(8) == .done)
        #expect(fixture.push(8) == .doubleFree)
        #expect(fixture.push(16) == .done)
        #expect(fixture.push(16) == .doubleFree)
        #expect(fixture.objects(in: word) == [8, 16])
        // What was taken off may come back.
        #expect(fixture.pop() == 16)
        #expect(fixture.push(16) == .done)
        // Full and double: the broken contract is what must be reported.
        for object: UInt in 3...7 { #expect(fixture.push(object * 8) == .done) }
        #expect(fixture.push(56) == .doubleFree)
        #expect(fixture.push(800) == .full)
      }
    }
  }

  @Test(arguments: testedModes) func closedSheafMissesAndTouchesNothing(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      let missesEverything = {
        fixture.pop() == 0 && fixture.push(8) == .full && fixture.popBatch(3).isEmpty
          && fixture.pushBatch([8, 16]) == 0
      }
      #expect(missesEverything())
      let word = try fixture.open(ofClass: 1)
      onOneCPU { #expect(fixture.pushBatch([8, 16, 24]) == 3) }
      #expect(fixture.exchange(.closed) == word)
      #expect(missesEverything())
      #expect(fixture.objects(in: word) == [8, 16, 24])
      #expect(fixture.exchange(word).isClosed)
      #expect(try fixture.closeAndFlush(ofClass: 1) == [8, 16, 24])
      #expect(missesEverything())
    }
  }

  /// The fast path reads only the word for sequences: with locked stripes it must miss.
  @Test(arguments: testedModes) func fastPathMissesLockedStripes(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      _ = try fixture.open(ofClass: 0)
      onOneCPU {
        #expect(fixture.push(8) == .done)
        let address = fixture.words.address
        if mode == .restartableSequences {
          // What is tried once may miss, if it is restarted.
          func again<Answer: Equatable>(_ miss: Answer, _ operation: () -> Answer) -> Answer {
            for _ in 0..<1000 {
              let answer = operation()
              if answer != miss { return answer }
            }
            return miss
          }
          #expect(again(.full) { Sheaf.push(address, 8) } == .doubleFree)
          #expect(again(.full) { Sheaf.push(address, 16) } == .done)
          #expect(again(0) { Sheaf.pop(address) } == 16)
          #expect(again(0) { Sheaf.pop(address) } == 8)
        } else {
          #expect(Sheaf.push(address, 8) == .full)
          #expect(Sheaf.pop(address) == 0)
        }
      }
    }
  }

  @Test(arguments: SheafTests.classes, [0x7f00_0000_0000 as UInt, 64, 0x7fff_ffff_ffc0])
  func wordKeepsPlaceAndCapacity(_ index: Int, _ first: UInt) {
    let capacity = PerCPURegion.sheafCapacity(ofClass: index)
    for used in [1, capacity / 2, capacity] {
      let word = SheafWord(first: first, capacity: used)
      #expect(word.first == first)
      #expect(word.capacity == used)
      #expect(!word.isClosed)
      #expect(SheafWord(rawValue: word.rawValue) == word)
    }
    #expect(SheafWord.closed.isClosed)
    #expect(SheafWord.closed.capacity == 0)
  }
}
