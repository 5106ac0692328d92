// SPDX-License-Identifier: Apache-2.0
// The region's memory: blocks for sheaves by class, counters, giving memory back, running out.

import SlabPlatform
import SlabTestSupport
import Testing

@Suite(.inTurn) struct RegionTests {
  /// The largest block still fits the word's 16 bits, and each class is larger than the one before.
  @Test func classesGrow() {
    let capacities = (0..<PerCPURegion.sheafClassCount).map { index in
      PerCPURegion.sheafCapacity(ofClass: index)
    }
    #expect(capacities == capacities.sorted())
    #expect(Set(capacities).count == capacities.count)
    #expect(capacities.allSatisfy { ($0 + 1) % 8 == 0 && ($0 + 1) * 8 < 1 << 16 })
  }

  @Test(arguments: testedModes) func blocksAreApartAndEmpty(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      var taken: [(start: UInt, end: UInt)] = []
      for round in 0..<50 {
        for index in 0..<PerCPURegion.sheafClassCount where round % (index + 1) == 0 {
          let bytes = UInt(PerCPURegion.sheafCapacity(ofClass: index) + 1) * 8
          let first = try #require(fixture.allocateSheaf(ofClass: index))
          #expect(first % 64 == 0)
          for stripe in 0..<fixture.region.pointee.stripeCount {
            let sheaf = Words(at: fixture.region.pointee.address(first, onStripe: stripe))
            #expect(sheaf[0] == 0)
            // The whole block is usable, on every stripe.
            sheaf[Int(bytes / 8) - 1] = 1
          }
          taken.append((first, first + bytes))
        }
      }
      taken.sort { $0.start < $1.start }
      for (left, right) in zip(taken, taken.dropFirst()) { #expect(left.end <= right.start) }
      #expect(fixture.liveSheaves == taken.count)
    }
  }

  @Test(arguments: testedModes) func freeBlocksAreUsedAgainByTheirClass(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      var blocks: [[UInt]] = []
      for index in 0..<PerCPURegion.sheafClassCount {
        blocks.append(
          try (0..<5).map { _ in
            try #require(fixture.allocateSheaf(ofClass: index))
          })
      }
      let used = fixture.usedBytes
      for (index, ofClass) in blocks.enumerated() {
        for first in ofClass { fixture.freeSheaf(first, ofClass: index) }
      }
      #expect(fixture.liveSheaves == 0)
      for (index, ofClass) in blocks.enumerated() {
        let again = (0..<5).compactMap { _ in
          fixture.allocateSheaf(ofClass: index)
        }
        // The last one freed first.
        #expect(again == ofClass.reversed())
      }
      #expect(fixture.usedBytes == used)
    }
  }

  @Test(arguments: testedModes) func trimGivesBackWhatNobodyUses(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      #expect(fixture.trim() == 0)
      let before = fixture.usedBytes
      let blocks = try (0..<100).map { _ in try #require(fixture.allocateSheaf(ofClass: 3)) }
      #expect(fixture.usedBytes >= before + 100 * 4096 * fixture.region.pointee.stripeCount)
      for first in blocks.dropFirst() {
        // Content above `current`, as sheaves that were used have it.
        Words(at: first)[5] = 1
        fixture.freeSheaf(first, ofClass: 3)
      }
      #expect(fixture.trim() == 0)
      Words(at: blocks[0])[5] = 1
      fixture.freeSheaf(blocks[0], ofClass: 3)
      #expect(fixture.trim() > 0)
      #expect(fixture.usedBytes == before)
      #expect(Words(at: blocks[0])[5] == 0)

      // It works as before, and begins anew: no block that was free is handed out twice.
      let again = (0..<100).compactMap { _ in fixture.allocateSheaf(ofClass: 3) }
      #expect(again == blocks)
      for first in again { fixture.freeSheaf(first, ofClass: 3) }
      #expect(fixture.trim() > 0)
      let word = try fixture.open(ofClass: 0)
      #expect(fixture.objects(in: word) == [])
      onOneCPU { #expect(fixture.pushBatch([8, 16]) == 2) }
      #expect(try fixture.closeAndFlush(ofClass: 0) == [8, 16])
    }
  }

  @Test(arguments: testedModes) func fullRegionAnswersNil(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      var blocks: [UInt] = []
      while let first = fixture.allocateSheaf(ofClass: 3) { blocks.append(first) }
      let bytes = (PerCPURegion.sheafCapacity(ofClass: 3) + 1) * 8
      #expect(((55 << 20) / bytes...(56 << 20) / bytes).contains(blocks.count))
      #expect(fixture.liveSheaves == blocks.count)
      while fixture.allocateSheaf(ofClass: 0) != nil {}
      fixture.freeSheaf(blocks[3], ofClass: 3)
      #expect(fixture.allocateSheaf(ofClass: 3) == blocks[3])
      #expect(fixture.allocateSheaf(ofClass: 3) == nil)

      var counters = 0
      while fixture.allocateCounters() != nil { counters += 1 }
      #expect(counters == (8 << 20) / 64 - 1)
    }
  }

  @Test(arguments: testedModes) func countersAreExact(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      let region = fixture.region
      let blocks = try (0..<3).map { _ in try #require(fixture.allocateCounters()) }
      #expect(Set(blocks.map { $0 / 64 }).count == 3)
      let rounds = 100_000
      onThreads(4) { thread in
        for round in 0..<rounds {
          region.pointee.add(thread + 1, toCounter: 0, of: blocks[0])
          region.pointee.add(round & 1 == 0 ? 5 : -5, toCounter: 7, of: blocks[0])
          region.pointee.add(-1, toCounter: 3, of: blocks[2])
        }
      }
      #expect(fixture.sum(ofCounter: 0, of: blocks[0]) == rounds * (1 + 2 + 3 + 4))
      #expect(fixture.sum(ofCounter: 7, of: blocks[0]) == 0)
      #expect(fixture.sum(ofCounter: 3, of: blocks[2]) == -4 * rounds)
      for index in 0..<8 {
        #expect(fixture.sum(ofCounter: index, of: blocks[1]) == 0)
        guard index != 0, index != 7 else { continue }
        #expect(fixture.sum(ofCounter: index, of: blocks[0]) == 0)
      }
    }
  }

  @Test(arguments: testedModes) func refusedMemoryChangesNothing(_ mode: PerCPUMode) async {
    await #expect(processExitsWith: .success) { [isLocked = (mode == .lockedStripes) as Bool] in
      let mode = PerCPUMode.lockedStripes(isLocked)
      _ = try PerCPUMode.choose()
      try withRegion(mode) { fixture in
        let used = fixture.usedBytes
        for nth in 1...fixture.region.pointee.stripeCount {
          FaultInjection.failCall(nth, of: .protect, with: .noMemory)
          #expect(fixture.allocateSheaf(ofClass: 1) == nil)
          #expect(FaultInjection.end() == 1)
          #expect(fixture.liveSheaves == 0)
          #expect(fixture.usedBytes == used)
        }
        #expect(fixture.allocateSheaf(ofClass: 1) != nil)

        // The first 64 KiB of counters are there from the start.
        for _ in 0..<1023 { _ = fixture.allocateCounters() }
        FaultInjection.failCall(1, of: .protect, with: .noMemory)
        #expect(fixture.allocateCounters() == nil)
        #expect(FaultInjection.end() == 1)
        #expect(fixture.allocateCounters() != nil)
      }
    }
  }

  /// Fewer stripes where addresses are short; the mode that can share stripes then.
  @Test func reservationShrinksToWhatThereIs() async {
    await #expect(processExitsWith: .success) {
      let processors = try SystemCall.processorBound()
      for mode in [PerCPUMode.lockedStripes, .restartableSequences] where processors > 1 {
        FaultInjection.failCall(1, of: .reserve, with: .noMemory)
        let region = try PerCPURegion(mode: mode)
        #expect(FaultInjection.end() == 1)
        #expect(region.mode == .lockedStripes)
        let wanted = mode == .lockedStripes ? min(processors, 64) : processors
        #expect(region.stripeCount == min(64, wanted / 2))
        region.unmap()
      }
      for call in [SystemCallSet.reserve, .protect] {
        let before = mappedBytes()
        FaultInjection.failCall(1, of: call, with: .noMemory, repeating: true)
        #expect(throws: Errno.noMemory) { _ = try PerCPURegion(mode: .lockedStripes) }
        #expect(FaultInjection.end() >= 1)
        #expect(mappedBytes() < before + 1 << 20)
      }
    }
  }

  /// A refused fence is reported; a thread that flushed in spite of it would double objects.
  @Test func fenceReportsItsError() async throws {
    guard testedModes.contains(.restartableSequences) else { return }
    await #expect(processExitsWith: .success) {
      _ = try PerCPUMode.choose()
      try withRegion(.restartableSequences) { fixture in
        FaultInjection.failCall(1, of: .membarrier, with: .noMemory)
        #expect(throws: Errno.noMemory) { try fixture.fence() }
        #expect(FaultInjection.end() == 1)
        try fixture.fence()
      }
    }
  }

  @Test(arguments: testedModes) func forkLocksAreReleasedInBothProcesses(_ mode: PerCPUMode) throws
  {
    try withRegion(mode) { fixture in
      for inChild in [false, true] {
        HeldLocks.beginFork()
        fixture.region.pointee.prepareForFork()
        fixture.region.pointee.resumeAfterFork(inChild: inChild)
        _ = try fixture.open(ofClass: 0)
        onOneCPU { #expect(fixture.push(8) == .done) }
        #expect(try fixture.closeAndFlush(ofClass: 0) == [8])
      }
    }
  }
}
