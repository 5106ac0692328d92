// SPDX-License-Identifier: Apache-2.0
// Every hop of the life cycle against everything that another thread may do meanwhile. A thread
// lives a group's whole life, and with it the workers; the thread that comes to the hop stops there; then
// another one acts, and all goes on. What must hold is what `withAllocator` checks at its end.
//
// In debug builds only: pause points are nothing in a release build.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

#if DEBUG
  @Suite(.inTurn) struct InterleavingTests {
    @Test(arguments: PausePoint.hops)
    func everyHopAgainstEveryAction(hop: PausePoint) async {
      await #expect(processExitsWith: .success) { [hop = hop.rawValue as UInt64] in
        let hop = PausePoint(rawValue: hop)!
        for action in Action.allCases {
          try withAllocator { allocator in
            let life = try Life(allocator)
            try standing(at: hop, of: life) { try life.act(action, at: hop) }
            for root in life.roots where action != .destroyRoots { try allocator.destroy(root) }
            if action == .destroyRoots {
              allocator.waitUntilIdle()
              for root in life.roots where allocator.statistics.rootCachesReleased < 2 {
                try? allocator.destroy(root)
              }
            }
          }
        }
      }
    }
  }
#endif
