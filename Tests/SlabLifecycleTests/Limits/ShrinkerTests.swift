// SPDX-License-Identifier: Apache-2.0
// Shrinkers: the numbers that they are asked for, and what may be done while one is asked.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ShrinkerTests {
  /// An allocator with a group, and a shrinker of it that answers as it is told.
  private func withOracle(
    freeable: Int, seeks: Int, batch: Int, _ body: (Pointer<Shrinker>, Oracle) throws -> Void
  ) throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      let oracle = Oracle(freeable: freeable)
      let shrinker = try oracle.register(with: allocator, for: group, seeks: seeks, batch: batch)
      try body(shrinker, oracle)
      allocator.unregisterShrinker(shrinker)
      allocator.release(group)
      withExtendedLifetime(oracle) {}
    }
  }

  private func deferred(_ shrinker: Pointer<Shrinker>) -> Int {
    shrinker.pointee.deferred.load(ordering: .relaxed)
  }

  /// 4 * freeable / (2^priority * seeks), in batches; the rest of a batch is deferred.
  @Test func batchesAndDeferredWork() throws {
    try withOracle(freeable: 1000, seeks: 2, batch: 128) { shrinker, oracle in
      _ = shrinker.shrink(priority: 12)
      #expect(oracle.takeAsked() == [] && deferred(shrinker) == 0)
      // 125 * 4 / 2 = 250.
      _ = shrinker.shrink(priority: 3)
      #expect(oracle.takeAsked() == [128] && deferred(shrinker) == 122)
      // 250 and an eighth of 122.
      _ = shrinker.shrink(priority: 3)
      #expect(oracle.takeAsked() == [128, 128] && deferred(shrinker) == 116)
      // 2000 and all that is deferred, but no more than twice 1000.
      _ = shrinker.shrink(priority: 0)
      let asked = oracle.takeAsked()
      #expect(asked == [Int](repeating: 128, count: 15))
      #expect(deferred(shrinker) == 116 + 2000 - 15 * 128)
    }
  }

  /// Fewer objects than a batch are asked for, if they are all there is; never twice more.
  @Test func aSmallCache() throws {
    try withOracle(freeable: 10, seeks: 1, batch: 4) { shrinker, oracle in
      _ = shrinker.shrink(priority: 0)
      #expect(oracle.takeAsked() == [4, 4, 4, 4, 4])
      // 40 were due, 20 were asked for.
      #expect(deferred(shrinker) == 20)
      _ = shrinker.shrink(priority: 0)
      #expect(oracle.takeAsked() == [4, 4, 4, 4, 4] && deferred(shrinker) == 20)
    }
    try withOracle(freeable: 10, seeks: 2, batch: 128) { shrinker, oracle in
      _ = shrinker.shrink(priority: 0)
      #expect(oracle.takeAsked() == [20] && deferred(shrinker) == 0)
    }
  }

  /// Objects that cost nothing: half of them, at any priority.
  @Test func seeksOfZero() throws {
    try withOracle(freeable: 1000, seeks: 0, batch: 100) { shrinker, oracle in
      for priority in [12, 5, 0] {
        _ = shrinker.shrink(priority: priority)
        #expect(oracle.takeAsked() == [Int](repeating: 100, count: 5))
        #expect(deferred(shrinker) == 0)
      }
    }
  }

  /// A stop defers all that was due; nothing to free leaves what is deferred as it is.
  @Test func stopsAndEmptyCaches() throws {
    try withOracle(freeable: 1000, seeks: 2, batch: 128) { shrinker, oracle in
      oracle.answer.with { $0 = -1 }
      _ = shrinker.shrink(priority: 1)
      #expect(oracle.takeAsked() == [128] && deferred(shrinker) == 1000)
      oracle.answer.with { $0 = nil }
      for nothing in [0, -1, Int.min] {
        oracle.freeable.with { $0 = nothing }
        _ = shrinker.shrink(priority: 0)
        #expect(oracle.takeAsked() == [] && deferred(shrinker) == 1000)
      }
      // Fewer than are deferred: no more than twice of them stay so.
      oracle.freeable.with { $0 = 100 }
      oracle.answer.with { $0 = -1 }
      _ = shrinker.shrink(priority: 12)
      #expect(deferred(shrinker) == 200)
    }
  }

  /// Whatever a shrinker says of itself, numbers do not overflow.
  @Test func answersOutOfReason() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let group = try allocator.makeGroup("group")
        let oracle = Oracle(freeable: .max)
        for seeks in [0, 1, 2, Int.max] {
          let shrinker = try oracle.register(
            with: allocator, for: group, seeks: seeks, batch: .max / 8)
          for priority in [12, 0] {
            oracle.answer.with { $0 = .max }
            _ = shrinker.shrink(priority: priority)
            oracle.answer.with { $0 = -1 }
            _ = shrinker.shrink(priority: priority)
          }
          allocator.unregisterShrinker(shrinker)
        }
        // Two of them have more objects than there are numbers.
        let shrinkers = try (0..<2).map { _ in
          try oracle.register(with: allocator, for: group, seeks: 2, batch: .max / 8)
        }
        #expect(group.askShrinkers(priority: 12) > 0)
        for shrinker in shrinkers { allocator.unregisterShrinker(shrinker) }
        allocator.release(group)
      }
    }
  }

  @Test func invalidNumbersAndGroupsThatHaveEnded() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      let oracle = Oracle(freeable: 1)
      for (seeks, batch) in [(-1, 1), (2, 0), (2, -1)] {
        allocator.expectError(.invalidLimit) { () throws(AllocatorError) in
          try oracle.register(with: allocator, for: group, seeks: seeks, batch: batch)
        }
      }
      let shrinker = try oracle.register(with: allocator, for: group)
      try allocator.close(group)
      allocator.expectError(.groupOffline) { () throws(AllocatorError) in
        try oracle.register(with: allocator, for: group)
      }
      // It holds the group by a handle of its own.
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 0)
      allocator.unregisterShrinker(shrinker)
    }
  }

  /// What a shrinker allocates in its group fails at the limit, at once.
  @Test func reclaimIsNotRecursive() throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let group = try allocator.makeGroup("group", max: 4 * slabOfOne)
      let refused = Shared(0)
      let depth = Shared((now: 0, most: 0))
      let hoard = Hoard(allocator) {
        depth.with { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
        do throws(AllocatorError) {
          allocator.free(try allocator.allocate(from: root, in: group))
        } catch {
          refused.with { $0 += error == .groupLimit(group) ? 1 : 0 }
        }
        depth.with { $0.now -= 1 }
      }
      let shrinker = try hoard.register(for: group)
      for _ in 0..<40 { hoard.add(try allocator.allocate(from: root, in: group)) }
      #expect(refused.with { $0 } > 0)
      #expect(depth.with { $0 } == (0, 1))
      #expect(group.slabsCharged <= 4)
      allocator.unregisterShrinker(shrinker)
      hoard.freeAll()
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// A thread that unregisters waits for those inside; afterwards none comes.
  @Test func unregisterWaitsForThoseInside() throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let group = try allocator.makeGroup("group")
      let isInside = Shared(false)
      let mayLeave = Shared(false)
      let hoard = Hoard(allocator) {
        isInside.with { $0 = true }
        _ = eventually { mayLeave.with { $0 } }
      }
      let shrinker = try hoard.register(for: group)
      for _ in 0..<4 { hoard.add(try allocator.allocate(from: root, in: group)) }
      let reclaiming = TestThread { allocator.reclaim(bytes: slabOfOne, of: group) }
      #expect(eventually { isInside.with { $0 } })
      let identity = Shared(0)
      let isUnregistered = Shared(false)
      let unregistering = TestThread {
        identity.with { $0 = threadID() }
        allocator.unregisterShrinker(shrinker)
        isUnregistered.with { $0 = true }
      }
      #expect(eventually { identity.with { $0 } != 0 })
      #expect(waitUntilAsleep(threadID: identity.with { $0 }))
      #expect(!isUnregistered.with { $0 })
      mayLeave.with { $0 = true }
      unregistering.join()
      reclaiming.join()
      let asked = hoard.asked.with { $0.count }
      allocator.reclaim(bytes: 100 * slabOfOne, of: group)
      #expect(hoard.asked.with { $0.count } == asked)
      hoard.freeAll()
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// Inside a shrinker's functions nobody is waited for: its own registration ends with the call, and so
  /// does that of another one in which a second thread is.
  @Test(arguments: [false, true]) func unregisteredInAShrinker(isOther: Bool) throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let groups = try (0..<2).map { _ in try allocator.makeGroup("group") }
      let ending = Shared(Pointer<Shrinker>?.none)
      let isInside = Shared(false)
      let mayLeave = Shared(false)
      let unregister: @Sendable () -> Void = {
        let shrinker = ending.with { shrinker in
          defer { shrinker = nil }
          return shrinker
        }
        if let shrinker { allocator.unregisterShrinker(shrinker) }
      }
      let hoard = Hoard(allocator) {
        guard isOther else { return unregister() }
        isInside.with { $0 = true }
        _ = eventually { mayLeave.with { $0 } }
      }
      let other = Hoard(allocator, whileAsked: unregister)
      for hoard in [hoard, other] {
        hoard.add(try allocator.allocate(from: root, in: groups[0]))
        hoard.add(try allocator.allocate(from: root, in: groups[0]))
      }
      let shrinker = try hoard.register(for: groups[0])
      ending.with { $0 = shrinker }
      if isOther {
        let second = try other.register(for: groups[1])
        let reclaiming = TestThread { allocator.reclaim(bytes: slabOfOne, of: groups[0]) }
        #expect(eventually { isInside.with { $0 } })
        allocator.reclaim(bytes: slabOfOne, of: groups[1])
        // Abandoned, and not ended while a thread is in its functions.
        #expect(ending.with { $0 } == nil && hoard.ended.with { $0 } == 0)
        mayLeave.with { $0 = true }
        reclaiming.join()
        allocator.unregisterShrinker(second)
        #expect(other.ended.with { $0 } == 1)
      } else {
        allocator.reclaim(bytes: slabOfOne, of: groups[0])
      }
      #expect(ending.with { $0 } == nil && hoard.ended.with { $0 } == 1)
      let asked = hoard.asked.with { $0.count }
      allocator.reclaim(bytes: 100 * slabOfOne, of: groups[0])
      #expect(hoard.asked.with { $0.count } == asked)
      for hoard in [hoard, other] { hoard.freeAll() }
      for group in groups { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// A fork waits for the walk that it is in: it ends the process, instead of waiting for itself.
  @Test func forkInAShrinker() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      // A broken check hangs: then this ends it.
      alarm(20)
      let allocator = try Allocator()
      let root = try allocator.makeChargedCache()
      let group = try allocator.makeGroup("group")
      let hoard = Hoard(allocator) { _ = forkProcess() }
      _ = try hoard.register(for: group)
      hoard.add(try allocator.allocate(from: root, in: group))
      allocator.reclaim(bytes: slabOfOne, of: group)
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text == "slab: fork: called from a shrinker (deadlock)\n")
  }

  /// Registering without memory: an error, and nothing has changed.
  @Test func registeringMayFail() throws {
    var configuration = AllocatorConfiguration()
    configuration.addressSpaceBytes = 16 << 20
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makeChargedCache()
      let group = try allocator.makeGroup("group")
      let oracle = Oracle(freeable: 1)
      // Until there is no page left, and then no descriptor in the pages of the core.
      var objects: [UInt] = []
      allocator.expectError(.outOfMemory) { () throws(AllocatorError) in
        while true { objects.append(try allocator.allocate(from: root, in: group)) }
      }
      var shrinkers: [Pointer<Shrinker>] = []
      allocator.expectError(.outOfMemory) { () throws(AllocatorError) in
        while true { shrinkers.append(try oracle.register(with: allocator, for: group)) }
      }
      expectWhole(allocator)
      // Each that was registered is there, and no other one.
      _ = group.askShrinkers(priority: 0)
      #expect(oracle.takeAsked() == [Int](repeating: 2, count: shrinkers.count))
      for shrinker in shrinkers { allocator.unregisterShrinker(shrinker) }
      for object in objects { allocator.free(object) }
      allocator.unregisterShrinker(try oracle.register(with: allocator, for: group))
      // A handle that was lost would keep it.
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 1)
      try allocator.destroy(root)
    }
  }
}
