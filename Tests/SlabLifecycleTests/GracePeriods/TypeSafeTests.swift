// SPDX-License-Identifier: Apache-2.0
// Type-safe caches: the memory that a reader has found stays an object of its cache for as long as
// its section is open, objects are used again at once, and the end goes through one barrier.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct TypeSafeTests {
  /// What the page map says of an address: whether it is still an object of the cache.
  private func isObject(_ address: UInt, of root: Pointer<RootCache>, _ allocator: Allocator)
    -> Bool
  {
    allocator.cache(of: address)?.pointee.root == root
  }

  @Test func slabsStayUntilTheReadersHaveGone() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 1024, options: .typeSafe)
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(from: root, in: group)
      let section = allocator.beginReading()
      let child = allocator.cache(of: object)!
      allocator.free(object)
      child.shrink()
      // The slab is in no book, but its memory is charged, and still the cache's.
      #expect(child.pointee.slabCount == 0)
      #expect(isObject(object, of: root, allocator))
      #expect(group.currentBytes > 0)
      allocator.endReading(section)
      allocator.barrier()
      #expect(!isObject(object, of: root, allocator))
      #expect(group.currentBytes == 0)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  @Test func objectsAreUsedAgainAtOnce() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64, options: .typeSafe)
      let section = allocator.beginReading()
      try onOneCPU {
        let object = try allocator.allocate(from: root, in: nil)
        allocator.free(object)
        #expect(try allocator.allocate(from: root, in: nil) == object)
        allocator.free(object)
      }
      allocator.endReading(section)
      try allocator.destroy(root)
    }
  }

  /// A plain cache beside it gives its pages back at once, reader or not.
  @Test func plainCachesDoNotWait() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 1024)
      let object = try allocator.allocate(from: root, in: nil)
      let section = allocator.beginReading()
      allocator.free(object)
      root.cache.shrink()
      #expect(!isObject(object, of: root, allocator))
      allocator.endReading(section)
      try allocator.destroy(root)
    }
  }

  /// Patch 3: destroy returns at once, the name is free at once, the descriptor lives until the
  /// callbacks have run.
  @Test func destroyWithAnOpenReader() throws {
    try withAllocator { allocator in
      let section = allocator.beginReading()
      for round in 1...3 {
        let root = try allocator.makeCache("cache", size: 1024, options: .typeSafe)
        allocator.free(try allocator.allocate(from: root, in: nil))
        try allocator.destroy(root)
        #expect(eventually { allocator.statistics.cachesAwaitingBarrier == round })
        #expect(root.cache.state == .awaitingBarrier)
        #expect(allocator.statistics.rootCachesReleased == 0)
        #expect(!(try allocator.slabinfo()).contains("\ncache "))
      }
      allocator.endReading(section)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.rootCachesReleased == 3)
      #expect(allocator.statistics.barrierBatches <= 2)
    }
  }

  /// Children in a group that has gone, a root over them; all type-safe; in every order.
  @Test(arguments: [false, true]) func groupsEndThroughTheBarrier(rootFirst: Bool) throws {
    try withAllocator { allocator in
      let roots = try (0..<3).map {
        try allocator.makeCache("cache-\($0)", size: 200 << $0, options: .typeSafe)
      }
      for _ in 0..<50 {
        let group = try allocator.makeGroup("group")
        for root in roots {
          for _ in 0..<3 { allocator.free(try allocator.allocate(from: root, in: group)) }
        }
        allocator.release(group)
      }
      if !rootFirst { allocator.waitUntilIdle() }
      for root in roots { try allocator.destroy(root) }
      allocator.waitUntilIdle()
      let figures = allocator.statistics
      #expect(figures.childCachesReleased == 150)
      #expect(figures.groupsReleased == 50)
      #expect(figures.rootCachesReleased == 3)
    }
  }

  /// A handle keeps the descriptors of type-safe children as it does others'.
  @Test func handlesKeepDescriptors() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64, options: .typeSafe)
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(from: root, in: group)
      try allocator.close(group)
      allocator.free(object)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.childCachesShutDown == 1)
      #expect(allocator.statistics.childCachesReleased == 0)
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.childCachesReleased == 1)
      try allocator.destroy(root)
    }
  }

  /// A group with one cache that awaits its barrier and one that lives on: the one moves to the parent,
  /// the other holds the group until the reader has gone.
  @Test func reparentingWithABarrierPending() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 1024, options: .typeSafe)
      let other = try allocator.makeCache("other", size: 1024, options: .typeSafe)
      let parent = try allocator.makeGroup("parent")
      let group = try allocator.makeGroup("group", below: parent)
      let left = try allocator.allocate(from: root, in: group)
      let gone = try allocator.allocate(from: other, in: group)
      let section = allocator.beginReading()
      allocator.free(gone)
      allocator.release(group)
      #expect(eventually { allocator.statistics.childCachesReparented == 1 })
      #expect(eventually { allocator.statistics.cachesAwaitingBarrier == 1 })
      #expect(allocator.statistics.groupsReleased == 0)
      // The slab that a reader may still look into is charged, as is the one with the object.
      #expect(parent.currentBytes > 0)
      allocator.endReading(section)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 1)
      #expect(allocator.cache(of: left)!.pointee.group == parent)
      allocator.free(left)
      allocator.waitUntilIdle()
      #expect(parent.currentBytes == 0)
      allocator.release(parent)
      for root in [root, other] { try allocator.destroy(root) }
    }
  }

  /// A group that is over but for one object: its empty slabs have gone back when all is settled.
  @Test func emptySlabsOfAGroupThatLivesOn() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 1024, options: .typeSafe)
      for _ in 0..<20 {
        let group = try allocator.makeGroup("group")
        let objects = try (0..<100).map { _ in try allocator.allocate(from: root, in: group) }
        for object in objects.dropFirst() { allocator.free(object) }
        allocator.release(group)
        allocator.waitUntilIdle()
        #expect(allocator.statistics.pendingCallbacks == 0)
        expectWhole(allocator)
        allocator.free(objects[0])
      }
      try allocator.destroy(root)
    }
  }
}
