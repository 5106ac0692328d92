// SPDX-License-Identifier: Apache-2.0
// Runs of pages: splitting, merging, giving back, growing and running out.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct PageTests {
  private static let largest = PageAllocator.largestOrder

  @Test(arguments: 2...12) func runsAreAlignedAndApart(_ order: Int) throws {
    try withPages(chunks: 2) { fixture in
      var seen = Set<Int>()
      while let unit = fixture.allocate(order: order) {
        #expect(unit % (1 << order) == 0)
        #expect(fixture.map.address(ofUnit: unit) % UInt(1024 << order) == 0)
        #expect(seen.insert(unit).inserted)
        fixture.touch(unit, order: order)
      }
      #expect(seen.count == 2 << (Self.largest - order))
      fixture.expectWhole()
      for unit in seen { fixture.free(unit, order: order) }
      fixture.expectWhole()
      // All merged again: whole chunks can be had.
      #expect(fixture.allocate(order: Self.largest) != nil)
      #expect(fixture.allocate(order: Self.largest) != nil)
      #expect(fixture.allocate(order: 2) == nil)
    }
  }

  /// The end of the reservation answers nil, and nothing has changed.
  @Test func exhaustedReservationChangesNothing() throws {
    try withPages(chunks: 1) { fixture in
      for order in (2..<Self.largest).reversed() { #expect(fixture.allocate(order: order) != nil) }
      let last = try #require(fixture.allocate(order: 2))
      let before = fixture.figures
      for order in 2...Self.largest {
        #expect(fixture.allocate(order: order) == nil)
        #expect(fixture.figures == before)
        fixture.expectWhole()
      }
      fixture.free(last, order: 2)
      #expect(fixture.allocate(order: 3) == nil)
      #expect(fixture.allocate(order: 2) == last)
    }
  }

  /// A dirty run is taken before a clean one, even if it must be split.
  @Test func residentMemoryIsRecycledFirst() throws {
    try withPages(chunks: 1) { fixture in
      let runs = try (0..<4).map { _ in try #require(fixture.allocate(order: 4)) }
      fixture.free(runs[2], order: 4)
      #expect(fixture.figures.dirty == 4)
      #expect(fixture.allocate(order: 2) == runs[2])
      #expect(fixture.figures.dirty == 3)
      // Too large for what is dirty.
      let clean = try #require(fixture.allocate(order: 4))
      #expect(!runs.contains(clean))
      fixture.expectWhole()
    }
  }

  @Test func givenBackMemoryReadsAsZeros() throws {
    try withPages(chunks: 1) { fixture in
      let unit = try #require(fixture.allocate(order: 6))
      fixture.touch(unit, order: 6)
      fixture.free(unit, order: 6)
      fixture.giveBack(keeping: 0)
      #expect(fixture.figures == .init(used: 0, dirty: 0, clean: 1024, endUnit: 4096))
      #expect(fixture.pages.pointee.returnedBytes == 16 * 4096)
      let words = Words(at: fixture.map.address(ofUnit: unit))
      #expect(words[0] == 0)
      #expect(words[(1024 << 6) / 8 - 1] == 0)
      fixture.expectWhole()
    }
  }

  /// Dirty runs merge only with dirty ones; after both are given back, with each other.
  @Test func dirtyAndCleanStayApart() throws {
    try withPages(chunks: 1) { fixture in
      let low = try #require(fixture.allocate(order: 11))
      let high = try #require(fixture.allocate(order: 11))
      fixture.free(low, order: 11)
      fixture.giveBack(keeping: 0)
      fixture.free(high, order: 11)
      fixture.expectWhole()
      #expect(fixture.figures == .init(used: 0, dirty: 512, clean: 512, endUnit: 4096))
      #expect(fixture.allocate(order: 12) == nil)
      fixture.giveBack(keeping: 0)
      fixture.expectWhole()
      #expect(fixture.allocate(order: 12) == 0)
    }
  }

  @Test func givesBackTheLargestFirstAndKeepsTheRest() throws {
    try withPages(chunks: 1) { fixture in
      // Buddies of those that are freed stay in use, so that nothing merges.
      let runs = try [2, 2, 3, 3, 4, 4, 5, 5].map { order in
        (unit: try #require(fixture.allocate(order: order)), order: order)
      }
      for index in stride(from: 0, to: 8, by: 2) {
        fixture.free(runs[index].unit, order: runs[index].order)
      }
      #expect(fixture.figures.dirty == 1 + 2 + 4 + 8)
      fixture.giveBack(keeping: 15)
      #expect(fixture.figures.dirty == 15)
      fixture.giveBack(keeping: 14)
      #expect(fixture.figures.dirty == 14)
      fixture.pages.giveBack(keeping: 3, runsAtMost: 1)
      #expect(fixture.figures.dirty == 6)
      fixture.giveBack(keeping: 3)
      // Of the run of four pages one goes.
      #expect(fixture.figures.dirty == 3)
      fixture.giveBack(keeping: 1)
      #expect(fixture.figures.dirty == 1)
      fixture.expectWhole()
    }
  }

  @Test func excessIsNoticedWithHysteresis() throws {
    try withPages(chunks: 1, freeBytesToKeep: 8 * 4096) { fixture in
      let runs = try (0..<20).map { _ in try #require(fixture.allocate(order: 2)) }
      #expect(fixture.pages.pointee.pagesToKeep == 8)
      for (count, unit) in runs.enumerated() {
        #expect(fixture.hasExcess == (count > 16))
        fixture.free(unit, order: 2)
      }
      #expect(fixture.hasExcess)
    }
  }

  /// What was free all through three rounds goes back, but for what is worth keeping.
  @Test func whatRoundsDidNotUseGoesBack() throws {
    try withPages(chunks: 1, freeBytesToKeep: 8 * 4096, hasRounds: true) { fixture in
      let runs = try (0..<60).map { _ in try #require(fixture.allocate(order: 2)) }
      for unit in runs { fixture.free(unit, order: 2) }
      #expect(fixture.wantsRound && !fixture.hasExcess && fixture.figures.dirty == 60)
      // The round in which they were freed, and two more.
      for _ in 0..<3 {
        fixture.endRound()
        #expect(!fixture.hasExcess)
      }
      fixture.endRound()
      #expect(fixture.hasExcess)
      fixture.clearExcess()
      fixture.giveBackExcess()
      #expect(fixture.figures.dirty <= 8 && fixture.wantsRound)
      fixture.endRound()
      #expect(!fixture.wantsRound && !fixture.hasExcess)
      fixture.expectWhole()
    }
  }

  /// A load that uses its pages in each third round keeps them, and what went back once does not count twice.
  @Test func aSlowSwingKeepsItsPages() throws {
    try withPages(chunks: 1, freeBytesToKeep: 8 * 4096, hasRounds: true) { fixture in
      func swing(_ count: Int) throws {
        let runs = try (0..<count).map { _ in try #require(fixture.allocate(order: 2)) }
        for unit in runs { fixture.free(unit, order: 2) }
      }
      try swing(200)
      for _ in 0..<4 {
        for _ in 0..<2 { fixture.endRound() }
        #expect(!fixture.hasExcess && fixture.figures.dirty == 200)
        try swing(200)
      }
      // From now on half of it: the other half goes back after three rounds without it, and no more.
      for _ in 0..<4 {
        fixture.endRound()
        try swing(100)
      }
      #expect(fixture.hasExcess)
      fixture.clearExcess()
      fixture.giveBackExcess()
      #expect(fixture.figures.dirty == 100)
      for _ in 0..<4 {
        fixture.endRound()
        #expect(!fixture.hasExcess)
        fixture.endRound()
        #expect(!fixture.hasExcess)
        try swing(100)
      }
      #expect(fixture.figures.dirty == 100)
      fixture.expectWhole()
    }
  }

  /// What is not worth giving back yet still counts in the rounds that follow.
  @Test func whatStaysIsNotForgotten() throws {
    try withPages(chunks: 1, freeBytesToKeep: 8 * 4096, hasRounds: true) { fixture in
      func swing(_ count: Int) throws {
        let runs = try (0..<count).map { _ in try #require(fixture.allocate(order: 2)) }
        for unit in runs { fixture.free(unit, order: 2) }
      }
      try swing(20)
      fixture.endRound()
      // 5 are never used in this round, 12 in each of the next ones.
      for used in [15, 8, 8] {
        try swing(used)
        fixture.endRound()
        #expect(!fixture.hasExcess)
      }
      try swing(8)
      fixture.endRound()
      #expect(fixture.hasExcess)
      fixture.giveBackExcess()
      fixture.expectWhole()
    }
  }

  /// Where the free runs are too small for a load, it does not have them beside what it takes instead.
  @Test func freeRunsThatAreOfNoUse() throws {
    try withPages(chunks: 4, freeBytesToKeep: 8 * 4096, hasRounds: true) { fixture in
      let small = try (0..<400).map { _ in try #require(fixture.allocate(order: 2)) }
      for unit in 0..<400 where unit % 4 != 0 { fixture.free(small[unit], order: 2) }
      fixture.endRound()
      #expect(fixture.figures.dirty == 300 && !fixture.hasExcess)
      // 400 were in use: so 200 more may be resident, and twice 8 that are kept at least.
      var large = 0
      while !fixture.hasExcess, large < 400 {
        _ = try #require(fixture.allocate(order: 4))
        large += 4
      }
      #expect(large == 220)
      let used = fixture.figures.used
      fixture.giveBackExcess()
      #expect(fixture.figures.used == used && fixture.figures.dirty == 616 - used)
      fixture.expectWhole()
    }
  }

  /// A load that swings keeps what it needs, and the rest goes back.
  @Test func aRoundLeavesWhatSwings() throws {
    try withPages(chunks: 1, freeBytesToKeep: 8 * 4096, hasRounds: true) { fixture in
      let runs = try (0..<200).map { _ in try #require(fixture.allocate(order: 2)) }
      for unit in runs { fixture.free(unit, order: 2) }
      for _ in 0..<4 {
        fixture.endRound()
        let some = try (0..<100).map { _ in try #require(fixture.allocate(order: 2)) }
        for unit in some { fixture.free(unit, order: 2) }
      }
      #expect(fixture.hasExcess)
      fixture.giveBackExcess()
      #expect(fixture.figures.dirty == 100 && fixture.wantsRound)
      fixture.expectWhole()
    }
  }

  /// At the end of the heap: half of a chunk is dirty, the other half was never touched, and all of it is free.
  @Test func whatIsFreeIsOneRunBeforeARefusal() throws {
    try withPages(chunks: 1, freeBytesToKeep: 4 << 20) { fixture in
      let half = try #require(fixture.allocate(order: PageAllocator.largestOrder - 1))
      fixture.free(half, order: PageAllocator.largestOrder - 1)
      #expect(fixture.figures.dirty == 512 && fixture.figures.clean == 512)
      let whole = try #require(fixture.allocateOrGiveBack(order: PageAllocator.largestOrder))
      #expect(fixture.allocateOrGiveBack(order: UnitMap.pageOrder) == nil)
      fixture.free(whole, order: PageAllocator.largestOrder)
      fixture.expectWhole()
    }
  }

  @Test func boundedGiveBackLeavesTheRestForLater() throws {
    try withPages(chunks: 1) { fixture in
      let runs = try (0..<8).map { _ in try #require(fixture.allocate(order: 2)) }
      for index in stride(from: 0, to: 8, by: 2) { fixture.free(runs[index], order: 2) }
      fixture.clearExcess()
      fixture.pages.giveBack(keeping: 0, runsAtMost: 3)
      #expect(fixture.figures.dirty == 1)
      #expect(fixture.hasExcess)
      fixture.expectWhole()
    }
  }

  @Test func heapShrinksFromItsEnd() throws {
    try withPages(chunks: 4) { fixture in
      let chunks = try (0..<4).map { _ in try #require(fixture.allocate(order: Self.largest)) }
      #expect(chunks == [0, 4096, 8192, 12288])
      for chunk in [1, 3] {
        fixture.touch(chunks[chunk], order: Self.largest)
        fixture.free(chunks[chunk], order: Self.largest)
      }
      // Dirty chunks stay, and chunks below one that is in use.
      fixture.pages.shrinkHeap()
      #expect(fixture.figures.endUnit == 4 * 4096)
      fixture.giveBack(keeping: 0)
      fixture.pages.shrinkHeap()
      #expect(fixture.figures == .init(used: 2048, dirty: 0, clean: 1024, endUnit: 3 * 4096))
      fixture.free(chunks[2], order: Self.largest)
      fixture.free(chunks[0], order: Self.largest)
      fixture.giveBack(keeping: 0)
      fixture.pages.shrinkHeap()
      // The first chunk stays: the allocator's own state stands there.
      #expect(fixture.figures == .init(used: 0, dirty: 0, clean: 1024, endUnit: 4096))
      fixture.expectWhole()
      // It grows again.
      #expect(fixture.allocate(order: Self.largest) == 0)
      #expect(fixture.allocate(order: Self.largest) == 4096)
      fixture.touch(4096, order: Self.largest)
      fixture.expectWhole()
    }
  }

  @Test func refusedCommitChangesNothing() async {
    await #expect(processExitsWith: .success) {
      try withPages(chunks: 2) { fixture in
        for chunk in 0..<2 {
          // The map's words, then the heap.
          for nth in 1...2 {
            let before = fixture.figures
            FaultInjection.failCall(nth, of: .protect, with: .noMemory)
            #expect(fixture.allocate(order: 12) == nil)
            #expect(FaultInjection.end() == 1)
            #expect(fixture.figures == before)
            fixture.expectWhole()
          }
          #expect(fixture.allocate(order: 12) == chunk * 4096)
        }
      }
    }
  }

  /// Where the system refuses to take memory back, it stays dirty and nothing is lost.
  @Test func refusedGiveBackKeepsTheMemory() async {
    await #expect(processExitsWith: .success) {
      for repeating in [false, true] {
        for nth in 1...4 {
          try withPages(chunks: 2) { fixture in
            let runs = try (0..<8).map { _ in try #require(fixture.allocate(order: 3)) }
            for index in stride(from: 0, to: 8, by: 2) { fixture.free(runs[index], order: 3) }
            FaultInjection.failCall(nth, of: .giveBack, with: .noMemory, repeating: repeating)
            fixture.giveBack(keeping: 0)
            #expect(FaultInjection.end() == 1)
            #expect(fixture.figures.dirty == 2 * (5 - nth))
            fixture.expectWhole()
            fixture.giveBack(keeping: 0)
            #expect(fixture.figures == .init(used: 8, dirty: 0, clean: 1016, endUnit: 4096))
            fixture.expectWhole()
          }
        }
      }
    }
  }

  @Test func refusedShrinkIsHarmless() async {
    await #expect(processExitsWith: .success) {
      try withPages(chunks: 2) { fixture in
        for _ in 0..<2 { _ = fixture.allocate(order: 12) }
        fixture.free(4096, order: 12)
        fixture.giveBack(keeping: 0)
        FaultInjection.failCall(1, of: .giveBack, with: .noMemory)
        fixture.pages.shrinkHeap()
        #expect(FaultInjection.end() == 1)
        #expect(fixture.figures.endUnit == 4096)
        fixture.expectWhole()
        #expect(fixture.allocate(order: 12) == 4096)
        fixture.expectWhole()
      }
    }
  }
}
