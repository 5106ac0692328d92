// SPDX-License-Identifier: Apache-2.0
// What keeps each descriptor that the fast path reads: a test for each row of the table in
// docs/life-cycle.md. They look at the memory itself, after everything that could take it away.

import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore
@testable import SlabPlatform

@Suite(.inTurn) struct DescriptorTests {
  /// A handle keeps the group: its holder finds an empty table, and in it a cache of no root.
  @Test func aGroupStaysWithItsHandle() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      allocator.free(try allocator.allocate(from: root, in: group))
      try allocator.close(group)
      allocator.waitUntilIdle()
      allocator.reuseEverything()
      #expect(group.state == .settled)
      #expect(
        group.likelyChild(of: root).address == allocator.groupsState.groupsState.pointee.vacantCache
      )
      #expect(group.likelyChild(of: root).pointee.root != root)
      allocator.expectError(.groupOffline) { () throws(AllocatorError) in
        try allocator.allocate(from: root, in: group)
      }
      #expect(allocator.statistics.groupsReleased == 0)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// A table that has been outgrown stays with its group, as it was.
  @Test func anOldTableStaysWithItsGroup() throws {
    try withAllocator { allocator in
      let roots = try (0..<40).map { try allocator.makeCache("\($0)", size: 64) }
      let group = try allocator.makeGroup("group")
      var tables: Set<UInt> = []
      for root in roots {
        allocator.free(try allocator.allocate(from: root, in: group))
        tables.insert(group.pointee.table.load(ordering: .relaxed))
      }
      #expect(tables.count == 4)
      allocator.reuseEverything()
      for table in tables {
        let words = Words(at: table)
        for index in 1...Int(words[0]) / 8 + 1 where words[index] != allocator.vacant {
          unsafe #expect(Pointer<Cache>(nonzeroAddress: UInt(words[index])).pointee.group == group)
        }
      }
      allocator.release(group)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// A handle keeps the children of its group, also those that are shut down.
  @Test func aChildStaysWithItsGroupsHandle() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(from: root, in: group)
      let child = try #require(allocator.cache(of: object))
      allocator.free(object)
      try allocator.destroy(root)
      allocator.waitUntilIdle()
      allocator.reuseEverything()
      #expect(allocator.statistics.childCachesShutDown == 1)
      #expect(allocator.statistics.childCachesReleased == 0)
      #expect(child.state == .shutDown)
      #expect(child.pointee.group == group)
      // A thread that has come to it before is refused now, by sequence and by lock.
      #expect(throws: AllocatorError.cacheDestroyed) { try child.allocate() }
      allocator.release(group)
    }
  }

  /// A hold keeps a root that a caller names.
  @Test func aRootStaysWithItsHold() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      allocator.hold(root)
      try allocator.destroy(root)
      allocator.waitUntilIdle()
      allocator.reuseEverything()
      // That of the other user, which had it for a moment.
      #expect(allocator.statistics.rootCachesReleased == 1)
      #expect(throws: AllocatorError.cacheDestroyed) { try allocator.allocate(from: root, in: nil) }
      allocator.unhold(root)
      #expect(allocator.statistics.rootCachesReleased == 2)
    }
  }

  /// Nothing keeps a root for threads that come upon it in the root group's table while they look for another
  /// one's. But its memory stays a root's: it names itself, which is not what they look for, and its sheaf
  /// is closed.
  @Test func theMemoryOfARootStaysARoots() throws {
    try withAllocator { allocator in
      let group = allocator.rootGroup
      let roots = try (0..<200).map { try allocator.makeCache("\($0)", size: 64) }
      for root in roots { allocator.free(try Allocator.allocate(from: root, in: group)) }
      let before = roots.map { group.child(of: $0) }
      #expect(before == roots.map { $0.cache })
      for root in roots { try allocator.destroy(root) }
      allocator.waitUntilIdle()
      #expect(allocator.statistics.rootCachesReleased == 200)
      allocator.reuseEverything()
      let page = UInt(PageAllocator.pageBytes)
      for root in roots {
        let map = allocator.pages.pointee.map
        #expect(map.cache(at: root.address) == allocator.cachesState.pointee.rootCaches.cache)
        #expect(map.cache(at: root.address & ~(page - 1)) != nil)
        #expect(root.cache.pointee.root == root)
        #expect(Sheaf.pop(root.address) == 0)
      }
      // And is used for the next ones.
      let next = try (0..<200).map { try allocator.makeCache("next-\($0)", size: 64) }
      let known = Set(roots.map(\.address))
      #expect(next.count { known.contains($0.address) } > 100)
      for root in next { try allocator.destroy(root) }
    }
  }

  /// An object keeps its slab, the slab its cache: its free finds both, whatever has ended.
  @Test(arguments: [EndingPolicy.keep, .reparent]) func aCacheStaysWithItsObject(
    endings: EndingPolicy
  ) throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("group", endings: endings)
      let object = try allocator.allocate(from: root, in: group)
      let child = try #require(allocator.cache(of: object))
      allocator.release(group)
      allocator.waitUntilIdle()
      allocator.reuseEverything()
      #expect(allocator.cache(of: object) == child)
      #expect(child.state == .deactivated)
      #expect(child.pointee.root == root)
      allocator.free(object)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.childCachesReleased == 1)
      try allocator.destroy(root)
    }
  }
}

extension Pointer where Pointee == AllocatorState {
  fileprivate var vacant: UInt64 { UInt64(groupsState.pointee.vacantCache) }
}

extension Allocator {
  /// Gives everything back that is not in use, and fills as much memory as that could be with what a user
  /// may write.
  fileprivate func reuseEverything() {
    trim()
    guard let root = try? makeCache("user", size: 4096) else {
      Issue.record("no cache")
      return
    }
    let objects = (0..<500).compactMap { _ in try? allocate(from: root, in: nil) }
    #expect(objects.count == 500)
    for object in objects {
      for word in 0..<512 { Words(at: object)[word] = UInt64(object) }
    }
    for object in objects { free(object) }
    #expect(throws: Never.self) { try destroy(root) }
    waitUntilIdle()
    trim()
  }
}
