// SPDX-License-Identifier: Apache-2.0
// A group's children of root caches: made on first use, exactly once, charged from the first object
// on, found again in a table of any size, and on pages that no other group has.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ChildCacheTests {
  /// A group that uses many caches has larger tables, which go with it.
  @Test func tablesGoWithTheirGroup() throws {
    try withAllocator { allocator in
      func generalObjects() throws -> Int {
        try (0..<11).reduce(0) {
          try $0 + allocator.liveObjects(of: allocator.cachesState.pointee.general[$1]!)
        }
      }
      let roots = try (0..<30).map { try allocator.makeCache("cache-\($0)", size: 64) }
      let before = try generalObjects()
      let group = try allocator.makeGroup("")
      for root in roots { allocator.free(try allocator.allocate(from: root, in: group)) }
      #expect(try generalObjects() == before + 3)
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(try generalObjects() == before)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// All threads begin with the same cache of the same group at the same moment.
  @Test func madeExactlyOnce() throws {
    try withAllocator { allocator in
      let roots = try (0..<40).map { try allocator.makeCache("cache-\($0)", size: 64) }
      let threads = 8
      let rounds = 10
      for round in 0..<rounds {
        let group = try allocator.makeGroup("group")
        let arrived = Shared(0)
        let objects = Shared<[[UInt]]>([])
        onThreads(threads) { _ in
          arrived.with { $0 += 1 }
          while arrived.with({ $0 }) < threads {}
          let mine = roots.compactMap { try? allocator.allocate(from: $0, in: group) }
          objects.with { $0.append(mine) }
        }
        #expect(allocator.statistics.childCachesCreated == (round + 1) * roots.count)
        let all = objects.with { $0 }
        for (index, root) in roots.enumerated() {
          let child = allocator.cache(of: all[0][index])
          #expect(child?.pointee.root == root && child?.pointee.group == group)
          for mine in all { #expect(allocator.cache(of: mine[index]) == child) }
        }
        expectWhole(allocator)
        for mine in all { for object in mine { allocator.free(object) } }
        allocator.release(group)
        allocator.waitUntilIdle()
      }
      for root in roots { try allocator.destroy(root) }
    }
  }

  @Test(arguments: [8, 64, 192, 1024, 4096, 8192, 32 << 10])
  func firstObjectIsCharged(size: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: size)
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(from: root, in: group)
      let first = Swift.max(4096, 1024 << root.pointee.geometry.firstOrder)
      #expect(group.currentBytes == first)
      #expect(group.peakBytes == first)
      #expect(allocator.statistics.chargedBytes == first)
      // What goes to nobody is charged to nobody.
      let other = try allocator.allocate(from: root, in: nil)
      #expect(allocator.statistics.chargedBytes == first)
      allocator.free(object)
      allocator.free(other)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  @Test func threeSizesOnOnePage() throws {
    try withAllocator { allocator in
      let roots = try [64, 192, 256].map { try allocator.makeCache("cache-\($0)", size: $0) }
      let groups = try (0..<2).map { try allocator.makeGroup("group-\($0)") }
      var objects: [[UInt]] = []
      for group in groups {
        objects.append(try roots.map { try allocator.allocate(from: $0, in: group) })
        #expect(group.currentBytes == 4096)
      }
      #expect(pages(of: objects[0]).count == 1)
      #expect(pages(of: objects[1]).count == 1)
      #expect(pages(of: objects[0]).isDisjoint(with: pages(of: objects[1])))
      for object in objects.joined() { allocator.free(object) }
      for group in groups { allocator.release(group) }
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// Whatever is allocated and freed: a page has objects of one group only.
  @Test func groupsNeverShareAPage() throws {
    try withSeed { seed in
      try withAllocator { allocator in
        var random = SeededGenerator(seed: seed)
        let roots = try [16, 48, 100, 300, 700, 1024, 1500, 3000].map {
          try allocator.makeCache("cache-\($0)", size: $0)
        }
        for root in roots { try allocator.setMinPartial(0, of: root) }
        let groups = try (0..<4).map { try allocator.makeGroup("group-\($0)") }
        var live: [(address: UInt, group: Int)] = []
        for step in 0..<6000 {
          if live.count < 40 || (live.count < 400 && Bool.random(using: &random)) {
            let index = Int.random(in: 0..<4, using: &random)
            let root = roots.randomElement(using: &random)!
            live.append((try allocator.allocate(from: root, in: groups[index]), index))
          } else {
            let index = live.indices.randomElement(using: &random)!
            live.swapAt(index, live.count - 1)
            allocator.free(live.removeLast().address)
          }
          guard step % 500 == 499 else { continue }
          var owners: [UInt: Int] = [:]
          for object in live {
            let owner = owners[object.address >> 12, default: object.group]
            #expect(owner == object.group)
            owners[object.address >> 12] = object.group
          }
          expectWhole(allocator)
        }
        for object in live { allocator.free(object.address) }
        for group in groups { allocator.release(group) }
        for root in roots { try allocator.destroy(root) }
      }
    }
  }

  /// More caches than the first table has cells, up to hundreds; some of them replaced.
  @Test func tableGrows() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      var roots: [Pointer<RootCache>] = []
      var objects: [UInt] = []
      for index in 0..<600 {
        roots.append(try allocator.makeCache("cache-\(index)", size: 24))
        objects.append(try allocator.allocate(from: roots[index], in: group))
        // All of them are still found, and none is made twice.
        guard index < 40 || index % 97 == 0 else { continue }
        for root in roots { objects.append(try allocator.allocate(from: root, in: group)) }
        #expect(allocator.statistics.childCachesCreated == index + 1)
      }
      for object in objects { allocator.free(object) }
      objects = []
      // Tombstones: a cell that became free is used again.
      let cells = group.pointee.usedCells
      for round in 0..<3 {
        for index in stride(from: round, to: 600, by: 2) { try allocator.destroy(roots[index]) }
        allocator.waitUntilIdle()
        for index in stride(from: round, to: 600, by: 2) {
          roots[index] = try allocator.makeCache("new-\(round)-\(index)", size: 24)
        }
        for root in roots { objects.append(try allocator.allocate(from: root, in: group)) }
        for (root, object) in zip(roots, objects) {
          #expect(allocator.cache(of: object)?.pointee.root == root)
        }
        for object in objects { allocator.free(object) }
        objects = []
      }
      #expect(group.pointee.usedCells == cells)
      expectWhole(allocator)
      allocator.release(group)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// Readers look into a table while it is replaced by a larger one.
  @Test func tableGrowsUnderReaders() throws {
    try withAllocator { allocator in
      let roots = try (0..<300).map { try allocator.makeCache("cache-\($0)", size: 40) }
      for _ in 0..<8 {
        let group = try allocator.makeGroup("group")
        let known = Shared(1)
        onThreads(4) { thread in
          var random = SeededGenerator(seed: UInt64(thread))
          for step in 0..<roots.count {
            let index = thread == 0 ? step : Int.random(in: 0..<known.with { $0 }, using: &random)
            guard let object = try? allocator.allocate(from: roots[index], in: group) else {
              Issue.record("no object")
              return
            }
            if allocator.cache(of: object)?.pointee.root != roots[index] {
              Issue.record("an object of another cache")
            }
            if thread == 0 { known.with { $0 = step + 1 } }
            allocator.free(object)
          }
        }
        allocator.release(group)
      }
      #expect(allocator.statistics.childCachesCreated == 8 * roots.count)
      for root in roots { try allocator.destroy(root) }
    }
  }
}
