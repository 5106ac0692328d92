// SPDX-License-Identifier: Apache-2.0
// What caches of large objects keep for the next one: how much, for how long, and what gets it first.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct LargeRunTests {
  /// Those that may have a sheaf on this machine: with many CPUs the largest may not.
  private static var sizes: [Int] {
    let runs = ((try? SystemCall.processorBound()) ?? 1) + 1
    return [64 << 10, 1 << 20, 4 << 20].filter { runs * $0 <= LargeRuns.leastBytes }
  }

  /// Runs that a cache with a sheaf may keep.
  private func most(_ allocator: Allocator) -> Int {
    allocator.region.pointee.stripeCount + 1
  }

  /// For counts that depend on which CPU's sheaf has a block: from the first allocation to the last look.
  private func withAllocatorOnOneCPU(_ body: (Allocator) throws -> Void) throws {
    try onOneCPU { try withAllocator(body) }
  }

  /// Allocates and frees a number of times as many blocks at once, until the cache is hot.
  @discardableResult
  private func warm(
    _ bytes: Int, atOnce count: Int = 1, in group: Pointer<Group>, of allocator: Allocator
  ) throws -> Pointer<Cache> {
    try onOneCPU {
      var cache: Pointer<Cache>?
      for _ in 0..<12 {
        let blocks = try (0..<count).map { _ in try allocator.allocate(bytes: bytes, in: group) }
        cache = allocator.cache(of: blocks[0])
        for block in blocks { allocator.free(block) }
      }
      return try #require(cache)
    }
  }

  /// A cache that is hot keeps one block on the CPU and one in an empty slab, and hands them out again.
  @Test(arguments: sizes) func aRunIsUsedAgain(bytes: Int) throws {
    try withAllocatorOnOneCPU { allocator in
      let group = try allocator.makeGroup("tenant")
      // Not hot yet: nothing is kept.
      let once = try allocator.allocate(bytes: bytes, in: group)
      allocator.free(once)
      #expect(group.currentBytes == 0)
      let cache = try warm(bytes, in: group, of: allocator)
      #expect(allocator.statistics.reservedBytes == most(allocator) * bytes)
      #expect(group.currentBytes == bytes)
      #expect(cache.sheafObjects == 1)
      expectWhole(allocator)
      for count in [1, 2] {
        var found: [Set<UInt>] = []
        for _ in 0..<4 {
          // The empty slab comes with the first round of two.
          let blocks = try (0..<count).map { _ in
            try allocator.allocate(bytes: bytes, in: group)
          }
          #expect(group.currentBytes == count * bytes)
          found.append(Set(blocks))
          for block in blocks { allocator.free(block) }
        }
        #expect(Set(found).count == 1)
        #expect(group.currentBytes == count * bytes)
      }
      // A third one goes back.
      let blocks = try (0..<3).map { _ in try allocator.allocate(bytes: bytes, in: group) }
      for block in blocks { allocator.free(block) }
      #expect(group.currentBytes == 2 * bytes)
      #expect(cache.pointee.emptyCount == 1)
      expectWhole(allocator)
      allocator.release(group)
    }
  }

  /// A block that would be refused gets what is kept; so do `shrink`, `trim` and a lower limit.
  @Test(arguments: ["refusal", "high", "shrink", "idle", "trim", "max"])
  func itIsGivenBack(_ way: String) throws {
    try withAllocator { allocator in
      let bytes = 64 << 10
      let limit = LargeRuns.partOfLimit * most(allocator) * bytes
      let parent = try allocator.makeGroup("parent")
      if way == "refusal" { try allocator.setMax(limit, of: parent) }
      let group = try allocator.makeGroup("group", below: parent)
      let other = try allocator.makeGroup("other", below: parent)
      let cache = try warm(bytes, atOnce: 2, in: group, of: allocator)
      #expect(group.currentBytes == 2 * bytes)
      var blocks: [UInt] = []
      switch way {
      case "refusal":
        // A slab of 32 KiB each, up to the last byte of the limit.
        for _ in 0..<limit >> 15 {
          blocks.append(try allocator.allocate(bytes: 32 << 10, in: other))
        }
      case "high":
        try allocator.setHigh(0, of: parent)
        blocks.append(try allocator.allocate(bytes: 32 << 10, in: other))
      case "shrink": cache.shrink()
      case "idle": group.giveBackIdle()
      case "trim": allocator.trim()
      default: try allocator.setMax(0, of: group)
      }
      #expect(group.currentBytes == 0)
      #expect(allocator.statistics.reservedBytes == 0)
      #expect(parent.currentBytes == blocks.count << 15)
      expectWhole(allocator)
      for block in blocks { allocator.free(block) }
      for group in [group, other, parent] { allocator.release(group) }
    }
  }

  /// A group that ends keeps nothing: it is empty, and stays so.
  @Test(
    arguments: ["offline", "discard", "live"],
    [(LifecycleDesign.current, EndingPolicy.reparent), (.current, .keep), (.linux410, .keep)])
  func theEndOfAGroup(
    _ way: String, _ rules: (design: LifecycleDesign, endings: EndingPolicy)
  ) throws {
    var configuration = AllocatorConfiguration()
    configuration.design = rules.design
    configuration.endings = rules.endings
    try withAllocator(configuration: configuration) { allocator in
      let bytes = 64 << 10
      let parent = try allocator.makeGroup("parent")
      let group = try allocator.makeGroup("group", below: parent)
      try warm(bytes, atOnce: 2, in: group, of: allocator)
      let live = way == "live" ? try allocator.allocate(bytes: bytes, in: group) : 0
      #expect(group.currentBytes == 2 * bytes)
      if way == "discard" { try allocator.discard(group) } else { try allocator.close(group) }
      allocator.waitUntilIdle()
      #expect(parent.currentBytes == (live == 0 ? 0 : bytes))
      #expect(allocator.statistics.reservedBytes == 0)
      #expect(live != 0 || allocator.isDrained(group))
      expectWhole(allocator)
      if live != 0 { allocator.free(live) }
      #expect(parent.currentBytes == 0)
      for group in [group, parent] { allocator.release(group) }
    }
  }

  /// Of a limit, of either kind, here or above: a part for a sheaf, a part for a run, or nothing.
  @Test(arguments: ["max", "high", "above"]) func partOfALimit(_ kind: String) throws {
    try withAllocator { allocator in
      let bytes = 64 << 10
      for runs in [most(allocator), 1] {
        for isEnough in [true, false] {
          var limit = LargeRuns.partOfLimit * runs * bytes
          if !isEnough { limit -= PageAllocator.pageBytes }
          let parent = try allocator.makeGroup("parent")
          let group = try allocator.makeGroup("group", below: parent)
          switch kind {
          case "max": try allocator.setMax(limit, of: group)
          case "high": try allocator.setHigh(limit, of: group)
          default: try allocator.setMax(limit, of: parent)
          }
          let cache = try warm(bytes, atOnce: 2, in: group, of: allocator)
          let hasSheaf = runs > 1 && isEnough
          let reserved = hasSheaf ? runs : runs > 1 || isEnough ? 1 : 0
          #expect(Int(cache.pointee.reservedRuns) == reserved)
          #expect(group.currentBytes == min(2, reserved) * bytes)
          #expect(cache.sheaf.isClosed == !hasSheaf)
          expectWhole(allocator)
          for group in [group, parent] { allocator.release(group) }
          allocator.waitUntilIdle()
        }
      }
    }
  }

  /// All classes of a group together.
  @Test(arguments: [2, 8, 64, 256, 1024]) func anEighthOfALimit(mebibytes: Int) throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group", max: mebibytes << 20)
      var bytes = SlabGeometry.pageRun
      while bytes <= 4 << 20, 4 * bytes <= mebibytes << 20 {
        try warm(bytes, atOnce: 2, in: group, of: allocator)
        bytes *= 2
      }
      let reserved = allocator.statistics.reservedBytes
      #expect(reserved > 0 && reserved < mebibytes << 20 / 8)
      #expect(group.currentBytes <= reserved)
      expectWhole(allocator)
      allocator.release(group)
    }
  }

  /// Of all groups together; a cache that finds nothing left gets what is cold.
  @Test func theBoundOfTheAllocator() throws {
    try withAllocatorOnOneCPU { allocator in
      let bytes = 4 << 20
      var groups: [Pointer<Group>] = []
      var caches: [Pointer<Cache>] = []
      try withWorkersHeldOff(of: allocator) {
        repeat {
          groups.append(try allocator.makeGroup("tenant-\(groups.count)"))
          caches.append(try warm(bytes, in: groups.last!, of: allocator))
        } while caches.last!.pointee.reservedRuns > 0
        let reserved = allocator.statistics.reservedBytes
        #expect(reserved <= LargeRuns.leastBytes)
        #expect(reserved > LargeRuns.leastBytes - bytes)
        #expect(groups.last!.currentBytes == 0)
        #expect(allocator.statistics.sheafRefusals > 0)
        expectWhole(allocator)
        // Of these, the first one is at work between the looks.
        allocator.look()
        try warm(bytes, in: groups[0], of: allocator)
        allocator.look()
        #expect(caches.dropFirst().allSatisfy { $0.pointee.reservedRuns == 0 })
        #expect(groups.dropFirst().allSatisfy { $0.currentBytes == 0 })
        #expect(caches[0].pointee.reservedRuns > 0)
        #expect(groups[0].currentBytes == bytes)
        expectWhole(allocator)
        try warm(bytes, in: groups.last!, of: allocator)
        #expect(caches.last!.pointee.reservedRuns > 0)
        // Wanted again, perhaps, but the workers have nothing to do for it.
        allocator.coldSheaves.pointee.isWanted.store(false, ordering: .relaxed)
      }
      for group in groups { allocator.release(group) }
    }
  }

  /// The root group's runs have no limit but the allocator's; `trim` gives them back.
  @Test func theRootGroup() throws {
    try withAllocator { allocator in
      let bytes = 64 << 10
      let cache = try warm(bytes, atOnce: 2, in: allocator.rootGroup, of: allocator)
      #expect(cache.isRoot)
      #expect(cache.pointee.objectsTotal == 2)
      expectWhole(allocator)
      allocator.trim()
      #expect(cache.pointee.objectsTotal == 0)
      #expect(allocator.statistics.reservedBytes == 0)
    }
  }
}

extension Allocator {
  /// A worker's look, as if a cache had found no place. While the workers are held off.
  fileprivate func look() {
    coldSheaves.pointee.isWanted.store(true, ordering: .relaxed)
    while coldSheaves.pointee.isWanted.load(ordering: .relaxed) {
      _ = takeBackColdSheaves()
    }
  }
}
