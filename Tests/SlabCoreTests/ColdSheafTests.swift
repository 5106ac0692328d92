// SPDX-License-Identifier: Apache-2.0
// Sheaves that are taken back from caches which nobody uses, when there is no place for more.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ColdSheafTests {
  /// A cache with a sheaf and objects in it.
  private func warmCache(_ name: String, of allocator: Allocator) throws -> Pointer<RootCache> {
    let root = try allocator.makePlainCache(name, size: 64)
    onOneCPU { allocator.freeAll((try? allocator.allocate(16, from: root)) ?? []) }
    #expect(root.cache.hasSheaf)
    return root
  }

  /// The first look closes, the second takes back what has not been used in between.
  @Test func theHandGoesRound() throws {
    try withAllocator { allocator in
      let hot = try warmCache("hot", of: allocator)
      let cold = try warmCache("cold", of: allocator)
      let live = try allocator.allocate(3, from: cold)
      let bytes = allocator.statistics.sheafBytes
      allocator.look()
      #expect(!hot.cache.hasSheaf && !cold.cache.hasSheaf)
      expectWhole(allocator)
      #expect(try allocator.liveObjects(of: cold) == 3)
      #expect(allocator.statistics.sheafBytes == bytes)
      // Its next operation, of either kind.
      let parked = hot.cache.sheafObjects
      allocator.freeAll(try onOneCPU { try allocator.allocate(1, from: hot) })
      #expect(hot.cache.hasSheaf)
      #expect(hot.cache.sheafObjects >= parked - 1)
      allocator.look()
      #expect(allocator.statistics.sheavesTakenBack >= 1)
      #expect(allocator.statistics.sheafBytes < bytes)
      #expect(cold.cache.sheafObjects == 0)
      #expect(cold.cache.pointee.objectsInUse == 3)
      expectWhole(allocator)
      // Closed again, and kept: it was hot.
      #expect(!hot.cache.hasSheaf)
      #expect(hot.cache.sheafObjects > 0)
      allocator.free(live[0])
      allocator.freeAll(Array(live[1...]))
      #expect(try allocator.liveObjects(of: cold) == 0)
      // It warms up again.
      allocator.freeAll(try allocator.allocate(40, from: cold))
      #expect(cold.cache.hasSheaf)
      for root in [hot, cold] { try allocator.destroy(root) }
    }
  }

  /// What may come while a sheaf is closed, and not taken back.
  @Test(arguments: ["free", "shrink", "limit", "grow", "bulk", "destroy", "fence"])
  func closedMeanwhile(_ what: String) throws {
    try withAllocator { allocator in
      let root = try warmCache("cache", of: allocator)
      let group = try allocator.makeGroup("group")
      let objects = try (0..<40).map { _ in try allocator.allocate(from: root, in: group) }
      allocator.freeAll(Array(objects[10...]))
      let child = try #require(allocator.cache(of: objects[0]))
      #expect(child.hasSheaf)
      let parked = child.sheafObjects
      #expect(parked > 0)
      allocator.look()
      #expect(!child.hasSheaf)
      switch what {
      case "free":
        allocator.free(objects[0])
        #expect(child.hasSheaf)
      case "shrink":
        child.shrink()
        #expect(!child.hasSheaf && child.sheafObjects == 0)
        #expect(child.figures.inUse == 10)
      case "limit":
        try allocator.setSheafCapacity(2, of: root)
        #expect(child.sheafObjects == 0)
        #expect(child.figures.inUse == 10)
      case "grow":
        for _ in 0..<20 {
          allocator.freeAll(
            try (0..<100).map { _ in try allocator.allocate(from: root, in: group) })
          allocator.look()
        }
        expectWhole(allocator)
      case "bulk":
        child.freeBulk(try child.allocateBulk(50))
        #expect(child.figures.inUse - child.sheafObjects == 10)
      case "destroy":
        allocator.freeAll(Array(objects[..<10]))
        try allocator.destroyAndWait(root)
        #expect(allocator.statistics.rootCachesReleased == 1)
        return allocator.release(group)
      default:
        // The group ends: its batch has the fence for what is closed already.
        allocator.release(group)
        allocator.waitUntilIdle()
        #expect(child.figures.inUse == 10)
        #expect(child.sheafObjects == 0)
      }
      expectWhole(allocator)
      #expect(try allocator.liveObjects(of: root) == (what == "free" ? 9 : 10))
      allocator.freeAll(Array(objects[(what == "free" ? 1 : 0)..<10]))
      if what != "fence" { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// With no place left, a cache that becomes hot gets that of one which is cold; and one that is to grow
  /// keeps what it has.
  @Test func whoIsRefusedGetsACachesThatIsCold() throws {
    try withAllocator { allocator in
      let cold = try warmCache("cold", of: allocator)
      var blocks: [(UInt, Int)] = []
      for index in (0..<PerCPURegion.sheafClassCount).reversed() {
        while let first = allocator.region.allocateSheaf(ofClass: index) {
          blocks.append((first, index))
        }
      }
      #expect(allocator.statistics.sheafBytes > allocator.statistics.sheafBytesLimit - 5_000)
      let hot = try allocator.makePlainCache("hot", size: 64)
      #expect(
        eventually {
          allocator.freeAll((try? allocator.allocate(16, from: hot)) ?? [])
          return hot.cache.hasSheaf
        })
      #expect(allocator.statistics.sheafRefusals > 0)
      // The worker counts a block when it is free, and by then the cache may have it.
      #expect(eventually { allocator.statistics.sheavesTakenBack > 0 })
      #expect(!cold.cache.hasSheaf)
      // No larger block: its sheaf stays at work, though it is too small.
      for _ in 0..<10 { allocator.freeAll(try allocator.allocate(200, from: hot)) }
      #expect(hot.cache.sheaf.capacity == PerCPURegion.sheafCapacity(ofClass: 0))
      for (first, index) in blocks { allocator.region.freeSheaf(first, ofClass: index) }
      // Where its own class has none, a larger one serves.
      for _ in 0..<10 { allocator.freeAll(try allocator.allocate(200, from: hot)) }
      #expect(hot.cache.sheaf.capacity > PerCPURegion.sheafCapacity(ofClass: 0))
      for root in [hot, cold] { try allocator.destroy(root) }
    }
  }

  /// Threads use caches whose sheaves are closed all the while.
  @Test func inAStorm() throws {
    try withAllocator { allocator in
      let roots = try (0..<4).map { try allocator.makePlainCache("\($0)", size: 64) }
      let group = try allocator.makeGroup("group")
      let rounds = isDebugBuild ? 2_000 : 20_000
      onThreads(4) { thread in
        if thread == 3 {
          for _ in 0..<rounds / 4 { allocator.look() }
          return
        }
        var random = SeededGenerator(seed: UInt64(thread))
        var own: [UInt] = []
        for round in 0..<rounds {
          if Bool.random(using: &random) || own.isEmpty {
            let root = roots[round % 4]
            guard let object = try? allocator.allocate(from: root, in: round % 2 == 0 ? nil : group)
            else {
              Issue.record("no object")
              return
            }
            fillObject(object, size: 64, tag: UInt64(thread))
            own.append(object)
          } else {
            let object = own.remove(at: Int.random(in: 0..<own.count, using: &random))
            if !isFilled(object, size: 64, tag: UInt64(thread)) { Issue.record("not its own") }
            allocator.free(object)
          }
        }
        allocator.freeAll(own)
      }
      expectWhole(allocator)
      for root in roots { #expect(try allocator.liveObjects(of: root) == 0) }
      allocator.release(group)
      for root in roots { try allocator.destroy(root) }
    }
  }
}

extension Allocator {
  /// A worker's look, as if a cache had found no place. Not beside another one.
  fileprivate func look() {
    coldSheaves.pointee.isWanted.store(true, ordering: .relaxed)
    while coldSheaves.pointee.isWanted.load(ordering: .relaxed) {
      _ = takeBackColdSheaves()
    }
  }
}
