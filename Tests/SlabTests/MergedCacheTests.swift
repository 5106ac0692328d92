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
    allocator.waitUntilDrained()
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
}
