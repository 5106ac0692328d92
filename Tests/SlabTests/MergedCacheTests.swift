// SPDX-License-Identifier: Apache-2.0
// Merging as a user of the library sees it.

import Slab
import SlabTestSupport
import Testing

@Suite(.inTurn) struct MergedCacheTests {
  @Test func twoUsersOfOneCache() throws {
    var configuration = SlabAllocator.Configuration()
    #expect(!configuration.mergesCaches)
    configuration.mergesCaches = true
    let allocator = try SlabAllocator(configuration: configuration)
    defer { unsafe allocator.unmapEverything() }
    try useAndDestroy(allocator)
    // The descriptor goes with the last handle.
    allocator.waitUntilIdle()
    #expect(allocator.statistics.rootCaches == 0)
    #expect(allocator.statistics.mergedCaches == 0)
  }

  private func useAndDestroy(_ allocator: SlabAllocator) throws {
    let connections = try RawSlabCache(named: "connections", objectSize: 100, of: allocator)
    let sessions = try RawSlabCache(named: "sessions", objectSize: 104, of: allocator)
    #expect(allocator.statistics.rootCaches == 1)
    #expect(allocator.statistics.mergedCaches == 1)
    #expect(connections.name == "connections")
    #expect(sessions.name == "sessions")
    #expect(throws: SlabError.nameInUse(name: "sessions")) {
      try RawSlabCache(named: "sessions", objectSize: 8, of: allocator)
    }
    let object = try unsafe sessions.allocateZeroed(in: allocator.rootGroup)
    #expect(try allocator.slabinfo().contains("\nconnections "))
    try connections.destroy()
    #expect(try allocator.slabinfo().contains("\nsessions "))
    #expect(try !allocator.slabinfo().contains("\nconnections "))
    #expect(throws: SlabError.cacheBusy(objects: 1)) { try sessions.destroy() }
    unsafe sessions.free(object)
    try sessions.destroy()
  }

  /// A copy of a handle that is over neither allocates nor changes what others have, though its root lives.
  @Test func aHandleThatIsOver() throws {
    var configuration = SlabAllocator.Configuration()
    configuration.mergesCaches = true
    let allocator = try SlabAllocator(configuration: configuration)
    defer { unsafe allocator.unmapEverything() }
    try useWhatIsOver(allocator)
    allocator.waitUntilIdle()
    #expect(allocator.statistics.rootCaches == 0)
  }

  private func useWhatIsOver(_ allocator: SlabAllocator) throws {
    let group = allocator.rootGroup
    let first = try RawSlabCache(named: "first", objectSize: 64, of: allocator)
    let second = try RawSlabCache(named: "second", objectSize: 64, of: allocator)
    let third = try SlabCache<[8 of UInt64]>(named: "third", of: allocator)
    #expect(allocator.statistics.rootCaches == 1)
    let object = try unsafe second.allocate(in: group)
    try first.destroy()
    try third.destroy()
    let settings = (second.minPartial, second.sheafCapacity)
    #expect(throws: SlabError.cacheDestroyed) { _ = try unsafe first.allocate(in: group) }
    #expect(throws: SlabError.cacheDestroyed) { _ = try unsafe first.allocateZeroed(in: group) }
    #expect(throws: SlabError.cacheDestroyed) { try first.setMinPartial(0) }
    #expect(throws: SlabError.cacheDestroyed) { try first.setSheafCapacity(0) }
    #expect(throws: SlabError.cacheDestroyed) { try first.destroy() }
    #expect(throws: SlabError.cacheDestroyed) {
      _ = try third.allocate([8 of UInt64](repeating: 0), in: group)
    }
    #expect(throws: SlabError.cacheDestroyed) {
      _ = try third.allocate([8 of UInt64](repeating: 0))
    }
    // Slots cannot be copied, as the macro would.
    if third.allocateIfPossible(in: group, { [8 of UInt64](repeating: 0) }) != nil {
      Issue.record("an object of a cache that is over")
    }
    if third.allocateIfPossible({ [8 of UInt64](repeating: 0) }) != nil {
      Issue.record("an object of a cache that is over")
    }
    #expect(throws: SlabError.cacheDestroyed) {
      var slots = SlabArray<Slot<[8 of UInt64]>>(in: group)
      try slots.reserveCapacity(3)
      try slots.append(addingCount: 3) { span throws(SlabError) in
        try third.allocate(filling: &span, in: group) { _ in [8 of UInt64](repeating: 0) }
      }
    }
    #expect((second.minPartial, second.sheafCapacity) == settings)
    // After a refusal its caller goes on.
    #expect(throws: SlabError.cacheBusy(objects: 1)) { try second.destroy() }
    unsafe second.free(try unsafe second.allocate(in: group))
    unsafe second.free(object)
    try second.destroy()
  }
}
