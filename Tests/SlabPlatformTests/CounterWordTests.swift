// SPDX-License-Identifier: Apache-2.0
// A word that says which counter is in use: after a fence no thread adds to the old one, and a thread that adds to
// the new one sees what was done before the change.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

private final class CounterScene: Sendable {
  let word: Pointer<CounterWord>
  let published = Atomic<Int>(0)
  let isOver = Atomic<Bool>(false)
  let additions = Atomic<Int>(0)
  let wrong = Atomic<Int>(0)

  init() {
    let address = UnsafeMutablePointer<CounterWord>.allocate(capacity: 1)
    unsafe address.initialize(to: CounterWord())
    word = unsafe Pointer(address)
  }

  deinit { unsafe word.unsafePointer.deallocate() }
}

@Suite(.inTurn) struct CounterWordTests {
  @Test(arguments: testedModes) func afterTheFenceNobodyAddsToTheOldCounter(_ mode: PerCPUMode)
    throws
  {
    try withRegion(mode) { fixture in
      let block = try #require(fixture.allocateCounters())
      let scene = CounterScene()
      scene.word.pointee.change(to: block)
      let threads = (0..<2).map { _ in
        TestThread {
          while !scene.isOver.load(ordering: .relaxed) {
            _ = fixture.region.pointee.increment(by: scene.word)
            scene.additions.add(1, ordering: .relaxed)
          }
        }
      }
      while scene.additions.load(ordering: .relaxed) < 1000 { Threads.yield() }
      for round in 1...(isDebugBuild || isSanitized ? 5_000 : 50_000) {
        let old = (round - 1) % 2
        scene.word.pointee.change(to: block + UInt(round % 2) * 8)
        try fixture.fence()
        let count = fixture.sum(ofCounter: old, of: block)
        for _ in 0..<50 { Threads.pause() }
        if fixture.sum(ofCounter: old, of: block) != count {
          scene.wrong.add(1, ordering: .relaxed)
        }
      }
      scene.isOver.store(true, ordering: .relaxed)
      for thread in threads { thread.join() }
      #expect(scene.wrong.load(ordering: .relaxed) == 0)
    }
  }

  @Test(arguments: testedModes) func whoAddsSeesWhatWasDoneBefore(_ mode: PerCPUMode) throws {
    try withRegion(mode) { fixture in
      // A counter for each round, so that the counter says which round the reader saw.
      let rounds = isDebugBuild || isSanitized ? 500 : 5_000
      let blocks = try (0...rounds).map { _ in try #require(fixture.allocateCounters()) }
      let roundOfBlock = Dictionary(uniqueKeysWithValues: blocks.enumerated().map { ($1, $0) })
      let scene = CounterScene()
      scene.word.pointee.change(to: blocks[0])
      let reader = TestThread {
        while !scene.isOver.load(ordering: .relaxed) {
          let first = fixture.region.pointee.increment(by: scene.word)
          let round = scene.published.load(ordering: .relaxed)
          if round < roundOfBlock[first] ?? .max { scene.wrong.add(1, ordering: .relaxed) }
          scene.additions.add(1, ordering: .relaxed)
        }
      }
      for round in 1...rounds {
        let before = scene.additions.load(ordering: .relaxed)
        scene.published.store(round, ordering: .relaxed)
        scene.word.pointee.change(to: blocks[round])
        while scene.additions.load(ordering: .relaxed) == before { Threads.pause() }
      }
      scene.isOver.store(true, ordering: .relaxed)
      reader.join()
      #expect(scene.wrong.load(ordering: .relaxed) == 0)
      #expect(
        blocks.reduce(0) { $0 + fixture.sum(ofCounter: 0, of: $1) }
          == scene.additions.load(ordering: .relaxed))
    }
  }
}
