// SPDX-License-Identifier: Apache-2.0
// Charges for what is not the allocator's memory.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ChargeTokenTests {
  @Test func aChargeIsCountedAndHasNoMemory() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant", max: 101 << 20)
      let before = allocator.statistics.usedBytes
      let charge = try allocator.charge(bytes: 100 << 20 - 1, to: group)
      #expect(group.currentBytes == 100 << 20)
      #expect(allocator.statistics.chargedBytes == 100 << 20)
      #expect(allocator.statistics.usedBytes - before < 1 << 20)
      let line = try allocator.slabinfo(of: group).split(separator: "\n").first {
        $0.hasPrefix("core:charged-pages ")
      }
      #expect(line?.split(separator: " ").dropFirst().prefix(3) == ["25600", "25600", "4096"])
      #expect(throws: AllocatorError.groupLimit(group)) {
        _ = try allocator.charge(bytes: 2 << 20, to: group)
      }
      #expect(throws: AllocatorError.invalidObjectSize) {
        _ = try allocator.charge(bytes: Allocator.largestCharge + 1, to: group)
      }
      expectWhole(allocator)
      allocator.endCharge(charge)
      #expect(group.currentBytes == 0)
      // Nobody is charged in the root group.
      let nobodys = try allocator.charge(bytes: 1, to: allocator.rootGroup)
      #expect(allocator.statistics.chargedBytes == 0)
      allocator.endCharge(nobodys)
      allocator.release(group)
    }
  }

  /// It outlives its group as an object does, also where the group is discarded.
  @Test(arguments: EndingPolicy.all, [false, true])
  func aChargeOutlivesItsGroup(endings: EndingPolicy, isDiscarded: Bool) throws {
    try withAllocator { allocator in
      let parent = try allocator.makeGroup("parent")
      let group = try allocator.makeGroup("tenant", below: parent, endings: endings)
      let charge = try allocator.charge(bytes: 1 << 20, to: group)
      let block = try allocator.allocate(bytes: 100_000, in: group)
      if isDiscarded {
        try allocator.discard(group)
      } else {
        try allocator.close(group)
        allocator.free(block)
      }
      #expect(throws: AllocatorError.groupOffline) {
        _ = try allocator.charge(bytes: 1, to: group)
      }
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(parent.currentBytes == 1 << 20)
      expectWhole(allocator)
      allocator.endCharge(charge)
      #expect(parent.currentBytes == 0)
      allocator.release(parent)
    }
  }
}

extension EndingPolicy {
  fileprivate static var all: [EndingPolicy] { [.keep, .reparent] }
}
