// The example of the README, word for word, and what it says about itself.

import Slab
import Testing

@Suite struct ReadmeTests {
  @Test func example() throws {
    let allocator = try SlabAllocator()
    let sessions = try allocator.makeCache(named: "session", objectSize: 192)

    let tenant = try allocator.makeGroup(named: "tenant-1", max: 1 << 20)
    let session = try unsafe sessions.allocate(in: tenant)
    #expect(tenant.current == 4096)

    try tenant.offline()
    tenant.release()
    unsafe sessions.free(session)

    allocator.waitUntilDrained()
    #expect(allocator.statistics.groupsLive == 0)
    #expect(allocator.statistics.chargedBytes == 0)
    unsafe allocator.unmapEverything()
  }

  @Test func refusedChargeNamesTheGroup() throws {
    let allocator = try SlabAllocator()
    defer { unsafe allocator.unmapEverything() }
    let pages = try allocator.makeCache(named: "page", objectSize: 4096)
    let tenant = try allocator.makeGroup(named: "tenant-1", max: 8192)
    _ = try unsafe pages.allocate(in: tenant)
    _ = try unsafe pages.allocate(in: tenant)
    #expect(throws: SlabError.limitReached(group: "tenant-1", maxBytes: 8192)) {
      _ = try unsafe pages.allocate(in: tenant)
    }
    #expect(tenant.current == 8192)
  }

  @Test func slabinfoListsTheCache() throws {
    let allocator = try SlabAllocator()
    defer { unsafe allocator.unmapEverything() }
    let sessions = try allocator.makeCache(named: "session", objectSize: 192)
    let tenant = try allocator.makeGroup(named: "tenant-1")
    _ = try unsafe sessions.allocate(in: tenant)
    let line = "session                1      5    192   21    1"
    #expect(try allocator.slabinfo(of: tenant).contains(line))
    #expect(try allocator.slabinfo().contains(line))
  }
}
