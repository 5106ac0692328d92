// SPDX-License-Identifier: Apache-2.0
// A group that has ended and is empty is empty for good, also if a thread was about to allocate in it.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

#if DEBUG
  @Suite(.inTurn) struct EmptyGroupTests {
    /// An allocation that saw the group online charges after its end: neither the group nor the one above
    /// has a charge again, not even for a moment.
    @Test(arguments: [LifecycleDesign.current, .linux410], [false, true])
    func aLateChargeIsNone(design: LifecycleDesign, closesTheParent: Bool) async {
      let isLinux410 = design == .linux410
      await #expect(processExitsWith: .success) {
        [isLinux410 = isLinux410 as Bool, closesTheParent = closesTheParent as Bool] in
        var configuration = AllocatorConfiguration()
        configuration.design = isLinux410 ? .linux410 : .current
        try withAllocator(configuration: configuration) { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let parent = try allocator.makeGroup("parent")
          let group = try allocator.makeGroup("group", below: parent)
          PausePoints.arm(.beforeCharging)
          let thread = TestThread {
            allocator.expectError(.groupOffline) { () throws(AllocatorError) in
              try allocator.allocate(from: root, in: group)
            }
          }
          #expect(PausePoints.waitUntilReached(.beforeCharging))
          #expect(!allocator.isDrained(group))
          try allocator.close(closesTheParent ? parent : group)
          #expect(allocator.isDrained(group))
          #expect(allocator.isDrained(parent) == closesTheParent)
          PausePoints.resume(.beforeCharging)
          thread.join()
          #expect(allocator.isDrained(group))
          #expect(group.peakBytes == 0)
          #expect(parent.peakBytes == 0)
          allocator.release(group)
          allocator.release(parent)
          try allocator.destroy(root)
        }
      }
    }
  }
#endif
