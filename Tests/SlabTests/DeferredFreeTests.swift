// SPDX-License-Identifier: Apache-2.0
// Objects that are freed after a grace period: when they end, how often, and of whose allocator.

import SlabTestSupport
import Synchronization
import Testing

import struct SlabCore.GracePeriodCookie

@testable import Slab

@Suite(.inTurn) struct DeferredFreeTests {
  let allocator: SlabAllocator
  let group: MemoryGroup
  let ends = Tracked.Ends()

  init() throws {
    allocator = try SlabAllocator()
    group = try allocator.rootGroup.makeChild(named: "tenant")
  }

  /// Opens a section, lets a body free something, and waits until the grace period for it goes on.
  private func whileReading(
    in allocator: SlabAllocator, _ free: () throws -> Void
  ) async throws -> OpenSection {
    let section = await OpenSection(of: allocator)
    // Nobody else works with the allocator: the next grace period is the one that is asked for here.
    let before = allocator.core.gracePeriodCookie()
    try free()
    allocator.core.hurryCallbacks()
    #expect(await eventually { allocator.core.gracePeriodCookie() != before })
    for _ in 0..<1000 { await Task.yield() }
    return section
  }

  private func objectsInUse(in group: MemoryGroup) -> Int {
    group.statistics.caches.reduce(0) { $0 + $1.objectsInUse }
  }

  @Test func anObjectEndsOnceAfterTheGracePeriod() async throws {
    let cache = try SlabCache<Tracked>(named: "tracked", of: allocator)
    let object = unsafe try cache.allocate(Tracked(ends, 7), in: group).leak()
    let section = try await whileReading(in: allocator) {
      unsafe cache.adopt(object).freeAfterGracePeriod()
    }
    #expect(ends.value == 0)
    // SAFETY: the section is open: the object is what it was.
    #expect(unsafe object.pointee.number == 7)
    #expect(objectsInUse(in: group) == 1)
    await section.end()
    await allocator.barrier()
    #expect(ends.value == 1)
    #expect(objectsInUse(in: group) == 0)
    try cache.destroy()
    #expect(ends.value == 1)
  }

  /// Without a deinit the object's memory waits by itself, without a closure.
  @Test func anObjectWithoutADeinitStaysWhatItIsAndCharged() async throws {
    let cache = try SlabCache<[64 of UInt8]>(named: "bytes", of: allocator)
    let object = unsafe try cache.allocate([64 of UInt8](repeating: 9), in: group).leak()
    let section = try await whileReading(in: allocator) {
      unsafe cache.adopt(object).freeAfterGracePeriod()
    }
    // A hundred others do not get its place.
    for _ in 0..<100 {
      _ = unsafe try cache.allocate([64 of UInt8](repeating: 1), in: group).leak()
    }
    #expect(objectsInUse(in: group) == 101)
    // SAFETY: the section is open: the object is what it was.
    #expect((0..<64).allSatisfy { unsafe object.pointee[$0] == 9 })
    await section.end()
    await allocator.barrier()
    #expect(objectsInUse(in: group) == 100)
  }

  /// The barrier waits for those that are queued, not only for one grace period.
  @Test(arguments: [true, false])
  func barrierWaitsForEveryDeferredFree(blocking: Bool) async throws {
    let tracked = try SlabCache<Tracked>(named: "tracked", of: allocator)
    let plain = try SlabCache<Int>(named: "plain", of: allocator)
    let (isOver, mayBeOver, isEarly) = (Flag(), Flag(), Flag())
    let (allocator, ends) = (allocator, ends)
    let section = try await whileReading(in: allocator) {
      for number in 0..<2000 {
        try tracked.allocate(Tracked(ends, number), in: group).freeAfterGracePeriod()
        try plain.allocate(number, in: group).freeAfterGracePeriod()
      }
      let done: @Sendable () -> Void = {
        if !mayBeOver.isSet || ends.value != 2000 { isEarly.set() }
        isOver.set()
      }
      if blocking {
        _ = TestThread {
          allocator.barrier()
          done()
        }
      } else {
        Task {
          await allocator.barrier()
          done()
        }
      }
    }
    #expect(!isOver.isSet)
    #expect(ends.value == 0)
    #expect(objectsInUse(in: group) == 4000)
    mayBeOver.set()
    await section.end()
    #expect(await eventually { isOver.isSet })
    #expect(!isEarly.isSet)
    #expect(objectsInUse(in: group) == 0)
  }

  @Test(arguments: [true, false]) func theSharedBarrier(blocking: Bool) async throws {
    let cache = try SlabCache<Tracked>(named: "shared-barrier-\(blocking)")
    for number in 0..<1000 {
      try cache.allocate(Tracked(ends, number), in: .root).freeAfterGracePeriod()
    }
    if blocking { blockingBarrier() } else { await RCU.barrier() }
    #expect(ends.value == 1000)
    try cache.destroy()
  }

  /// Not the overload that suspends.
  private func blockingBarrier() { RCU.barrier() }

  /// The object's own allocator is asked for the grace period, whichever is the shared one.
  @Test func everyAllocatorHasSectionsOfItsOwn() async throws {
    let cache = try SlabCache<Tracked>(named: "tracked", of: allocator)
    let plain = try SlabCache<Int>(named: "plain", of: allocator)
    let other = try SlabAllocator()
    let foreign = try SlabCache<Tracked>(named: "tracked", of: other)
    let section = try await whileReading(in: allocator) {
      try cache.allocate(Tracked(ends), in: group).freeAfterGracePeriod()
      try plain.allocate(1, in: group).freeAfterGracePeriod()
    }
    // Neither the shared allocator nor another one waits for the section, or frees the object.
    let foreignEnds = Tracked.Ends()
    try foreign.allocate(Tracked(foreignEnds), in: other.rootGroup).freeAfterGracePeriod()
    await other.barrier()
    await other.synchronize()
    #expect(foreignEnds.value == 1)
    await RCU.barrier()
    #expect(ends.value == 0)
    #expect(objectsInUse(in: group) == 2)
    await section.end()
    await allocator.barrier()
    #expect(ends.value == 1)
    #expect(objectsInUse(in: group) == 0)
  }

  @Test func inAMergedCache() async throws {
    var configuration = SlabAllocator.Configuration()
    configuration.mergesCaches = true
    let allocator = try SlabAllocator(configuration: configuration)
    let group = try allocator.rootGroup.makeChild(named: "tenant")
    let first = try SlabCache<Tracked>(named: "first", of: allocator)
    let second = try SlabCache<[2 of UInt]>(named: "second", of: allocator)
    #expect(allocator.statistics.mergedCaches == 1)
    let section = try await whileReading(in: allocator) {
      try first.allocate(Tracked(ends), in: group).freeAfterGracePeriod()
      try second.allocate([2 of UInt](repeating: 1), in: group).freeAfterGracePeriod()
    }
    #expect(ends.value == 0)
    #expect(objectsInUse(in: group) == 2)
    await section.end()
    await allocator.barrier()
    #expect(ends.value == 1)
    #expect(objectsInUse(in: group) == 0)
    try first.destroy()
    try second.destroy()
  }

  /// What waits needs no handle: neither of the cache nor of the group.
  @Test(arguments: EndingPolicy.allCases)
  func withoutAHandleOfCacheOrGroup(policy: EndingPolicy) async throws {
    let section = try await whileReading(in: allocator) {
      let cache = try SlabCache<Tracked>(named: "brief", of: allocator)
      let plain = try SlabCache<Int>(named: "brief-plain", of: allocator)
      let brief = try allocator.rootGroup.makeChild(named: "brief", endings: policy)
      try cache.allocate(Tracked(ends), in: brief).freeAfterGracePeriod()
      try plain.allocate(1, in: brief).freeAfterGracePeriod()
    }
    #expect(ends.value == 0)
    #expect(allocator.statistics.chargedBytes > 0)
    await section.end()
    await allocator.barrier()
    #expect(ends.value == 1)
    allocator.waitUntilIdle()
    #expect(allocator.statistics.chargedBytes == 0)
    #expect(allocator.statistics.rootCaches == 0)
    // The suite's own.
    #expect(allocator.statistics.groupsLive == 1)
  }

  @Test func rawObjectsAndCalls() async throws {
    let raw = try RawSlabCache(named: "raw", objectSize: 32, of: allocator)
    let object = try unsafe raw.allocateZeroed(in: group)
    // A head of 16 bytes, and a count behind it.
    let head = try unsafe raw.allocateZeroed(in: group)
    let section = try await whileReading(in: allocator) {
      unsafe allocator.freeAfterGracePeriod(object)
      unsafe allocator.callAfterGracePeriod(head) { head in
        unsafe (head + 16).assumingMemoryBound(to: Int.self).pointee += 1
      }
    }
    #expect(objectsInUse(in: group) == 2)
    // SAFETY: both are live; the function, if it was called too early, writes an aligned word.
    #expect(unsafe head.load(fromByteOffset: 16, as: Int.self) == 0)
    await section.end()
    await allocator.barrier()
    #expect(objectsInUse(in: group) == 1)
    #expect(unsafe head.load(fromByteOffset: 16, as: Int.self) == 1)
    unsafe raw.free(head)
    try raw.destroy()
  }

  /// One that is published and replaced all the while: no reader meets one that has ended.
  @Test func readersNeverMeetAnEndedObject() throws {
    let cache = try SlabCache<Canary>(named: "canary", options: .poison, of: allocator)
    // SAFETY: leaked objects are live until `freeAfterGracePeriod`, after their successor is there.
    let published = Published(
      unsafe UInt(bitPattern: try cache.allocate(Canary(ends), in: group).leak()))
    let (allocator, ends, group) = (allocator, ends, group)
    let replacements = isSanitized ? 5000 : isDebugBuild ? 20_000 : 100_000
    onThreads(4) { thread in
      if thread == 0 {
        for _ in 0..<replacements {
          guard let next = try? cache.allocate(Canary(ends), in: group) else { break }
          let old = published.address.exchange(
            UInt(bitPattern: unsafe next.leak()), ordering: .acquiringAndReleasing)
          unsafe cache.adopt(UnsafeMutablePointer(bitPattern: old)!).freeAfterGracePeriod()
        }
        published.isOver.set()
      } else {
        while !published.isOver.isSet {
          allocator.read {
            let address = published.address.load(ordering: .acquiring)
            for _ in 0..<10 {
              let canary = unsafe UnsafePointer<Canary>(bitPattern: address)!
              if unsafe canary.pointee.sign != Canary.alive {
                published.ended.add(1, ordering: .relaxed)
              }
            }
          }
        }
      }
    }
    #expect(published.ended.load(ordering: .relaxed) == 0)
    allocator.barrier()
    #expect(ends.value == replacements)
  }

  private final class Published: Sendable {
    let address: Atomic<UInt>
    let isOver = Flag()
    let ended = Atomic(0)
    init(_ first: UInt) { address = Atomic(first) }
  }

  /// Its sign is overwritten when it is freed.
  private struct Canary: ~Copyable, Sendable {
    static let alive: UInt64 = 0xA11C_E0A1_1CE0_A11C
    let sign = Canary.alive
    let ends: Tracked.Ends

    init(_ ends: Tracked.Ends) { self.ends = ends }
    deinit { ends.count.add(1, ordering: .relaxed) }
  }
}
