// SPDX-License-Identifier: Apache-2.0
// Groups that share slabs, as a user sees them: the interface is the same.

import Slab
import SlabTestSupport
import Testing

@Suite(.inTurn) struct MemoryPolicyTests {
  @Test func policies() throws {
    #expect(MemoryPolicy.allCases.map(\.rawValue) == ["isolated", "shared"])
    #expect(MemoryPolicy(rawValue: "shared") == .shared && MemoryPolicy(rawValue: "other") == nil)
    var configuration = SlabAllocator.Configuration()
    configuration.memory = .shared
    let allocator = try SlabAllocator(configuration: configuration)
    // SAFETY: nothing of the allocator is used after this scope.
    defer { unsafe allocator.unmapEverything() }
    #expect(allocator.rootGroup.memory == .isolated)
    #expect(try allocator.rootGroup.makeChild(named: "shared").memory == .shared)
    #expect(try allocator.rootGroup.makeChild(named: "own", memory: .isolated).memory == .isolated)
  }

  /// Slots, arrays, buffers and tables of a shared group; what they are charged goes back with them.
  @Test func everyKindOfStorage() throws {
    let allocator = try SlabAllocator()
    let group = try allocator.rootGroup.makeChild(named: "group", memory: .shared)
    let cache = try SlabCache<Int>(named: "int", of: allocator)
    let slot = try cache.allocate(42, in: group)
    #expect(slot.value == 42 && group.statistics.objects == 8)
    let shared = try SlabCache<SharedObject<Int>>(named: "shared", of: allocator).allocate(
      sharing: 7, in: group)
    #expect(shared.share().value == 7)
    var array = SlabArray<Int>(in: group)
    for number in 0..<1000 { try array.append(number) }
    #expect(array[999] == 999)
    let buffer = try SlabBuffer(zeroed: 100, in: group)
    #expect(buffer.byteCount == 100)
    let figures = group.statistics
    #expect(
      figures.objects + figures.freeInSlabs + figures.inherited + figures.unused + figures.below
        == group.usage)
    // The array is one of 8 KiB, all others are smaller.
    #expect(figures.caches.isEmpty && figures.objects > 8192)
    #expect(throws: SlabError.groupShared) { try unsafe group.discard() }
    #expect("\(SlabError.groupShared)".contains("shared"))
    #expect(group.isOnline)
  }

  /// A limit to the byte, also for the group in effect.
  @Test func limits() throws {
    let allocator = try SlabAllocator()
    let group = try allocator.rootGroup.makeChild(named: "group", max: 24, memory: .shared)
    let cache = try SlabCache<Int>(named: "int", of: allocator)
    try MemoryGroup.withCurrent(group) {
      let first = try cache.allocate(1)
      let second = try cache.allocate(2)
      let third = try cache.allocate(3)
      #expect(throws: SlabError.limitReached(group: group, bytes: 8, maxBytes: 24)) {
        _ = try cache.allocate(4)
      }
      #expect(group.usage == 24 && group.events.oom == 1)
      #expect(first.value + second.value + third.value == 6)
    }
    #expect(group.statistics.objects == 0)
  }

  /// Drained when the last object has gone, whatever CPUs had at hand.
  @Test func drained() async throws {
    let allocator = try SlabAllocator()
    let group = try allocator.rootGroup.makeChild(named: "group", memory: .shared)
    let cache = try SlabCache<Int>(named: "int", of: allocator)
    let slot = try cache.allocate(1, in: group)
    try group.close()
    #expect(!group.isDrained && group.usage == 8)
    _ = slot.consume()
    try await group.waitUntilDrained()
    #expect(group.usage == 0)
  }
}
