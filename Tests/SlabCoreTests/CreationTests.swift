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
      allocator.waitUntilDrained()
      #expect(allocator.statistics.rootCachesReleased == 29)
    }
  }

  @Test func thereIsALimitOfRoots() throws {
    try withAllocator { allocator in
      let internalRoots = allocator.state.pointee.registry.rootCount
      #expect(internalRoots == 16)
      var roots: [Pointer<RootCache>] = []
      for index in internalRoots..<Registry.rootLimit {
        roots.append(try allocator.makePlainCache("\(index)", size: 64))
      }
      #expect(throws: AllocatorError.tooMany) { _ = try allocator.makePlainCache("more", size: 8) }
      expectWhole(allocator)
      // Each index once; one that is given back is used again.
      #expect(Set(roots.map { $0.pointee.index }).count == roots.count)
      let index = roots[100].pointee.index
      try allocator.destroyAndWait(roots.remove(at: 100))
      let again = try allocator.makePlainCache("again", size: 64)
      #expect(again.pointee.index == index)
      #expect(throws: AllocatorError.tooMany) { _ = try allocator.makePlainCache("more", size: 8) }
      for root in roots + [again] { try allocator.destroy(root) }
      allocator.waitUntilDrained()
      #expect(allocator.state.pointee.registry.rootCount == internalRoots)
    }
  }

  // MARK: - Destroy

  /// Live objects of the root, of a child, and of a child whose group is offline, all count.
  @Test func destroyIsRefusedWithTheExactNumber() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 200)
      let online = try allocator.makeGroup("online")
      let offline = try allocator.makeGroup("offline")
      var objects = try allocator.allocate(30, from: root)
      for _ in 0..<20 { objects.append(try allocator.allocate(from: root, in: online)) }
      for _ in 0..<3 { objects.append(try allocator.allocate(from: root, in: offline)) }
      try allocator.offline(offline)
      allocator.waitUntilDrained()
      withSeed { seed in
        var random = SeededGenerator(seed: seed)
        objects.shuffle(using: &random)
        while let object = objects.last {
          let before = root.cache.figures
          #expect(throws: AllocatorError.cacheBusy(objects: objects.count)) {
            try allocator.destroy(root)
          }
          #expect(root.cache.figures == before)
          #expect(allocator.statistics.rootCachesReleased == 0)
          allocator.free(object)
          objects.removeLast()
        }
      }
      allocator.waitUntilDrained()
      // Still in full use.
      allocator.freeAll(try allocator.allocate(50, from: root))
      allocator.free(try allocator.allocate(from: root, in: online))
      expectWhole(allocator)
      try allocator.destroyAndWait(root)
      #expect(allocator.statistics.rootCachesReleased == 1)
      #expect(online.currentBytes == 0)
      expectWhole(allocator)
      allocator.release(online)
      allocator.release(offline)
    }
  }

  /// The group lives on without the cache, and its table has room for the next one.
  @Test func groupsOutliveTheirCaches() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      for round in 0..<50 {
        let root = try allocator.makePlainCache("cache", size: 64 + round)
        let object = try allocator.allocate(from: root, in: group)
        allocator.free(object)
        try allocator.destroyAndWait(root)
        #expect(group.currentBytes == 0)
        expectWhole(allocator)
      }
      #expect(allocator.statistics.childCachesCreated == 50)
      allocator.release(group)
    }
  }

  /// Everything that a cache used comes back.
  @Test func destroyedCachesLeaveNothing() throws {
    try withAllocator { allocator in
      var used: [Int] = []
      for _ in 0..<4 {
        let roots = try (0..<20).map { try allocator.makePlainCache("\($0)", size: 8 << ($0 % 12)) }
        for root in roots { allocator.freeAll(try allocator.allocate(100, from: root)) }
        for root in roots { try allocator.destroy(root) }
        allocator.waitUntilDrained()
        allocator.trim()
        used.append(allocator.statistics.usedBytes)
        expectWhole(allocator)
      }
      #expect(Set(used).count == 1)
    }
  }
}
