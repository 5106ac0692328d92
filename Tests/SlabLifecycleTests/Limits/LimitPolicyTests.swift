// SPDX-License-Identifier: Apache-2.0
// What a refusal means: a test for each cell of the table in docs/limits.md.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// max, oom, overcharge.
private func refusals(_ events: GroupEvents) -> [Int] {
  [events.max, events.oom, events.overcharge]
}

private func withGroup(
  _ policy: LimitPolicy, configuration: AllocatorConfiguration = .init(),
  _ body: (
    _ allocator: Allocator, _ parent: Pointer<Group>, _ group: Pointer<Group>,
    _ root: Pointer<RootCache>
  ) throws -> Void
) throws {
  try withAllocator(configuration: configuration) { allocator in
    let root = try allocator.makeChargedCache()
    let parent = try allocator.makeGroup("parent")
    let group = try allocator.makeGroup("tenant", below: parent)
    try allocator.setPolicy(policy, of: group)
    try body(allocator, parent, group, root)
    allocator.release(group)
    allocator.release(parent)
    try allocator.destroy(root)
  }
}

@Suite(.inTurn) struct LimitPolicyTests {
  static let policies = [LimitPolicy.fail, .overcharge]

  @Test(arguments: policies) func room(policy: LimitPolicy) throws {
    try withGroup(policy) { allocator, parent, group, root in
      try allocator.setMax(2 * slabOfOne, of: group)
      let objects = try allocator.take(2, from: root, in: group)
      #expect(group.slabsCharged == 2)
      #expect(refusals(allocator.events(of: parent, local: false)) == [0, 0, 0])
      for object in objects { allocator.free(object) }
    }
  }

  @Test(arguments: policies) func roomAfterAReclaim(policy: LimitPolicy) throws {
    try withGroup(policy) { allocator, _, group, root in
      try allocator.setMinPartial(1, of: root)
      let idle = try allocator.makeChargedCache("idle")
      try allocator.setMinPartial(1, of: idle)
      try allocator.setMax(2 * slabOfOne, of: group)
      allocator.free(try allocator.allocate(from: idle, in: group))
      #expect(group.slabsCharged == 1)
      let objects = try allocator.take(2, from: root, in: group)
      #expect(group.slabsCharged == 2)
      #expect(refusals(allocator.events(of: group, local: true)) == [1, 0, 0])
      for object in objects { allocator.free(object) }
      try allocator.destroy(idle)
    }
  }

  @Test(arguments: policies) func noRoom(policy: LimitPolicy) throws {
    try withGroup(policy) { allocator, _, group, root in
      try allocator.setMax(2 * slabOfOne, of: group)
      var objects = try allocator.take(2, from: root, in: group)
      switch policy {
      case .fail:
        #expect(throws: AllocatorError.groupLimit(group)) {
          try allocator.allocate(from: root, in: group)
        }
        #expect(refusals(allocator.events(of: group, local: true)) == [1, 1, 0])
      case .overcharge:
        objects += try allocator.take(5, from: root, in: group)
        #expect(refusals(allocator.events(of: group, local: true)) == [5, 0, 5])
        #expect(group.peakBytes == 7 * slabOfOne)
      }
      #expect(group.slabsCharged == objects.count)
      for object in objects { allocator.free(object) }
    }
  }

  /// The policy is the one of the group that allocates, not of the one that is at its limit.
  @Test(arguments: policies) func noRoomAbove(policy: LimitPolicy) throws {
    try withGroup(policy) { allocator, parent, group, root in
      try allocator.setPolicy(policy == .fail ? .overcharge : .fail, of: parent)
      try allocator.setMax(slabOfOne, of: parent)
      var objects = try allocator.take(1, from: root, in: group)
      switch policy {
      case .fail:
        #expect(throws: AllocatorError.groupLimit(parent)) {
          try allocator.allocate(from: root, in: group)
        }
        #expect(refusals(allocator.events(of: parent, local: true)) == [1, 1, 0])
      case .overcharge:
        objects += try allocator.take(1, from: root, in: group)
        #expect(refusals(allocator.events(of: parent, local: true)) == [1, 0, 1])
      }
      #expect(refusals(allocator.events(of: group, local: true)) == [0, 0, 0])
      #expect(parent.slabsCharged == objects.count)
      for object in objects { allocator.free(object) }
    }
  }

  /// The stop of the group or of one above it; large blocks from halfway on.
  @Test(arguments: [false, true]) func theStop(isAbove: Bool) throws {
    try withGroup(.overcharge) { allocator, parent, group, root in
      let limited = isAbove ? parent : group
      try allocator.setMax(2 * slabOfOne, of: limited)
      try allocator.setStop(6 * slabOfOne, of: limited)
      var objects = try allocator.take(2, from: root, in: group)
      #expect(throws: AllocatorError.groupLimit(limited)) {
        try allocator.allocate(bytes: 3 * slabOfOne, in: group)
      }
      let block = try allocator.allocate(bytes: 2 * slabOfOne, in: group)
      #expect(throws: AllocatorError.groupLimit(limited)) {
        try allocator.allocate(bytes: slabOfOne + 1, in: group)
      }
      objects += try allocator.take(2, from: root, in: group)
      #expect(limited.slabsCharged == 6)
      #expect(throws: AllocatorError.groupLimit(limited)) {
        try allocator.allocate(from: root, in: group)
      }
      #expect(allocator.events(of: limited, local: true).oom == 3)
      #expect(allocator.events(of: limited, local: true).overcharge == 3)
      allocator.free(block)
      for object in objects { allocator.free(object) }
    }
  }

  /// `fail` has no use for a stop: the limit comes first. One below the limit is the limit.
  @Test(arguments: policies) func aStopBelowTheLimit(policy: LimitPolicy) throws {
    try withGroup(policy) { allocator, _, group, root in
      try allocator.setMax(2 * slabOfOne, of: group)
      try allocator.setStop(0, of: group)
      let objects = try allocator.take(2, from: root, in: group)
      #expect(throws: AllocatorError.groupLimit(group)) {
        try allocator.allocate(from: root, in: group)
      }
      for object in objects { allocator.free(object) }
    }
  }

  @Test(arguments: policies) func aboveHigh(policy: LimitPolicy) throws {
    try withGroup(policy) { allocator, _, group, root in
      try allocator.setHigh(slabOfOne, of: group)
      let objects = try allocator.take(3, from: root, in: group)
      #expect(allocator.events(of: group, local: true).high > 0)
      #expect(refusals(allocator.events(of: group, local: true)) == [0, 0, 0])
      for object in objects { allocator.free(object) }
    }
  }

  @Test(arguments: policies) func whatIsDispensable(policy: LimitPolicy) throws {
    try withGroup(policy) { allocator, _, group, _ in
      try allocator.setMax(slabOfOne, of: group)
      #expect(throws: AllocatorError.groupLimit(group)) {
        try allocator.allocate(bytes: 100_000, alignment: 16, in: group, isDispensable: true)
      }
      #expect(refusals(allocator.events(of: group, local: true)) == [0, 0, 0])
    }
  }

  @Test(arguments: policies) func inAShrinker(policy: LimitPolicy) throws {
    try withGroup(policy) { allocator, _, group, root in
      try allocator.setMax(slabOfOne, of: group)
      var objects = try allocator.take(1, from: root, in: group)
      Threads.isReclaiming = true
      defer { Threads.isReclaiming = false }
      switch policy {
      case .fail:
        #expect(throws: AllocatorError.groupLimit(group)) {
          try allocator.allocate(from: root, in: group)
        }
      case .overcharge: objects += try allocator.take(1, from: root, in: group)
      }
      for object in objects { allocator.free(object) }
    }
  }

  @Test(arguments: policies) func afterTheEnd(policy: LimitPolicy) throws {
    try withGroup(policy) { allocator, _, group, root in
      try allocator.close(group)
      #expect(throws: AllocatorError.groupOffline) {
        try allocator.allocate(from: root, in: group)
      }
    }
  }

  @Test(arguments: policies) func withoutMemory(policy: LimitPolicy) throws {
    var configuration = AllocatorConfiguration()
    configuration.addressSpaceBytes = 16 << 20
    try withGroup(policy, configuration: configuration) { allocator, _, group, _ in
      try allocator.setMax(1 << 20, of: group)
      let expected: AllocatorError = policy == .fail ? .groupLimit(group) : .outOfMemory
      #expect(throws: expected) { try allocator.allocate(bytes: 17 << 20, in: group) }
      #expect(group.currentBytes == 0)
    }
  }

  @Test func whoHasWhichPolicy() throws {
    try withAllocator { allocator in
      #expect(throws: AllocatorError.rootGroup) {
        try allocator.setPolicy(.overcharge, of: allocator.rootGroup)
      }
      let parent = try allocator.makeGroup("parent")
      #expect(parent.policy == .fail)
      try allocator.setPolicy(.overcharge, of: parent)
      let child = try allocator.makeGroup("child", below: parent)
      #expect(child.policy == .overcharge)
      try allocator.setPolicy(.fail, of: parent)
      #expect(child.policy == .overcharge)
      allocator.release(child)
      allocator.release(parent)
    }
  }
}
