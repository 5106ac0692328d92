// SPDX-License-Identifier: Apache-2.0
// Limits that change while others allocate: no counter is ever above the highest of them, and none grows
// beyond the last one.

import Slab
import SlabTestSupport
import Synchronization
import Testing

@Suite(.inTurn) struct LimitStormTests {
  private static let page = 4096

  /// What the threads share.
  private final class Storm: Sendable {
    let cache: SlabCache<[4096 of UInt8]>
    let group: MemoryGroup
    let threads: Int
    /// Each thread's turns, so that a test can wait until all have had one.
    let turns = Mutex<[Int]>([])
    let isOver = Flag()
    let refused = Atomic(0)
    /// Errors that are none of the limit's.
    let failures = Atomic(0)

    init(_ cache: SlabCache<[4096 of UInt8]>, _ group: MemoryGroup, threads: Int) {
      self.cache = cache
      self.group = group
      self.threads = threads
      turns.withLock { $0 = Array(repeating: 0, count: threads) }
    }

    /// Takes as many pages as there are, a few at a time, and gives them back.
    func run(_ thread: Int) {
      var slots = SlabArray<Slot<[4096 of UInt8]>>(in: .root)
      while !isOver.isSet {
        do throws(SlabError) {
          for _ in 0..<8 {
            let isKept = try slots.appendIfPossible { () throws(SlabError) in
              try cache.allocate([4096 of UInt8](repeating: 1), in: group)
            }
            if !isKept {
              failures.add(1, ordering: .relaxed)
            }
          }
          if slots.count > 64 { slots.removeAll(keepingCapacity: true) }
        } catch {
          guard case .limitReached = error else {
            failures.add(1, ordering: .relaxed)
            continue
          }
          refused.add(1, ordering: .relaxed)
          slots.removeAll(keepingCapacity: true)
        }
        turns.withLock { $0[thread] += 1 }
      }
    }

    /// Waits until each thread has begun and ended a turn from now on.
    func awaitTurns() async {
      let before = turns.withLock { $0 }
      let done = await eventually {
        turns.withLock { now in (0..<threads).allSatisfy { now[$0] >= before[$0] + 2 } }
      }
      #expect(done)
    }
  }

  @Test func limitsChangeWhileOthersAllocate() async throws {
    let allocator = try SlabAllocator()
    let cache = try SlabCache<[4096 of UInt8]>(named: "page", of: allocator)
    let parent = try allocator.rootGroup.makeChild(named: "parent", max: 150 * Self.page)
    let group = try parent.makeChild(named: "tenant", max: 100 * Self.page)
    let storm = Storm(cache, group, threads: 3)
    let threads = (0..<storm.threads).map { index in TestThread { storm.run(index) } }
    var random = SplitMix(state: 1)
    let most = 100
    for round in 0..<(isSanitized ? 200 : 2000) {
      try group.setMax((1 + Int(random.next() % UInt64(most))) * Self.page)
      if round % 3 == 0 { try parent.setMax((1 + Int(random.next() % 150)) * Self.page) }
      #expect(group.usage <= most * Self.page && parent.usage <= 150 * Self.page)
      await Task.yield()
    }
    try parent.setMax(nil)
    for limit in [20, 0] {
      try group.setMax(limit * Self.page)
      // Threads that were on their way when the limit fell have arrived.
      await storm.awaitTurns()
      // What is above the limit may stay, and its slabs serve threads that find a free object in them; but
      // nothing comes to it.
      var most = group.usage
      for _ in 0..<1000 {
        let current = group.usage
        #expect(current <= max(most, limit * Self.page))
        most = min(most, current)
        await Task.yield()
      }
    }
    storm.isOver.set()
    for thread in threads { thread.join() }
    #expect(storm.failures.load(ordering: .relaxed) == 0)
    #expect(storm.refused.load(ordering: .relaxed) > 0)
    #expect(group.peak <= most * Self.page && parent.peak <= 150 * Self.page)
    try group.setMax(nil)
    _ = group.reclaim(bytes: 1 << 30)
    #expect(group.usage == 0 && parent.usage == 0)
  }
}
