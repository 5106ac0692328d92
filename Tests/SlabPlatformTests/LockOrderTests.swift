// SPDX-License-Identifier: Apache-2.0
// The ranks of locks: what debug builds check, and that the page in docs/ says the same.

import Foundation
import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

/// Shared with the closure of an exit test.
private final class Ranked: Sendable {
  let lock: Lock
  init(_ rank: LockRank) { lock = Lock(rank) }
  init() { lock = Lock(outsideOfTheOrder: ()) }

  func tryLock() -> Bool { lock.tryLock() }
}

@Suite(.inTurn) struct LockOrderTests {
  /// The first column of its table, in its order.
  @Test func thePageHasTheRanks() throws {
    let page = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/lock-order.md")
    let rows = try String(contentsOf: page, encoding: .utf8).split(separator: "\n")
      .filter { $0.hasPrefix("| ") }
      .map { $0.split(separator: "|")[0].trimmingCharacters(in: .whitespaces) }
    #expect(Array(rows.dropFirst(2)) == LockRank.allCases.map { "\($0.name)" })
  }

  @Test func locksAreTakenFromTheOutermostToTheInnermost() {
    let locks = LockRank.allCases.dropFirst().map { Ranked($0) }
    for ranked in locks { ranked.lock.lock() }
    for ranked in locks { ranked.lock.unlock() }
    for ranked in locks { #expect(ranked.tryLock()) }
    // In whatever order they are given back.
    for ranked in locks { ranked.lock.unlock() }
    let (outside, other, registry) = (Ranked(), Ranked(), Ranked(.registry))
    outside.lock.lock()
    other.lock.lock()
    registry.lock.lock()
    registry.lock.unlock()
    other.lock.unlock()
    outside.lock.unlock()
  }

  #if DEBUG
    /// Each lock under the one below it, and under one of its own rank.
    @Test(arguments: LockRank.allCases.dropFirst().indices, [0, 1])
    func anotherOrderEndsTheProcess(_ index: Int, _ below: Int) async {
      guard index + below < LockRank.allCases.count else { return }
      let result = await #expect(
        processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
      ) { [index = index as Int, below = below as Int] in
        _ = signal(SIGABRT, SIG_DFL)
        let held = Ranked(LockRank.allCases[index + below])
        let wanted = Ranked(LockRank.allCases[index])
        held.lock.lock()
        // The odd ones are tried, which is no exception.
        if index % 2 == 0 { wanted.lock.lock() } else { _ = wanted.lock.tryLock() }
      }
      let (wanted, held) = (LockRank.allCases[index].name, LockRank.allCases[index + below].name)
      let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      #expect(text == "slab: \(wanted): taken under \(held)\n")
    }

    /// Not only the innermost one counts.
    @Test func allThatAreHeldStandAbove() async {
      let result = await #expect(
        processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
      ) {
        _ = signal(SIGABRT, SIG_DFL)
        let (registry, cache, pages) = (Ranked(.registry), Ranked(.cache), Ranked(.pages))
        pages.lock.lock()
        pages.lock.unlock()
        registry.lock.lock()
        cache.lock.lock()
        registry.lock.unlock()
        pages.lock.lock()
        cache.lock.unlock()
        registry.lock.lock()
      }
      let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      #expect(text == "slab: registry lock: taken under page lock\n")
    }

    /// By a fork, which has all locks of one allocator and takes those of the next.
    @Test func aForkTakesAll() async {
      await #expect(processExitsWith: .success) {
        let list = Ranked(.forkHandlers)
        let locks = [0, 1].map { _ in [Ranked(.registry), Ranked(.cache), Ranked(.cache)] }
        list.lock.lock()
        for allocator in locks {
          HeldLocks.beginFork()
          for ranked in allocator { ranked.lock.lock() }
        }
        for allocator in locks { for ranked in allocator.reversed() { ranked.lock.unlock() } }
        list.lock.unlock()
        HeldLocks.expectNone(below: .inHand, "nothing")
      }
    }
  #endif
}
