// SPDX-License-Identifier: Apache-2.0
// A debugger that steps over a sequence restarts it each time: all the same each operation ends, and what
// it did is right.

import SlabPlatform
import SlabTestSupport
import Testing

@Suite(.inTurn) struct SteppingTests {
  /// The sheaf's operations: each of them may miss, and none may lose an object or double one.
  @Test(arguments: testedModes) func sheafGetsThrough(_ mode: PerCPUMode) async {
    await #expect(processExitsWith: .success) { [isLocked = (mode == .lockedStripes) as Bool] in
      _ = try PerCPUMode.choose()
      try withRegion(.lockedStripes(isLocked)) { fixture in
        let word = try fixture.open(ofClass: 0)
        let operate: () -> Int32 = {
          var here: [UInt] = [8, 16, 24, 32, 40]
          if fixture.push(here[0]) == .done { here.removeFirst() }
          here.removeFirst(fixture.pushBatch(here))
          here += fixture.popBatch(2)
          let object = fixture.pop()
          if object != 0 { here.append(object) }
          return (here + fixture.objects(in: word)).sorted() == [8, 16, 24, 32, 40] ? 42 : 1
        }
        #expect(operate() == 42)
        _ = try fixture.closeAndFlush(ofClass: 0)
        _ = fixture.exchange(word)
        prepareForForks()
        #expect(stepThroughChild(most: 400_000, operate) == 42)
      }
    }
  }

  /// Counters: what a sequence gave up on is counted all the same.
  @Test(arguments: testedModes) func countersGetThrough(_ mode: PerCPUMode) async {
    await #expect(processExitsWith: .success) { [isLocked = (mode == .lockedStripes) as Bool] in
      _ = try PerCPUMode.choose()
      try withRegion(.lockedStripes(isLocked)) { fixture in
        let block = try #require(fixture.allocateCounters())
        let memory = UnsafeMutablePointer<CounterWord>.allocate(capacity: 1)
        unsafe memory.initialize(to: CounterWord())
        let word = unsafe Pointer(memory)
        word.pointee.change(to: block)
        let operate: () -> Int32 = {
          for _ in 0..<3 { fixture.region.pointee.add(5, toCounter: 1, of: block) }
          let first = fixture.region.pointee.increment(by: word)
          fixture.region.pointee.increment(at: first + 16)
          let isRight =
            first == block && fixture.sum(ofCounter: 0, of: block) == 1
            && fixture.sum(ofCounter: 1, of: block) == 15
            && fixture.sum(ofCounter: 2, of: block) == 1
          return isRight ? 42 : 1
        }
        #expect(operate() == 42)
        fixture.region.clearCounters(block)
        prepareForForks()
        #expect(stepThroughChild(most: 400_000, operate) == 42)
      }
    }
  }

  /// The fast path itself, with a closed sheaf, as in the fallback.
  @Test func fastPathGetsThrough() async {
    await #expect(processExitsWith: .success) {
      let words = UnsafeMutablePointer<SheafWords>.allocate(capacity: 1)
      unsafe words.initialize(to: SheafWords())
      let address = unsafe Pointer(words).address
      let operate: () -> Int32 = {
        Sheaf.pop(address) == 0 && Sheaf.push(address, 8) == .full ? 42 : 1
      }
      #expect(operate() == 42)
      prepareForForks()
      #expect(stepThroughChild(most: 100_000, operate) == 42)
    }
  }
}
