// SPDX-License-Identifier: Apache-2.0
// Full sheaves between those of the CPUs and the slabs: when there are some, what they cost and what they hold back.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct BarnTests {
  /// Once the barn has grown, a load that swings by more than a sheaf touches no slab, and takes the lock once for each
  /// full sheaf that it moves.
  @Test(arguments: [64, 256, 1024]) func aSwingTouchesNoSlab(_ size: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: size)
      let cache = root.cache
      try onOneCPU {
        try fillBarn(of: root, allocator)
        #expect(cache.barnFigures.full > 0)
        #expect(try allocator.liveObjects(of: root) == 0)
        let figures = cache.figures
        let partial = cache.partialSlabs
        let most = cache.barnFigures.most
        #if DEBUG
          let locks = HeldLocks.taken(.cache)
        #endif
        try fillBarn(of: root, allocator, rounds: 1)
        #if DEBUG
          // There and back, and one each way for the borders.
          #expect(HeldLocks.taken(.cache) - locks <= 2 * (1000 / min(128, root.sheafLimit / 2)) + 2)
        #endif
        #expect(cache.figures == figures)
        #expect(cache.partialSlabs == partial)
        #expect(cache.barnFigures.most == most)
      }
      expectWhole(allocator)
      #expect(!cache.shrink())
      #expect(cache.pointee.barn == nil)
      #expect(cache.figures.slabs == 0)
      try allocator.destroy(root)
    }
  }

  /// What comes out of the barn was put into it, once.
  @Test func threadsShareABarn() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      let failures = Counted()
      onThreads(4) { thread in
        for round in 0..<60 {
          var objects: [UInt] = []
          for index in 0..<900 {
            guard let object = try? allocator.allocate(from: root, in: group) else { continue }
            fillObject(object, size: 64, tag: UInt64(thread * 1000 + index))
            objects.append(object)
          }
          for (index, object) in objects.enumerated()
          where !isFilled(object, size: 64, tag: UInt64(thread * 1000 + index)) {
            failures.add()
          }
          if round % 2 == 1 { objects.reverse() }
          allocator.freeAll(objects)
        }
      }
      #expect(failures.count == 0)
      #expect(try allocator.liveObjects(of: root) == 0)
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// A tenant gets its parked memory back before it is refused: all of its limit serves another size.
  @Test func limitLooksIntoTheBarn() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      let other = try allocator.makePlainCache("other", size: 4096)
      let pages = 512
      let group = try allocator.makeGroup("group", max: pages * 4096)
      try onOneCPU { try fillBarn(of: root, allocator, in: group) }
      let child = group.child(of: root)!
      #expect(child.barnFigures.full > 0)
      var objects: [UInt] = []
      for _ in 0..<pages { objects.append(try allocator.allocate(from: other, in: group)) }
      #expect(child.pointee.barn == nil)
      #expect(throws: AllocatorError.groupLimit(group)) {
        _ = try allocator.allocate(from: other, in: group)
      }
      allocator.freeAll(objects)
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
      try allocator.destroy(other)
    }
  }

  /// No more than a part of the limit is in the barn.
  @Test func barnIsAPartOfTheLimit() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 1024)
      let group = try allocator.makeGroup("group", max: 2 << 20)
      try onOneCPU { try fillBarn(of: root, allocator, in: group) }
      let most = group.child(of: root)!.barnFigures.most
      #expect(most * 32 * 1024 <= (2 << 20) / BarnBounds.partOfLimit)
      #expect(most > 0)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// One full sheaf more for each time that the load swings; a load that only frees adds one.
  @Test func growsWithASwing() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      try onOneCPU {
        // The sheaf has its largest size from here on.
        try fillBarn(of: root, allocator, objects: 1500, rounds: 20)
        root.cache.shrink()
        // It grows again on the way, from nothing.
        let objects = try allocator.allocate(20_000, from: root)
        #expect(root.cache.sheafWord.capacity == root.sheafLimit)
        allocator.freeAll(objects)
        #expect(root.cache.barnFigures.most == 1)
        try fillBarn(of: root, allocator, objects: 10_000, rounds: 3)
        #expect(root.cache.barnFigures.most == 4)
      }
      expectWhole(allocator)
      try allocator.destroy(root)
    }
  }

  /// The core's caches are used under locks, and have the memory of the others' barns.
  @Test func theCoreHasNone() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      // As many as need many descriptors of slabs.
      try onOneCPU { try fillBarn(of: root, allocator, objects: 50_000, rounds: 6) }
      let registry = allocator.lockRegistry()
      allocator.forEachCache(under: registry) { cache in
        if cache.isRoot, cache.pointee.root.pointee.isInternal {
          #expect(cache.pointee.barn == nil)
        }
      }
      registry.unlock()
      expectWhole(allocator)
      try allocator.destroy(root)
    }
  }

  /// A smaller swing lets go of what it does not need, when the idle clock comes.
  @Test func shrinksWithTheLoad() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      try onOneCPU {
        try fillBarn(of: root, allocator, objects: 2000)
        let most = root.cache.barnFigures.most
        let parked = root.cache.figures.inUse
        try fillBarn(of: root, allocator, objects: 1500, rounds: 2)
        #expect(root.cache.barnFigures.most == most)
        for _ in 0..<2 {
          #expect(!allocator.moveIdleHand())
          try fillBarn(of: root, allocator, objects: 1500, rounds: 2)
        }
        #expect(root.cache.barnFigures.most < most)
        #expect(root.cache.figures.inUse < parked)
      }
      expectWhole(allocator)
      try allocator.destroy(root)
    }
  }

  /// A group and a root end with what is in their barns; nothing of it stays, of the core's memory neither.
  @Test(arguments: [LifecycleDesign.current, .linux410])
  func endsLeaveNothing(_ design: LifecycleDesign) throws {
    var configuration = AllocatorConfiguration()
    configuration.design = design
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      let sheaves = allocator.cachesState.pointee.general[5]!.cache
      let before = sheaves.figures.inUse - sheaves.sheafObjects
      try onOneCPU {
        let group = try allocator.makeGroup("group")
        try fillBarn(of: root, allocator, in: group)
        try fillBarn(of: root, allocator)
        #expect(group.child(of: root)!.barnFigures.full > 0)
        #expect(root.cache.barnFigures.full > 0)
        let live = try allocator.allocate(from: root, in: group)
        allocator.release(group)
        allocator.waitUntilIdle()
        #expect(allocator.cache(of: live)!.pointee.barn == nil)
        expectWhole(allocator)
        allocator.free(live)
      }
      try allocator.destroyAndWait(root)
      #expect(sheaves.figures.inUse - sheaves.sheafObjects == before)
      expectWhole(allocator)
    }
  }

  /// Without sheaves there is no barn; a setting ends it.
  @Test func aSettingEndsIt() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      try onOneCPU { try fillBarn(of: root, allocator) }
      #expect(root.cache.barnFigures.full > 0)
      try allocator.setSheafCapacity(0, of: root)
      #expect(root.cache.pointee.barn == nil)
      try fillBarn(of: root, allocator)
      #expect(root.cache.pointee.barn == nil)
      #expect(root.cache.figures.inUse == 0)
      try allocator.destroy(root)
    }
  }
}

private final class Counted: Sendable {
  private let value = Atomic<Int>(0)
  var count: Int { value.load(ordering: .relaxed) }
  func add() { value.add(1, ordering: .relaxed) }
}
