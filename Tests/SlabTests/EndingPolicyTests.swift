// SPDX-License-Identifier: Apache-2.0
// What becomes of objects that outlive their group, as a user sees it.

import Slab
import SlabTestSupport
import Testing

@Suite(.inTurn) struct EndingPolicyTests {
  @Test(arguments: EndingPolicy.allCases, [true, false])
  func leftovers(endings: EndingPolicy, ofOneGroup: Bool) throws {
    var configuration = SlabAllocator.Configuration()
    if !ofOneGroup { configuration.endings = endings }
    let allocator = try SlabAllocator(configuration: configuration)
    // SAFETY: nothing of the allocator is used after this scope.
    defer { unsafe allocator.unmapEverything() }
    let cache = try RawSlabCache(named: "cache", objectSize: 100, of: allocator)
    let parent = try allocator.rootGroup.makeChild(named: "parent")
    var group: MemoryGroup? = try parent.makeChild(
      named: "group", endings: ofOneGroup ? endings : nil)
    // SAFETY: the object is freed once, below.
    let object = try unsafe cache.allocate(in: group!)
    #expect(parent.descendants == (online: 1, dying: 0))
    group = nil
    allocator.waitUntilIdle()
    let isZombie = endings == .keep
    #expect(parent.descendants == (online: 0, dying: isZombie ? 1 : 0))
    #expect(allocator.statistics.groupsDying == (isZombie ? 1 : 0))
    #expect(allocator.statistics.childCachesReparented == (isZombie ? 0 : 1))
    #expect(parent.usage == 4096)
    let lines = try allocator.slabinfo(of: parent).split(separator: "\n").dropFirst(2)
    #expect(lines.count { $0.hasPrefix("cache ") } == (isZombie ? 0 : 1))
    unsafe cache.free(object)
    allocator.waitUntilIdle()
    #expect(parent.usage == 0)
    #expect(parent.descendants == (online: 0, dying: 0))
  }
}
