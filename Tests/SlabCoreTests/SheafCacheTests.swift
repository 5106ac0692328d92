// SPDX-License-Identifier: Apache-2.0
// The sheaf of a cache: when it opens, grows and closes, and that what is in it is accounted for.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct SheafCacheTests {
  @Test func opensAfterSixteenSlowOperations() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      var objects: [UInt] = []
      for count in 1...16 {
        #expect(!root.cache.hasSheaf)
        objects += try allocator.allocate(1, from: root)
        #expect(root.cache.hasSheaf == (count == 16))
      }
      #expect(root.cache.sheafWord.capacity == PerCPURegion.sheafCapacity(ofClass: 0))
      #expect(root.cache.sheafObjects == 0)
      onOneCPU { allocator.freeAll(Array(objects[..<5])) }
      #expect(root.cache.sheafObjects == 5)
      // They count as out of their slab, but not as live.
      #expect(root.cache.figures.inUse == 16)
      #expect(try allocator.liveObjects(of: root) == 11)
      expectWhole(allocator)
      allocator.freeAll(Array(objects[5...]))
      #expect(try allocator.liveObjects(of: root) == 0)
      #expect(!root.cache.shrink())
      #expect(!root.cache.hasSheaf)
      #expect(root.cache.figures.slabs == 0)
      try allocator.destroy(root)
    }
  }

  /// A cold child has no sheaf: an idle group must not pay for CPUs.
  @Test func coldChildHasNoSheaf() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(from: root, in: group)
      #expect(!allocator.cache(of: object)!.hasSheaf)
      allocator.free(object)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// A sheaf that is flushed gives its memory back: the next one has it.
  @Test func flushedSheavesAreUsedAgain() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      var places: Set<UInt> = []
      for _ in 0..<10 {
        allocator.freeAll(try allocator.allocate(16, from: root))
        #expect(root.cache.hasSheaf)
        places.insert(root.cache.sheafWord.first)
        root.cache.shrink()
      }
      #expect(places.count == 1)
      try allocator.destroy(root)
    }
  }

  /// Bursts that the sheaf cannot hold make it grow, class by class, up to the cache's limit.
  @Test func growsToItsLimit() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 8)
      let largest = PerCPURegion.sheafCapacity(ofClass: PerCPURegion.sheafClassCount - 1)
      #expect(root.sheafLimit == largest)
      var seen: [Int] = []
      for _ in 0..<200 where seen.last != largest {
        allocator.freeAll(try allocator.allocate(1500, from: root))
        let capacity = root.cache.sheafWord.capacity
        if seen.last != capacity { seen.append(capacity) }
        expectWhole(allocator)
      }
      #expect(seen.last == largest)
      #expect(seen == seen.sorted())
      #expect(try allocator.liveObjects(of: root) == 0)
      #expect(allocator.statistics.sheafFences >= seen.count - 1)
      try allocator.destroy(root)
    }
  }

  /// A refill takes half a sheaf from slabs at hand; an overflow brings half of it back.
  @Test func movesHalfAtATime() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      try allocator.setSheafCapacity(6, of: root)
      try onOneCPU {
        var objects = try allocator.allocate(16, from: root)
        #expect(root.cache.hasSheaf)
        objects += try allocator.allocate(1, from: root)
        #expect(root.cache.sheafObjects == 3)
        objects += try allocator.allocate(3, from: root)
        #expect(root.cache.sheafObjects == 0)
        allocator.freeAll(Array(objects.suffix(6)))
        #expect(root.cache.sheafObjects == 6)
        #expect(root.cache.figures.inUse == 20)
        objects.removeLast(6)
        allocator.free(objects.removeLast())
        #expect(root.cache.sheafObjects == 3)
        #expect(root.cache.figures.inUse == 16)
        allocator.freeAll(objects)
      }
      expectWhole(allocator)
      try allocator.destroy(root)
    }
  }

  /// However the frees are ordered, and with foreign memory below: a whole batch is what its objects are one by one.
  @Test(arguments: [8, 64, 1024, 4096]) func batchesInAnyOrder(_ size: Int) throws {
    try withSeed { seed in
      var random = SeededGenerator(seed: seed)
      try withAllocator { allocator in
        let root = try allocator.makePlainCache("cache", size: size)
        for round in 0..<12 {
          // Each round's memory was another group's.
          let group = try allocator.makeGroup("group-\(round)")
          var objects: [UInt] = []
          for tag in 0..<700 {
            let object = try allocator.allocate(from: root, in: group)
            #expect(isCleared(object, size: size))
            fillObject(object, size: size, tag: UInt64(tag))
            objects.append(object)
          }
          for (tag, object) in objects.enumerated() {
            #expect(isFilled(object, size: size, tag: UInt64(tag)))
          }
          switch round % 3 {
          case 0: break
          case 1: objects.reverse()
          default: objects.shuffle(using: &random)
          }
          allocator.freeAll(objects)
          expectWhole(allocator)
          allocator.release(group)
          allocator.waitUntilIdle()
        }
        #expect(try allocator.liveObjects(of: root) == 0)
        try allocator.destroy(root)
      }
    }
  }

  @Test(arguments: [0, 1, 2, 7, 8, 31, 100, 511]) func capacityAtRunTime(_ capacity: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      func churn() throws {
        for _ in 0..<40 {
          for owner in [nil, group] {
            var objects: [UInt] = []
            for _ in 0..<60 { objects.append(try allocator.allocate(from: root, in: owner)) }
            allocator.freeAll(objects)
          }
        }
      }
      func capacities() throws -> [Int] {
        let object = try allocator.allocate(from: root, in: group)
        defer { allocator.free(object) }
        return [root.cache, allocator.cache(of: object)!].map { $0.sheafWord.capacity }
      }
      try churn()
      #expect(try capacities().allSatisfy { $0 > 7 })
      // Every larger sheaf is closed at once, in the root and in its children.
      try allocator.setSheafCapacity(capacity, of: root)
      #expect(try capacities().allSatisfy { $0 <= capacity })
      expectWhole(allocator)
      try churn()
      #expect(try capacities().allSatisfy { $0 <= capacity && ($0 > 0) == (capacity > 0) })
      expectWhole(allocator)
      // And may grow again.
      try allocator.setSheafCapacity(511, of: root)
      try churn()
      #expect(try capacities().allSatisfy { $0 > 7 })
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// The setting finds a sheaf that is between two blocks: closed, and about to be opened again.
  @Test func aSettingIsNotLostOnASheafThatGrows() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      let cache = root.cache
      allocator.freeAll(try allocator.allocate(100, from: root))
      #expect(cache.hasSheaf)
      let mode = allocator.statistics.mode
      // What `closeSheaf` and `openSheaf` do, under the same lock.
      let lock = cache.pointee.lock.lock()
      let word = cache.words.pointee.exchange(.closed, mode: mode)
      let setter = Helper { try? allocator.setSheafCapacity(0, of: root) }
      setter.waitUntilAsleepOrOver()
      _ = cache.words.pointee.exchange(word, mode: mode)
      lock.unlock()
      setter.thread.join()
      #expect(!cache.hasSheaf)
      #expect(try allocator.liveObjects(of: root) == 0)
      try allocator.destroy(root)
    }
  }

  /// Where the fence is refused the sheaf stays, and takes nothing beyond the setting any more.
  @Test func aSettingHoldsWhereTheFenceIsRefused() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        guard allocator.statistics.mode == .restartableSequences else { return }
        let root = try allocator.makePlainCache("cache", size: 64)
        let objects = try allocator.allocate(30, from: root)
        FaultInjection.failCall(1, of: .membarrier, with: .noMemory, repeating: true)
        try allocator.setSheafCapacity(0, of: root)
        #expect(FaultInjection.end() == 1)
        #expect(root.cache.sheafWord.capacity == 0)
        let before = root.cache.sheafObjects
        allocator.freeAll(objects)
        #expect(root.cache.sheafObjects <= before)
        #expect(try allocator.liveObjects(of: root) == 0)
        expectWhole(allocator)
        try allocator.destroy(root)
      }
    }
  }

  @Test func badSettingsAreRefused() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      let largest = PerCPURegion.sheafCapacity(ofClass: PerCPURegion.sheafClassCount - 1)
      let before = (root.sheafLimit, root.emptySlabsKept)
      for capacity in [-1, .min, largest + 1, .max] {
        #expect(throws: AllocatorError.invalidLimit) {
          try allocator.setSheafCapacity(capacity, of: root)
        }
      }
      #expect(throws: AllocatorError.invalidLimit) { try allocator.setMinPartial(-1, of: root) }
      #expect(root.sheafLimit == before.0)
      #expect(root.emptySlabsKept == before.1)
      try allocator.setMinPartial(.max, of: root)
      allocator.freeAll(try allocator.allocate(1000, from: root))
      try allocator.destroy(root)
    }
  }

  /// Where the fence is refused the sheaf stays as it was: nothing is flushed behind its back.
  @Test func refusedFenceLeavesTheSheaf() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        guard allocator.statistics.mode == .restartableSequences else { return }
        let root = try allocator.makePlainCache("cache", size: 64)
        let objects = try allocator.allocate(16, from: root)
        onOneCPU { allocator.freeAll(Array(objects[..<5])) }
        FaultInjection.failCall(1, of: .membarrier, with: .noMemory, repeating: true)
        #expect(root.cache.shrink())
        #expect(FaultInjection.end() == 1)
        #expect(root.cache.hasSheaf)
        #expect(root.cache.sheafObjects == 5)
        let live = try allocator.liveObjects(of: root)
        #expect(live == 11)
        expectWhole(allocator)
        allocator.freeAll(Array(objects[5...]))
        #expect(!root.cache.shrink())
        try allocator.destroy(root)
      }
    }
  }

  /// At its limit a group still gets the objects that lie in another CPU's sheaf.
  @Test func limitLooksIntoEverySheaf() throws {
    let cpus = allowedCPUs()
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 512)
      let group = try allocator.makeGroup("group", max: 3 * 4096)
      var objects: [UInt] = []
      for _ in 0..<24 { objects.append(try allocator.allocate(from: root, in: group)) }
      let child = allocator.cache(of: objects[0])!
      #expect(child.hasSheaf)
      for round in 0..<20 {
        let from = cpus[round % cpus.count]
        let to = cpus[(round + 1) % cpus.count]
        let victim = objects.removeFirst()
        onThreads(1) { _ in onOneCPU(from) { allocator.free(victim) } }
        objects.append(try onOneCPU(to) { try allocator.allocate(from: root, in: group) })
        // The group is full now.
        #expect(throws: AllocatorError.groupLimit(group)) {
          _ = try allocator.allocate(from: root, in: group)
        }
        // Warm again, for the next round.
        for _ in 0..<16 where !child.hasSheaf {
          allocator.free(objects.removeFirst())
          objects.append(try allocator.allocate(from: root, in: group))
        }
      }
      #expect(Set(objects).count == 24)
      allocator.freeAll(objects)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// Objects that are allocated on one thread and freed on another, through both sheaves.
  @Test func threadsExchangeObjects() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 48)
      let group = try allocator.makeGroup("group")
      let exchange = Exchange()
      onThreads(3) { thread in
        var random = SeededGenerator(seed: UInt64(thread))
        for step in 0..<4_000 {
          let tag = UInt64(thread * 10_000 + step)
          guard let object = try? allocator.allocate(from: root, in: step % 2 == 0 ? nil : group)
          else {
            exchange.failures.add(1, ordering: .relaxed)
            continue
          }
          fillObject(object, size: 48, tag: tag)
          guard let (other, otherTag) = exchange.swap(object, tag, using: &random) else { continue }
          if !isFilled(other, size: 48, tag: otherTag) {
            exchange.failures.add(1, ordering: .relaxed)
          }
          allocator.free(other)
        }
      }
      #expect(exchange.failures.load(ordering: .relaxed) == 0)
      #expect(try allocator.liveObjects(of: root) == exchange.places.count { $0.object != 0 })
      for (object, tag) in exchange.places where object != 0 {
        #expect(isFilled(object, size: 48, tag: tag))
        allocator.free(object)
      }
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }
}

/// Whether an object of whole words is all zeros.
private func isCleared(_ object: UInt, size: Int) -> Bool {
  let words = Words(at: object)
  return (0..<size / 8).allSatisfy { words[$0] == 0 }
}

/// Places through which threads hand objects to each other.
private final class Exchange: @unchecked Sendable {
  // Unchecked: `places` is guarded by `lock`.
  let lock = Lock(outsideOfTheOrder: ())
  var places = [(object: UInt, tag: UInt64)](repeating: (0, 0), count: 100)
  let failures = Atomic<Int>(0)

  func swap(
    _ object: UInt, _ tag: UInt64, using random: inout SeededGenerator
  ) -> (UInt, UInt64)? {
    let index = Int.random(in: 0..<places.count, using: &random)
    lock.lock()
    defer { lock.unlock() }
    let before = places[index]
    places[index] = (object, tag)
    return before.object == 0 ? nil : before
  }
}
