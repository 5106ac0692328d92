// SPDX-License-Identifier: Apache-2.0
// Making and destroying root caches: what is refused, with which error, and that nothing changes.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct CreationTests {
  static let badNames = [
    "", String(repeating: "x", count: 64), String(repeating: "x", count: 1000), "two words", " x",
    "x ", "tab\there", "line\n", "\0", "bell\u{7}", "delete\u{7f}", "\u{1f}",
  ]
  static let goodNames = [
    "x", String(repeating: "x", count: 63), "dentry", "ext4_inode_cache", "kmalloc-1k", "a:b(c)#1",
    "größe", "\u{1F9F1}",
  ]

  @Test(arguments: badNames) func badNamesAreRefused(_ name: String) throws {
    try withAllocator { allocator in
      #expect(throws: AllocatorError.invalidName) {
        _ = try allocator.makePlainCache(name, size: 64)
      }
      #expect(allocator.statistics.rootCachesCreated == 0)
    }
  }

  @Test(arguments: goodNames) func goodNamesAreKept(_ name: String) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache(name, size: 64)
      let kept = (0..<root.pointee.name.byteCount).map { root.pointee.name[$0] }
      #expect(kept == Array(name.utf8))
      try allocator.destroy(root)
    }
  }

  @Test(arguments: [0, -1, .min, 32769, 1 << 32, .max]) func badSizes(_ size: Int) throws {
    try withAllocator { allocator in
      #expect(throws: AllocatorError.invalidObjectSize) {
        _ = try allocator.makePlainCache("cache", size: size)
      }
      // The name is still free, and so is the descriptor.
      try allocator.destroy(try allocator.makePlainCache("cache", size: 32768))
    }
  }

  @Test(arguments: [-1, 3, 6, 12, 4097, 8192, 1 << 40, .min, .max])
  func badAlignments(_ alignment: Int) throws {
    try withAllocator { allocator in
      #expect(throws: AllocatorError.invalidAlignment) {
        _ = try allocator.makePlainCache("cache", size: 64, alignment: alignment)
      }
      #expect(allocator.statistics.rootCachesCreated == 0)
    }
  }

  @Test func hardwareAlignmentIsTheLine() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("lines", size: 40, options: .hardwareCacheAligned)
      let objects = try allocator.allocate(100, from: root)
      #expect(objects.allSatisfy { $0 % 64 == 0 })
      allocator.freeAll(objects)
      try allocator.destroy(root)
    }
  }

  @Test func namesAreUnique() throws {
    try withAllocator { allocator in
      let first = try allocator.makePlainCache("name", size: 64)
      #expect(throws: AllocatorError.nameInUse) {
        _ = try allocator.makePlainCache("name", size: 128)
      }
      // What the core calls its own caches is no user's name, and no user's name is the core's.
      #expect(throws: AllocatorError.invalidName) {
        _ = try allocator.makePlainCache("core:slab", size: 128)
      }
      for free in ["slab", "kmem_cache", "mem_cgroup", "general-32", "size-64", "core", "core."] {
        try allocator.destroy(try allocator.makePlainCache(free, size: 128))
      }
      let second = try allocator.makePlainCache("Name", size: 64)
      expectWhole(allocator)
      // Free again as soon as `destroy` returns, whatever the workers are at.
      for _ in 0..<20 {
        try allocator.destroy(try allocator.makePlainCache("again", size: 64))
      }
      try allocator.destroy(first)
      try allocator.destroy(second)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.rootCachesReleased == 29)
    }
  }

  @Test func thereIsALimitOfRoots() throws {
    try withAllocator { allocator in
      let internalRoots = allocator.cachesState.pointee.rootCount
      #expect(internalRoots == 18)
      let limit = IDTable.mostRoots
      let refusal = AllocatorError.tooManyCaches(limit: limit)
      #expect(limit >= 65_536)
      allocator.takeRootIndices(but: 50)
      let roots = try (0..<50).map { try allocator.makePlainCache("\($0)", size: 64) }
      #expect(throws: refusal) { _ = try allocator.makePlainCache("more", size: 8) }
      expectWhole(allocator)
      // Each index once; one that is given back is used again.
      #expect(Set(roots.map { $0.pointee.index }).count == roots.count)
      #expect(roots.contains { $0.pointee.index == limit - 1 })
      let index = roots[20].pointee.index
      try allocator.destroyAndWait(roots[20])
      let again = try allocator.makePlainCache("again", size: 64)
      #expect(again.pointee.index == index)
      #expect(throws: refusal) { _ = try allocator.makePlainCache("more", size: 8) }
      for root in roots where root != roots[20] { try allocator.destroy(root) }
      try allocator.destroy(again)
      allocator.waitUntilIdle()
      #expect(allocator.cachesState.pointee.rootCount == internalRoots)
    }
  }

  /// Roots that were destroyed a moment ago have their indices still: a thread that needs one waits for the workers,
  /// or does their work.
  @Test(arguments: [SlabCacheOptions(), .typeSafe]) func indicesOnTheirWayBack(
    options: SlabCacheOptions
  ) throws {
    try withAllocator { allocator in
      allocator.takeRootIndices(but: 3)
      let roots = try (0..<3).map {
        try allocator.makePlainCache("\($0)", size: 64, options: options)
      }
      HeldLocks.beginFork()
      for index in 0..<Workers.most {
        unsafe allocator.lifecycle.pointee.workers.busy[index].lock().leaveLocked()
      }
      for root in roots {
        allocator.free(try allocator.allocate(from: root, in: nil))
        try allocator.destroy(root)
      }
      let maker = Helper {
        for attempt in 0..<3 {
          let start = SystemCall.monotonicNanoseconds
          do {
            return try allocator.destroy(try allocator.makePlainCache("next", size: 64))
          } catch {
            // On a busy machine the workers' turn may come after the time that it waits for them.
            if attempt < 2, SystemCall.monotonicNanoseconds - start >= 200_000_000 { continue }
            Issue.record("\(error)")
            return
          }
        }
      }
      // Not before it waits for them, or has been refused.
      maker.waitUntilAsleepOrOver()
      for index in 0..<Workers.most {
        unsafe allocator.lifecycle.pointee.workers.busy[index].alreadyHeld().unlock()
      }
      maker.thread.join()
    }
  }

  /// With nothing on its way back it is refused at once.
  @Test func indicesInUseAreNotWaitedFor() throws {
    try withAllocator { allocator in
      allocator.takeRootIndices(but: 0)
      let before = allocator.statistics.workerThreads
      #expect(throws: AllocatorError.tooManyCaches(limit: IDTable.mostRoots)) {
        _ = try allocator.makePlainCache("more", size: 64)
      }
      #expect(allocator.statistics.workerThreads == before)
    }
  }

  /// A group, and the root group, use more roots than fit in the largest object of the core's: their tables
  /// are runs of pages then, and go back with the group.
  @Test func moreRootsThanAnObjectHolds() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      let count = isSanitized ? 3_100 : 3_300
      let roots = try (0..<count).map { try allocator.makePlainCache("\($0)", size: 64) }
      for root in roots {
        for owner in [group, allocator.rootGroup] {
          let object = try Allocator.allocate(from: root, in: owner)
          #expect(owner.child(of: root) == allocator.cache(of: object))
          allocator.free(object)
        }
      }
      #expect(group.likelyChild(of: roots[count - 1]).pointee.group == group)
      // One in the middle goes, and its cell is used again.
      try allocator.destroyAndWait(roots[1000])
      let again = try allocator.makePlainCache("again", size: 64)
      #expect(again.pointee.index == 1000 + 18)
      allocator.free(try allocator.allocate(from: again, in: group))
      let used = allocator.statistics.usedBytes
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.usedBytes <= used - 128 << 10)
      for root in roots where root != roots[1000] { try allocator.destroy(root) }
      try allocator.destroy(again)
    }
  }
}

extension Allocator {
  /// Takes the indices of roots, but for the last ones, as caches would that are made and never end.
  fileprivate func takeRootIndices(but left: Int) {
    let registry = lockRegistry()
    let count = cachesState.pointee.rootCount
    for _ in count..<cachesState.pointee.tables.indices.limit - left {
      #expect(cachesState.pointee.tables.indices.take() != nil)
    }
    registry.unlock()
  }
}
