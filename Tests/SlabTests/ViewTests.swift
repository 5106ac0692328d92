// SPDX-License-Identifier: Apache-2.0
// Objects seen as spans and bytes, owners on several threads, and what is freed or added many at a time.

import Slab
import SlabTestSupport
import Synchronization
import Testing

@Suite(.inTurn) struct ViewTests {
  let allocator: SlabAllocator
  let group: MemoryGroup
  let ends = Tracked.Ends()

  init() throws {
    allocator = try SlabAllocator()
    group = try allocator.rootGroup.makeChild(named: "tenant")
  }

  // MARK: - Spans

  @Test func spansAreTheObject() throws {
    let cache = try SlabCache<Tracked>(named: "tracked", of: allocator)
    var slot = try cache.allocate(Tracked(ends, 1), in: group)
    do {
      var span = slot.mutableSpan
      span[0].number += 1
      // The old object ends where another one is put in its place.
      span[0] = Tracked(ends, 10 + span[0].number)
    }
    #expect(ends.value == 1)
    // Not in the macro, which would keep the span.
    let (count, number) = (slot.span.count, slot.span[0].number)
    #expect(count == 1 && number == 12)
    #expect(slot.value.number == 12)
    _ = slot.consume()
    #expect(ends.value == 2)
  }

  /// An object with padding behind it: the bytes are those of the object, not of its place.
  private struct Record: BitwiseCopyable {
    var number: UInt64 = 0x0102_0304_0506_0708
    var tag: UInt8 = 9
  }

  @Test func bytesAreTheObject() throws {
    let cache = try SlabCache<Record>(named: "record", of: allocator)
    var slot = try cache.allocate(Record(), in: group)
    let neighbour = try cache.allocate(Record(), in: group)
    #expect(Self.bytes(of: slot) == [8, 7, 6, 5, 4, 3, 2, 1, 9])
    let byteCount = Self.count(&slot)
    #expect(byteCount == 9)
    #expect(slot.value.number == 0x0706_0504_0302_0100)
    #expect(slot.value.tag == 8)
    #expect(neighbour.value.number == Record().number && neighbour.value.tag == 9)
  }

  /// An object before its first value, and the room behind the bytes of a buffer: what another tenant left there
  /// is gone. The objects are raw ones: the language copies a value with its padding, in which any part of an
  /// address may stand.
  @Test func nothingOfAnotherTenant() throws {
    let theirs = try RawSlabCache(named: "theirs", objectSize: 32, of: allocator)
    let ours = try RawSlabCache(named: "ours", objectSize: 16, of: allocator)
    let first = try allocator.rootGroup.makeChild(named: "first")
    do {
      let objects = unsafe try (0..<1000).map { _ in unsafe try theirs.allocate(in: first) }
      for index in unsafe objects.indices {
        unsafe objects[index].initializeMemory(as: UInt8.self, repeating: 0x5a, count: 32)
        unsafe theirs.free(objects[index])
      }
      var buffer = try SlabBuffer(zeroed: 64 << 10, in: first)
      unsafe buffer.withUnsafeMutableBytes { for index in $0.indices { unsafe $0[index] = 9 } }
    }
    try first.close()
    allocator.waitUntilIdle()
    var shown = 0
    for _ in 0..<1000 {
      let object = unsafe try ours.allocate(in: group)
      for offset in 0..<16 where unsafe object.load(fromByteOffset: offset, as: UInt8.self) == 0x5a
      {
        shown += 1
      }
    }
    for bytes in [100, 5000, 64 << 10] {
      var buffer = try SlabBuffer(capacity: bytes, in: group)
      buffer.append { span in
        // SAFETY: the room of the span; that it is not initialised for the language is what is looked at.
        unsafe span.withUnsafeMutableBytes { room, _ in
          for index in room.indices where unsafe room[index] != 0 { shown += 1 }
        }
      }
    }
    #expect(shown == 0)
    try unsafe group.discard()
  }

  private static func bytes(of slot: borrowing Slot<Record>) -> [UInt8] {
    let bytes = slot.bytes
    return (0..<bytes.byteCount).map {
      unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self)
    }
  }

  /// Writes 0, 1, 2 and so on into all bytes; how many there are.
  private static func count(_ slot: inout Slot<Record>) -> Int {
    // SAFETY: integers, of which every pattern of bits is one.
    var bytes = unsafe slot.mutableBytes
    for offset in 0..<bytes.byteCount {
      bytes.storeBytes(of: UInt8(offset), toByteOffset: offset, as: UInt8.self)
    }
    return bytes.byteCount
  }

  // MARK: - Shared owners

  /// Owners come and go on several threads: the object ends once, and not before the last of them.
  @Test func ownersOnSeveralThreads() throws {
    let cache = try SlabCache<SharedObject<Tracked>>(named: "shared", of: allocator)
    let rounds = isSanitized ? 200 : isDebugBuild ? 1000 : 5000
    let ends = ends
    let mistakes = Atomic(0)
    for round in 0..<rounds {
      let owners = Owners(try cache.allocate(sharing: Tracked(ends, round), in: group), count: 3)
      onThreads(3) { thread in
        let own = owners.take(thread)
        for _ in 0..<20 {
          let more = own.share()
          if more.value.number != round || more.isUnique {
            owners.mistakes.add(1, ordering: .relaxed)
          }
        }
        if ends.value != round { owners.mistakes.add(1, ordering: .relaxed) }
      }
      if ends.value != round + 1 { mistakes.add(1, ordering: .relaxed) }
      mistakes.add(owners.mistakes.load(ordering: .relaxed), ordering: .relaxed)
    }
    #expect(mistakes.load(ordering: .relaxed) == 0)
    #expect(ends.value == rounds)
    try cache.destroy()
  }

  private final class Owners: Sendable {
    private let slots: Mutex<SlabArray<SharedSlot<Tracked>>>
    let mistakes = Atomic(0)

    init(_ first: consuming SharedSlot<Tracked>, count: Int) {
      var slots = SlabArray<SharedSlot<Tracked>>(in: .root)
      for _ in 1..<count {
        if !slots.appendIfPossible({ first.share() }) { Issue.record("no memory") }
      }
      var last: SharedSlot<Tracked>? = first
      if !slots.appendIfPossible({ last.take()! }) { Issue.record("no memory") }
      self.slots = Mutex(slots)
    }

    func take(_ thread: Int) -> SharedSlot<Tracked> { slots.withLock { $0.popLast()! } }
  }

  /// The only owner left sees all that the others did, and may change the object.
  @Test func theLastOwnerMayChangeTheObject() throws {
    let cache = try SlabCache<SharedObject<Tracked>>(named: "shared", of: allocator)
    var slot = try cache.allocate(sharing: Tracked(ends, 0), in: group)
    let other = Owners(slot.share(), count: 1)
    let wait = Flag()
    let thread = TestThread {
      let own = other.take(0)
      while !wait.isSet {}
      _ = consume own
    }
    let early = slot.withUniqueValue { (object: inout Tracked) in
      object.number = 1
      return 1
    }
    #expect(early == nil && slot.value.number == 0)
    wait.set()
    thread.join()
    let changed = slot.withUniqueValue { (object: inout Tracked) in
      object.number += 5
      return object.number
    }
    #expect(changed == 5 && slot.value.number == 5)
    struct Failure: Error {}
    #expect(throws: Failure.self) {
      _ = try slot.withUniqueValue { (_: inout Tracked) throws(Failure) -> Int in throw Failure() }
    }
    #expect(ends.value == 0)
    _ = consume slot
    #expect(ends.value == 1)
  }

  // MARK: - Many at a time

  /// More than one turn of the bulk functions, of objects that end.
  @Test func spansOfSlotsAreFreed() throws {
    let cache = try SlabCache<Tracked>(named: "tracked", of: allocator)
    var slots = try SlabArray<Slot<Tracked>>(minimumCapacity: 500, in: .root)
    try slots.append(addingCount: 500) { span throws(SlabError) in
      try cache.allocate(filling: &span, in: group) { Tracked(ends, $0) }
      SlabCache.free(&span)
      #expect(span.isEmpty && span.freeCapacity == 500)
      #expect(ends.value == 500)
      // The span is as good as new, and an empty one is freed as well.
      SlabCache.free(&span)
      span.append(try cache.allocate(Tracked(ends, 7), in: group))
    }
    #expect(slots.count == 1 && slots[0].value.number == 7)
    #expect(throws: SlabError.cacheBusy(objects: 1)) { try cache.destroy() }
    slots.removeAll()
    #expect(ends.value == 501)
    try cache.destroy()
  }

  /// A sequence that says nothing of its length, one that fits, and one that does not.
  @Test func arraysOfSequences() throws {
    var array = SlabArray<Int>(in: group)
    try array.append(copying: [])
    #expect(array.isEmpty && array.capacity == 0)
    try array.append(copying: (0..<100).lazy.filter { $0 % 3 == 0 })
    try array.append(copying: 100..<110)
    #expect(array.count == 44 && array[33] == 99 && array[43] == 109)
    let poor = try allocator.rootGroup.makeChild(named: "poor", max: 4096)
    var short = SlabArray<Int>(in: poor)
    try short.append(copying: 0..<10)
    #expect(throws: SlabError.self) { try short.append(copying: 0..<100_000) }
    #expect(short.count == 10 && short[9] == 9)
    // Without a length: what came before the limit is there.
    #expect(throws: SlabError.self) {
      try short.append(copying: (10..<100_000).lazy.filter { _ in true })
    }
    #expect(short.count > 10 && short.count == short.capacity)
    for index in short.indices { #expect(short[index] == index) }
    #expect(poor.usage <= 4096)
  }
}

/// How caches place their objects, and what none can be made of.
@Suite(.inTurn) struct CacheShapeTests {
  let allocator: SlabAllocator

  init() throws { allocator = try SlabAllocator() }

  @Test(arguments: [Int.min, -1, 0, 32 * 1024 + 1, Int.max])
  func rawSizesOutOfReason(size: Int) throws {
    #expect(throws: SlabError.invalidObjectSize) {
      _ = try RawSlabCache(named: "raw", objectSize: size, of: allocator)
    }
    // The name is free still.
    _ = try RawSlabCache(named: "raw", objectSize: 1, of: allocator)
  }

  @Test(arguments: [Int.min, -8, -1, 0, 3, 24, 8192, Int.max])
  func rawAlignmentsOutOfReason(alignment: Int) throws {
    #expect(throws: SlabError.invalidAlignment) {
      _ = try RawSlabCache(named: "raw", objectSize: 64, alignment: alignment, of: allocator)
    }
    _ = try RawSlabCache(named: "raw", objectSize: 64, of: allocator)
  }

  @Test(arguments: [1, 2, 64, 512, 4096], [1, 100, 4097, 32 * 1024])
  func rawObjectsAreAligned(alignment: Int, size: Int) throws {
    let raw = try RawSlabCache(
      named: "raw", objectSize: size, alignment: alignment, of: allocator)
    for _ in 0..<10 {
      let object = UInt(bitPattern: unsafe try raw.allocate(in: allocator.rootGroup))
      #expect(object % UInt(alignment) == 0)
    }
  }

  /// Each on a line of its own, or as many to a line as fit: none across two.
  @Test func hardwareCacheAlignment() throws {
    let large = try SlabCache<[40 of UInt8]>(
      named: "large", options: .hardwareCacheAligned, of: allocator)
    let small = try SlabCache<[20 of UInt8]>(
      named: "small", options: .hardwareCacheAligned, of: allocator)
    let plain = try SlabCache<[40 of UInt8]>(named: "plain", of: allocator)
    var across = 0
    for _ in 0..<100 {
      let object = UInt(
        bitPattern: unsafe try large.allocate(
          [40 of UInt8](repeating: 1), in: allocator.rootGroup
        ).leak())
      #expect(object % 64 == 0)
      let other = UInt(
        bitPattern: unsafe try small.allocate(
          [20 of UInt8](repeating: 1), in: allocator.rootGroup
        ).leak())
      #expect(other / 64 == (other + 19) / 64)
      let third = UInt(
        bitPattern: unsafe try plain.allocate(
          [40 of UInt8](repeating: 1), in: allocator.rootGroup
        ).leak())
      if third / 64 != (third + 39) / 64 { across += 1 }
    }
    // Without the option they do not mind.
    #expect(across > 0)
  }

  /// Inside a section the memory of a freed object stays the cache's: with the slab given back it would
  /// be another one's.
  @Test func typeSafeMemoryStaysInASection() async throws {
    let cache = try SlabCache<[512 of UInt8]>(
      named: "safe", options: .typeSafe, of: allocator)
    let group = try allocator.rootGroup.makeChild(named: "tenant")
    let section = await OpenSection(of: allocator)
    try fillAndFree(cache, in: group)
    let charged = group.usage
    #expect(charged >= 100 * 512)
    cache.shrink()
    _ = group.reclaim(bytes: 1 << 20)
    // Pages that wait for the section stay charged.
    #expect(group.usage == charged)
    await section.end()
    await allocator.barrier()
    _ = group.reclaim(bytes: 1 << 20)
    await allocator.barrier()
    #expect(group.usage == 0)
    // Without the option they go at once, sections or not.
    let plain = try SlabCache<[512 of UInt8]>(named: "plain", of: allocator)
    let another = await OpenSection(of: allocator)
    try fillAndFree(plain, in: group)
    _ = group.reclaim(bytes: 1 << 20)
    #expect(group.usage == 0)
    await another.end()
  }

  private func fillAndFree(_ cache: SlabCache<[512 of UInt8]>, in group: MemoryGroup) throws {
    var slots = SlabArray<Slot<[512 of UInt8]>>(in: .root)
    for _ in 0..<100 {
      try slots.append(try cache.allocate([512 of UInt8](repeating: 1), in: group))
    }
  }

  // MARK: - What exists once

  @Test func theRootGroupHasNoLimits() {
    let root = allocator.rootGroup
    #expect(throws: SlabError.rootGroup) { try root.setMax(1 << 20) }
    #expect(throws: SlabError.rootGroup) { try root.setHigh(1 << 20) }
    #expect(throws: SlabError.rootGroup) { try root.setLow(1 << 20) }
    #expect(throws: SlabError.rootGroup) { try root.setMax(nil) }
    #expect(root.max == nil && root.high == nil && root.low == 0)
  }

  @Test func theSharedAllocatorIsMadeOnce() async {
    await #expect(processExitsWith: .success) {
      var configuration = SlabAllocator.Configuration()
      configuration.endings = .keep
      try SlabAllocator.configureShared(configuration)
      #expect(throws: SlabError.sharedAllocatorInUse) {
        try SlabAllocator.configureShared(configuration)
      }
      #expect(SlabAllocator.shared.rootGroup == .root)
    }
    await #expect(processExitsWith: .success) {
      _ = MemoryGroup.root
      #expect(throws: SlabError.sharedAllocatorInUse) {
        try SlabAllocator.configureShared(SlabAllocator.Configuration())
      }
    }
  }
}
