// SPDX-License-Identifier: Apache-2.0
// Two threads at one limit: idle memory that one of them gives back, or takes, is no reason to refuse the other.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct GiveBackTests {
  /// The mark of idle memory is cleared first, and its charge falls last. A thread that is refused in between
  /// waits for the other one.
  @Test func aRefusalWaitsForAnotherThreadsGivingBack() async {
    #if DEBUG
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let pages = try allocator.makeCache("pages", size: 4096)
          let others = try allocator.makeCache("others", size: 4096)
          let group = try allocator.makeGroup("group")
          allocator.free(try allocator.allocate(from: pages, in: group))
          #expect(group.currentBytes == 4096)
          try allocator.setMax(4096, of: group)
          PausePoints.arm(.beforeReleasingSlabs)
          let giver = TestThread { group.giveBackIdle() }
          #expect(PausePoints.waitUntilReached(.beforeReleasingSlabs))
          let taker = TestThread {
            do {
              allocator.free(try allocator.allocate(from: others, in: group))
            } catch {
              Issue.record("refused: \(error)")
            }
          }
          // It has been refused once, and reclaims.
          #expect(eventually { allocator.events(of: group, local: true).max == 1 })
          PausePoints.resume(.beforeReleasingSlabs)
          taker.join()
          giver.join()
          #expect(allocator.events(of: group, local: true).oom == 0)
          allocator.release(group)
          for root in [pages, others] { try allocator.destroy(root) }
        }
      }
    #endif
  }

  /// The idle clock takes what is cold out of its caches, where a reclaim looks for it, and only then uncharges it.
  @Test func aRefusalWaitsForTheIdleClock() async {
    #if DEBUG
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let pages = try allocator.makeCache("pages", size: 4096)
          let others = try allocator.makeCache("others", size: 4096)
          let group = try allocator.makeGroup("group")
          try allocator.warmUp(pages, in: group)
          // In use when the hand comes for the first time.
          _ = allocator.moveIdleHand()
          try allocator.setMax(group.currentBytes, of: group)
          PausePoints.arm(.beforeReleasingSlabs)
          let clock = TestThread { _ = allocator.moveIdleHand() }
          #expect(PausePoints.waitUntilReached(.beforeReleasingSlabs))
          let taker = TestThread {
            do {
              allocator.free(try allocator.allocate(from: others, in: group))
            } catch {
              Issue.record("refused: \(error)")
            }
          }
          #expect(eventually { allocator.events(of: group, local: true).max == 1 })
          PausePoints.resume(.beforeReleasingSlabs)
          taker.join()
          clock.join()
          #expect(allocator.events(of: group, local: true).oom == 0)
          allocator.release(group)
          for root in [pages, others] { try allocator.destroy(root) }
        }
      }
    #endif
  }

  /// What a thread has given back another one may charge before it tries again: `current` is where it was, and
  /// yet there was progress.
  @Test func roomThatAnotherThreadTakesIsProgress() async {
    #if DEBUG
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let caches = try (0..<3).map { try allocator.makeCache("pages-\($0)", size: 4096) }
          let group = try allocator.makeGroup("group")
          allocator.free(try allocator.allocate(from: caches[0], in: group))
          try allocator.setMax(4096, of: group)
          PausePoints.arm(.beforeCharging)
          let thread = TestThread {
            do {
              allocator.free(try allocator.allocate(from: caches[1], in: group))
            } catch {
              Issue.record("refused: \(error)")
            }
          }
          #expect(PausePoints.waitUntilReached(.beforeCharging))
          PausePoints.arm(.beforeCharging)
          PausePoints.resume(.beforeCharging)
          // It has been refused, and has given back what was idle.
          #expect(PausePoints.waitUntilReached(.beforeCharging))
          #expect(group.currentBytes == 0)
          let object = try allocator.allocate(from: caches[2], in: group)
          PausePoints.arm(.beforeCharging)
          PausePoints.resume(.beforeCharging)
          // It has been refused again, and tries once more.
          #expect(PausePoints.waitUntilReached(.beforeCharging))
          try allocator.setMax(2 * 4096, of: group)
          PausePoints.resume(.beforeCharging)
          thread.join()
          allocator.free(object)
          allocator.release(group)
          for root in caches { try allocator.destroy(root) }
        }
      }
    #endif
  }
}
