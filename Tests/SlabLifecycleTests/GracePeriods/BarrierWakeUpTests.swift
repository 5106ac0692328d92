// SPDX-License-Identifier: Apache-2.0
// A type-safe cache that awaits a barrier gets it, and is released, without a thread that waits: the one
// that puts it on the batch asks for the barrier, and the one that ends the barrier wakes a worker.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

#if DEBUG
  @Suite(.inTurn) struct BarrierWakeUpTests {
    /// The last thing that keeps a root is an allocation that was building a child for it, and failed.
    @Test func aRootThatAChildKeptToTheLast() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("type-safe", size: 1024, options: .typeSafe)
          let group = try allocator.makeGroup("group")
          PausePoints.arm(.beforeLinkingChild)
          let thread = TestThread {
            allocator.expectError(.cacheDestroyed) { () throws(AllocatorError) in
              try allocator.allocate(from: root, in: group)
            }
          }
          #expect(PausePoints.waitUntilReached(.beforeLinkingChild))
          try allocator.destroy(root)
          #expect(eventually { root.cache.state == .shutDown })
          PausePoints.resume(.beforeLinkingChild)
          thread.join()
          #expect(eventually { allocator.statistics.rootCachesReleased == 1 })
          allocator.release(group)
        }
      }
    }

    /// A barrier that is over before its cookie is written, asked for by a thread that is no worker.
    @Test func aBarrierThatIsOverAtOnce() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("type-safe", size: 1024, options: .typeSafe)
          allocator.hold(root)
          try allocator.destroy(root)
          #expect(eventually { root.cache.state == .shutDown })
          PausePoints.arm(.beforeBarrierCookie)
          let thread = TestThread { allocator.unhold(root) }
          #expect(PausePoints.waitUntilReached(.beforeBarrierCookie))
          // A worker has looked, found no cookie, and sleeps.
          let lifecycle = Pointer<Lifecycle>(of: &allocator.lifecycle.pointee)
          #expect(
            eventually {
              lifecycle.pointee.workers.awake.load(ordering: .relaxed) == 0
                && !lifecycle.pointee.barrierBatch.isMarked.load(ordering: .relaxed)
            })
          PausePoints.resume(.beforeBarrierCookie)
          thread.join()
          #expect(eventually { allocator.statistics.rootCachesReleased == 1 })
        }
      }
    }
  }
#endif
