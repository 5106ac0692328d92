// SPDX-License-Identifier: Apache-2.0
// Policies at limits, tasks that end there, and charges, as users see them.

import Slab
import SlabTestSupport
import Testing

@Suite(.inTurn) struct OverLimitTests {
  let allocator: SlabAllocator
  let group: MemoryGroup

  init() throws {
    allocator = try SlabAllocator()
    group = try allocator.rootGroup.makeChild(named: "request", max: 64 << 10)
  }

  /// A task that asks for too much is cancelled, and what it waits for ends; its neighbour's is not.
  @Test(arguments: MemoryGroup.LimitPolicy.allCases)
  func aTaskOverItsLimitIsCancelled(policy: MemoryGroup.LimitPolicy) async throws {
    try group.setLimitPolicy(policy)
    let group = group
    let neighbour = try allocator.rootGroup.makeChild(named: "neighbour", max: 64 << 10)
    let other = Task {
      await MemoryGroup.withCurrent(neighbour, onOverLimit: .cancelTask) {
        while group.usage == 0, group.events.max == 0 { await Task.yield() }
        return Task.isCancelled
      }
    }
    let task = Task {
      await MemoryGroup.withCurrent(group, onOverLimit: .cancelTask) {
        #expect(!Task.isCancelled)
        let hasFailed = (try? SlabBuffer(capacity: 1 << 20)) == nil
        #expect(hasFailed == (policy == .fail))
        // Ends when the task is cancelled.
        try? await Task.sleep(for: .seconds(600))
        return Task.isCancelled
      }
    }
    #expect(await task.value)
    #expect(await !other.value)
    #expect(group.events.oom == (policy == .fail ? 1 : 0))
    #expect(group.events.overcharge == (policy == .fail ? 0 : 1))
    #expect(group.usage == 0)
  }

  @Test func limitsHaveThePolicy() throws {
    var limits = MemoryGroup.Limits(max: 1 << 20, high: 1 << 19, low: 4096)
    limits.policy = .overcharge
    limits.stop = 2 << 20
    try group.setLimits(limits)
    #expect(group.limits == limits)
    #expect(group.limitPolicy == .overcharge && group.stop == 2 << 20)
    #expect(throws: SlabError.invalidLimit) { try group.setStop(-1) }
    #expect(throws: SlabError.rootGroup) { try allocator.rootGroup.setLimitPolicy(.fail) }
    #expect(try group.makeChild(named: "child").limitPolicy == .overcharge)
    try group.setStop(nil)
    #expect(group.stop == nil)
  }

  @Test func charges() throws {
    let before = group.usage
    do {
      let charge = try group.charge(bytes: 40_000)
      #expect(charge.bytes == 40_960)
      #expect(group.usage == before + 40_960)
      #expect(group.statistics.objects == 40_960)
      #expect(throws: SlabError.self) { _ = try group.charge(bytes: 30_000) }
      try group.close()
      #expect(group.usage == before + 40_960)
    }
    #expect(group.usage == before)
    #expect(throws: SlabError.invalidCapacity) { _ = try group.charge(bytes: -1) }
    #expect(throws: SlabError.groupOffline(group: group)) { _ = try group.charge(bytes: 1) }
  }
}
