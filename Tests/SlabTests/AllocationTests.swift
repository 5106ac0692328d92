// SPDX-License-Identifier: Apache-2.0
// Slots of typed caches: which group is charged, when objects end, and what is refused.

import Slab
import SlabTestSupport
import Synchronization
import Testing

/// Counts its ends.
struct Tracked: ~Copyable, Sendable {
  let ends: Ends
  var number: Int

  init(_ ends: Ends, _ number: Int = 0) {
    self.ends = ends
    self.number = number
  }

  deinit { ends.count.add(1, ordering: .relaxed) }

  final class Ends: Sendable {
    let count = Atomic(0)
    var value: Int { count.load(ordering: .relaxed) }
  }
}

@Suite(.inTurn) struct AllocationTests {
  let allocator: SlabAllocator
  let cache: SlabCache<Tracked>
  let group: MemoryGroup
  let ends = Tracked.Ends()

  init() throws {
    allocator = try SlabAllocator()
    cache = try SlabCache(named: "tracked", of: allocator)
    group = try allocator.rootGroup.makeChild(named: "tenant", max: 1 << 20)
  }

  @Test func slotEndsItsObject() throws {
    #expect(MemoryLayout<Slot<Tracked>>.size == MemoryLayout<Int>.size)
    #expect(MemoryLayout<Slot<Tracked>?>.size == MemoryLayout<Int>.size)
    do {
      var slot = try cache.allocate(Tracked(ends, 1), in: group)
      slot.value.number += 1
      #expect(slot.value.number == 2)
      #expect(ends.value == 0)
      #expect(group.usage == 4096)
    }
    #expect(ends.value == 1)
    #expect(throws: Never.self) { try cache.destroy() }
  }

  /// What waits for a grace period is nobody's, also if it has an end of its own.
  @Test func destroyIsNotRefusedForDeferredEnds() throws {
    for number in 0..<100 {
      try cache.allocate(Tracked(ends, number), in: group).freeAfterGracePeriod()
    }
    try cache.destroy()
    allocator.barrier()
    #expect(ends.value == 100)
    try group.close()
    allocator.waitUntilIdle()
    #expect(group.isDrained)
  }

  /// Without memory nothing is made; else it has owners like any other.
  @Test func sharedIfPossible() throws {
    let shared = try SlabCache<SharedObject<Tracked>>(named: "shared", of: allocator)
    let poor = try allocator.rootGroup.makeChild(named: "poor", max: 0)
    var isMade = false
    let refused = shared.allocateSharedIfPossible(in: poor) { () -> Tracked in
      isMade = true
      return Tracked(ends, 1)
    }
    if refused != nil { Issue.record("made beyond the limit") }
    #expect(!isMade)
    do {
      let slot = shared.allocateSharedIfPossible(in: group) { Tracked(ends, 2) }
      guard let slot else { throw SlabError.outOfMemory(group: nil, bytes: 0) }
      let other = slot.share()
      #expect(other.value.number == 2 && !slot.isUnique)
      let unnamed = MemoryGroup.withCurrent(group) {
        shared.allocateSharedIfPossible { Tracked(ends, 3) }
      }
      if unnamed == nil { Issue.record("refused") }
    }
    #expect(ends.value == 2)
  }

  @Test func takeMovesTheObjectOut() throws {
    let slot = try cache.allocate(Tracked(ends, 7), in: group)
    let object = slot.consume()
    #expect(ends.value == 0)
    #expect(object.number == 7)
    try cache.destroy()
  }

  @Test func leakAndAdopt() throws {
    let pointer = unsafe try cache.allocate(Tracked(ends, 5), in: group).leak()
    #expect(throws: SlabError.cacheBusy(objects: 1)) { try cache.destroy() }
    do {
      let slot = unsafe cache.adopt(pointer)
      #expect(slot.value.number == 5)
    }
    #expect(ends.value == 1)
    try cache.destroy()
  }

  @Test func sharedSlotEndsWithItsLastOwner() throws {
    let shared = try SlabCache<SharedObject<Tracked>>(named: "shared", of: allocator)
    var first = try shared.allocate(sharing: Tracked(ends, 3), in: group)
    expectUnique(first, true)
    #expect(first.withUniqueValue { Self.increment(&$0) } == 4)
    do {
      let second = first.share()
      #expect(second.value.number == 4)
      expectUnique(first, false)
      #expect(first.withUniqueValue { Self.increment(&$0) } == nil)
    }
    #expect(ends.value == 0)
    expectUnique(first, true)
    _ = consume first
    #expect(ends.value == 1)
    try shared.destroy()
  }

  private static func increment(_ object: inout Tracked) -> Int {
    object.number += 1
    return object.number
  }

  @Test func nothingIsMadeWithoutMemory() throws {
    let poor = try allocator.rootGroup.makeChild(named: "poor", max: 0)
    var made = 0
    let none = cache.allocateIfPossible(in: poor) {
      made += 1
      return Tracked(ends)
    }
    expectNil(none, true)
    #expect(made == 0)
    let one = cache.allocateIfPossible(in: group) {
      made += 1
      return Tracked(ends)
    }
    expectNil(one, false)
    #expect(made == 1)
  }

  @Test func failureOfTheMakerFreesTheMemory() throws {
    struct Failure: Error {}
    #expect(throws: Failure.self) {
      _ = try cache.allocateIfPossible(in: group) { () throws(Failure) -> Tracked in
        throw Failure()
      }
    }
    try cache.destroy()
  }

  @Test func objectsOutliveTheirCacheAndTheirGroup() throws {
    var cache: SlabCache<Tracked>? = try SlabCache(named: "brief", of: allocator)
    var group: MemoryGroup? = try allocator.rootGroup.makeChild(named: "brief")
    let slot = try cache!.allocate(Tracked(ends, 9), in: group!)
    cache = nil
    group = nil
    // Both names are free again at once.
    _ = try SlabCache<Tracked>(named: "brief", of: allocator)
    _ = try allocator.rootGroup.makeChild(named: "brief")
    allocator.waitUntilIdle()
    #expect(slot.value.number == 9)
    #expect(allocator.statistics.chargedBytes == 4096)
    _ = consume slot
    #expect(ends.value == 1)
    allocator.waitUntilIdle()
    #expect(allocator.statistics.chargedBytes == 0)
    #expect(allocator.statistics.rootCaches == 1)
    #expect(allocator.statistics.groupsLive == 1)
  }

  @Test func copiesOfADestroyedCacheAreRefused() throws {
    let copy = cache
    _ = try cache.allocate(Tracked(ends), in: group)
    try cache.destroy()
    allocator.waitUntilIdle()
    #expect(throws: SlabError.cacheDestroyed) {
      _ = try copy.allocate(Tracked(ends), in: group)
    }
    #expect(throws: SlabError.cacheDestroyed) {
      _ = try copy.allocate(Tracked(ends), in: allocator.rootGroup)
    }
    #expect(throws: SlabError.cacheDestroyed) { try copy.destroy() }
    let again = try SlabCache<Tracked>(named: "tracked", of: allocator)
    _ = try again.allocate(Tracked(ends), in: group)
    #expect(throws: SlabError.cacheDestroyed) {
      _ = try copy.allocate(Tracked(ends), in: group)
    }
  }

  @Test func theRootGroupIsChargedNothing() throws {
    let slot = try cache.allocate(Tracked(ends, 1), in: allocator.rootGroup)
    let other = try cache.allocate(Tracked(ends, 2), in: allocator.rootGroup)
    #expect(slot.value.number + other.value.number == 3)
    #expect(allocator.rootGroup.usage == 0)
    #expect(allocator.statistics.childCachesCreated == 0)
  }
}

/// Macros of the test library take nothing that cannot be copied.
func expectNil<Object: ~Copyable>(
  _ value: borrowing Object?, _ wanted: Bool, at location: SourceLocation = #_sourceLocation
) {
  let isNil =
    switch value {
    case .none: true
    case .some: false
    }
  #expect(isNil == wanted, sourceLocation: location)
}

private func expectUnique(
  _ slot: borrowing SharedSlot<Tracked>, _ wanted: Bool,
  at location: SourceLocation = #_sourceLocation
) {
  let isUnique = slot.isUnique
  #expect(isUnique == wanted, sourceLocation: location)
}
