// SPDX-License-Identifier: Apache-2.0
// Runs of any number of pages: split, joined, aligned, grown.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct PageBlockTests {
  private func allocate(_ pages: Int, alignment: Int = 4096, _ fixture: PageFixture) -> Run? {
    fixture.pages.allocate(RunShape(pages: pages, alignment: alignment), for: .rootGroup)
  }

  @Test(arguments: [1, 2, 3, 5, 63, 64, 65, 1000, 1023, 1024, 1025, 2047, 3000])
  func whatIsTooMuchIsFree(pages: Int) throws {
    try withPages(chunks: 4) { fixture in
      let run = try #require(allocate(pages, fixture))
      #expect(run.pages == pages && run.isZero && !run.isForeign)
      #expect(fixture.figures.used == pages)
      #expect(fixture.pages.pointee.residentPagesPeak == pages)
      fixture.expectWhole()
      // As if it had been used.
      fixture.pages.free(Run(unit: run.unit, units: run.units), of: .rootGroup)
      fixture.expectWhole()
      // Joined again: a run of the same pages is the same one, and is dirty.
      let again = try #require(allocate(pages, fixture))
      #expect(again.unit == run.unit && !again.isZero)
      fixture.pages.free(again, of: .rootGroup)
      fixture.giveBack(keeping: 0)
      fixture.expectWhole()
      #expect(fixture.figures.clean == fixture.figures.endUnit / 4)
    }
  }

  @Test func aRunGrowsIntoWhatFollows() throws {
    try withPages(chunks: 4) { fixture in
      let first = try #require(allocate(3, fixture))
      let second = try #require(allocate(2, fixture))
      // Nothing behind the first one is free; a run for all of it lies elsewhere.
      let shape = RunShape(growing: first, to: first.units + 4 * 5)
      let moved = try #require(fixture.pages.allocate(shape, for: .rootGroup))
      #expect(moved.unit != first.end && moved.pages == 8)
      fixture.pages.free(moved, of: .rootGroup)
      fixture.pages.free(second, of: .rootGroup)
      let more = try #require(fixture.pages.allocate(shape, for: .rootGroup))
      #expect(more.unit == first.end && more.pages == 5)
      fixture.expectWhole()
      // To the end of the reservation, and not beyond.
      let all = Run(unit: first.unit, units: first.units + more.units)
      let rest = fixture.map.unitLimit - all.end
      let last = fixture.pages.allocate(
        RunShape(growing: all, to: all.units + rest), for: .rootGroup)
      #expect(last?.unit == all.end && last?.units == rest)
      fixture.expectWhole()
      #expect(
        fixture.pages.allocate(RunShape(growing: all, to: all.units + rest + 4), for: .rootGroup)
          == nil)
    }
  }

  /// Runs of random sizes and alignments against what is free, with the invariants at each step.
  @Test func randomRuns() throws {
    try withSeed { seed in
      var random = SeededGenerator(seed: seed)
      try withPages(chunks: 8) { fixture in
        var runs: [Run] = []
        for _ in 0..<2000 {
          if !runs.isEmpty, Int.random(in: 0..<5, using: &random) < 2 {
            fixture.pages.free(
              runs.remove(at: Int.random(in: runs.indices, using: &random)), of: .rootGroup)
          } else {
            let pages = Int.random(
              in: 1...(Bool.random(using: &random) ? 40 : 2500), using: &random)
            let alignment = 4096 << Int.random(in: 0...12, using: &random)
            guard let run = allocate(pages, alignment: alignment, fixture) else { continue }
            #expect(fixture.map.address(ofUnit: run.unit) % UInt(alignment) == 0)
            #expect(runs.allSatisfy { $0.end <= run.unit || run.end <= $0.unit })
            runs.append(run)
          }
          #expect(fixture.figures.used == runs.reduce(0) { $0 + $1.pages })
          fixture.expectWhole()
          if Int.random(in: 0..<100, using: &random) == 0 { fixture.giveBack(keeping: 0) }
        }
        for run in runs { fixture.pages.free(run, of: .rootGroup) }
        fixture.giveBack(keeping: 0)
        fixture.expectWhole()
        #expect(fixture.pages.pointee.freeChunks.count == fixture.figures.endUnit >> 12)
      }
    }
  }

  @Test func chunkSets() {
    var set = ChunkSet()
    for chunk in [0, 1, 63, 64, 65, 200] { set[chunk] = true }
    #expect(set.count == 6)
    #expect(set.first(from: 0, below: 300, isMember: false) == 2)
    #expect(set.first(from: 2, below: 300, isMember: true) == 63)
    #expect(set.first(from: 63, below: 300, isMember: false) == 66)
    #expect(set.first(from: 66, below: 150, isMember: true) == 150)
    #expect(set.first(from: 201, below: 300, isMember: true) == 300)
    #expect(set.startOfRow(before: 66) == 63)
    #expect(set.startOfRow(before: 2) == 0)
    #expect(set.startOfRow(before: 200) == 200)
  }
}
