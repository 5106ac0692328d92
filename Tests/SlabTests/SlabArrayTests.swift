// SPDX-License-Identifier: Apache-2.0
// Variable-size storage: arrays against the standard library's, buffers, and the size classes that
// they come from.

import Slab
import SlabTestSupport
import Synchronization
import Testing

@Suite(.inTurn) struct SlabArrayTests {
  let allocator: SlabAllocator
  let group: MemoryGroup
  let ends = Tracked.Ends()

  init() throws {
    // What a group is charged is looked at right after a reclaim, which waits for the clock's worker, but not for long.
    var configuration = SlabAllocator.Configuration()
    configuration.idleRoundMilliseconds = 0
    allocator = try SlabAllocator(configuration: configuration)
    group = try allocator.rootGroup.makeChild(named: "tenant")
  }

  /// What an array has after a number of steps, beside a model.
  @Test(arguments: [1, 2, 3]) func behavesAsAnArray(seed: UInt64) throws {
    var random = SplitMix(state: seed)
    var array = SlabArray<Int>(in: group)
    var model: [Int] = []
    for step in 0..<2000 {
      let index = model.isEmpty ? 0 : Int(random.next() % UInt64(model.count))
      switch random.next() % 8 {
      case 0...2:
        try array.append(step)
        model.append(step)
      case 3:
        try array.insert(step, at: index)
        model.insert(step, at: index)
      case 4 where !model.isEmpty:
        #expect(array.remove(at: index) == model.remove(at: index))
      case 5:
        #expect(array.popLast() == model.popLast())
      case 6 where !model.isEmpty:
        array.swapAt(0, index)
        model.swapAt(0, index)
        array[index] += 1
        model[index] += 1
      case 7 where step % 97 == 0:
        array.removeAll(keepingCapacity: step % 2 == 0)
        model.removeAll()
      default: break
      }
      #expect(array.count == model.count)
      #expect(array.capacity >= array.count)
    }
    let elements = array.span
    #expect(elements.indices.map { elements[$0] } == model)
  }

  @Test func elementsEndOnce() throws {
    do {
      var array = SlabArray<Tracked>(in: group)
      for number in 0..<100 { try array.append(Tracked(ends, number)) }
      #expect(ends.value == 0)
      _ = array.popLast()
      array.remove(at: 0)
      #expect(ends.value == 2)
      #expect(array[0].number == 1)
    }
    #expect(ends.value == 100)
    try group.close()
    allocator.waitUntilIdle()
    #expect(group.usage == 0)
  }

  @Test func theLimitLeavesItAsItWas() throws {
    let poor = try allocator.rootGroup.makeChild(named: "poor", max: 16 << 10)
    var array = SlabArray<Tracked>(in: poor)
    while array.count <= 10_000 {
      let number = array.count
      if !array.appendIfPossible({ Tracked(ends, number) }) { break }
    }
    let count = array.count
    #expect(count > 100)
    #expect(count == array.capacity)
    #expect(ends.value == 0)
    #expect(throws: SlabError.self) { try array.append(Tracked(ends)) }
    #expect(ends.value == 1)
    #expect(array.count == count)
    for index in array.indices { #expect(array[index].number == index) }
    #expect(poor.usage <= 16 << 10)
  }

  /// Room that is not needed yet costs nobody anything: the doubling is refused without an event, and no
  /// shrinker is asked; the room that is needed is worth a reclaim.
  @Test func doublingReclaimsNothing() throws {
    let group = try allocator.rootGroup.makeChild(named: "short", max: 96 << 10)
    let oracle = Oracle()
    let registration = try group.register(oracle)
    var array = SlabArray<UInt8>(in: group)
    try array.reserveCapacity(32 << 10)
    while array.freeCapacity > 0 { try array.append(1) }
    // 32 KiB and twice that are as much as there is; another 32 KiB are not.
    let before = group.events
    #expect(before.max == 0)
    try array.append(1)
    #expect(array.capacity == 64 << 10 && group.events == before && !oracle.wasAsked)
    while array.freeCapacity > 0 { try array.append(1) }
    #expect(throws: SlabError.self) { try array.append(1) }
    #expect(group.events.oom == 1 && group.events.max == 1)
    #expect(oracle.wasAsked)
    withExtendedLifetime(registration) {}
  }

  /// Has nothing to give, and says whether it was asked.
  private final class Oracle: Shrinker {
    private let asked = Atomic(false)
    var wasAsked: Bool { asked.load(ordering: .relaxed) }

    func countObjects() -> Int {
      asked.store(true, ordering: .relaxed)
      return 0
    }

    func scanObjects(_ count: Int) -> Int? { nil }
  }

  @Test func slotsInBulk() throws {
    let cache = try SlabCache<Tracked>(named: "tracked", of: allocator)
    var slots = SlabArray<Slot<Tracked>>(in: .root)
    try slots.reserveCapacity(1000)
    try slots.append(addingCount: 1000) { span throws(SlabError) in
      try cache.allocate(filling: &span, in: group) { Tracked(ends, $0) }
    }
    #expect(slots.count == 1000)
    #expect(slots[999].value.number == 999)
    #expect(throws: SlabError.cacheBusy(objects: 1000)) { try cache.destroy() }
    slots.removeAll()
    #expect(ends.value == 1000)
    try slots.reserveCapacity(1000)
    let poor = try allocator.rootGroup.makeChild(named: "poor", max: 8192)
    #expect(throws: SlabError.self) {
      try slots.append(addingCount: 1000) { span throws(SlabError) in
        try cache.allocate(filling: &span, in: poor) { Tracked(ends, $0) }
      }
    }
    #expect(slots.count == 0)
    try cache.destroy()
  }

  /// A current group is charged, and one of another allocator is not.
  @Test func slotsInBulkInTheGroupInEffect() throws {
    let cache = try SlabCache<Tracked>(named: "tracked", of: allocator)
    var slots = try SlabArray<Slot<Tracked>>(minimumCapacity: 200, in: .root)
    let foreign = try MemoryGroup.root.makeChild(named: "foreign-\(allocator.rootGroup.hashValue)")
    for (scope, isCharged) in [(group, true), (foreign, false)] {
      try MemoryGroup.withCurrent(scope) {
        try slots.append(addingCount: 100) { span throws(SlabError) in
          try cache.allocate(filling: &span) { Tracked(ends, $0) }
        }
      }
      #expect((group.usage > 0) == isCharged && foreign.usage == 0)
      slots.removeAll(keepingCapacity: true)
      #expect(ends.value == 100)
      ends.count.store(0, ordering: .relaxed)
      _ = group.reclaim(bytes: 1 << 20)
      #expect(group.usage == 0)
    }
  }

  /// Copies of a span's elements: all of them behind those that are there, or none.
  @Test func copiesOfSpans() throws {
    let source = Array(0..<100)
    var array = SlabArray<Int>(in: group)
    try array.append(copying: source.span.extracting(0..<0))
    #expect(array.isEmpty && array.capacity == 0 && group.usage == 0)
    try array.append(copying: source.span.extracting(0..<10))
    try array.append(copying: source.span.extracting(10..<100))
    #expect(array.count == 100 && array.indices.allSatisfy { array[$0] == $0 })
    let poor = try allocator.rootGroup.makeChild(named: "poor", max: 4096)
    var short = SlabArray<Int>(in: poor)
    try short.append(copying: source.span)
    let large = [Int](repeating: 7, count: 4096)
    #expect(throws: SlabError.self) { try short.append(copying: large.span) }
    #expect(short.count == 100 && short.indices.allSatisfy { short[$0] == $0 })
    // Elements with references are kept alive, each as often as it is copied.
    var objects = SlabArray<Tracked.Ends>(in: group)
    weak var last: Tracked.Ends?
    do {
      let kept = [Tracked.Ends(), Tracked.Ends()]
      last = kept[1]
      try objects.append(copying: kept.span)
      try objects.append(copying: kept.span)
    }
    #expect(last != nil && objects[1] === objects[3])
    objects.removeAll()
    #expect(last == nil)
  }

  /// Sums that do not fit a number are too large like others.
  @Test func capacitiesOutOfReason() throws {
    var array = SlabArray<Int>(in: group)
    try array.append(1)
    #expect(throws: SlabError.allocationTooLarge(bytes: .max)) { try array.reserveCapacity(.max) }
    #expect(throws: SlabError.allocationTooLarge(bytes: .max)) {
      try array.append(copying: repeatElement(1, count: .max))
    }
    try array.reserveCapacity(-7)
    #expect(array.count == 1 && array[0] == 1)
    try array.append(copying: 2...5)
    #expect((0..<5).allSatisfy { array[$0] == $0 + 1 })
    array.append(addingCount: 0) { span in #expect(span.capacity == 0) }
    #expect(throws: SlabError.invalidCapacity) { _ = try SlabBuffer(zeroed: -1, in: group) }
    #expect(throws: SlabError.invalidCapacity) { _ = try SlabBuffer(capacity: .min, in: group) }
  }

  @Test func bytes() throws {
    var buffer = try SlabBuffer(zeroed: 1016, in: group)
    #expect(buffer.capacity == 1024)
    #expect(buffer.byteCount == 1016)
    #expect(buffer.bytes.byteCount == 1016)
    #expect(unsafe buffer.bytes.unsafeLoad(fromByteOffset: 8, as: UInt64.self) == 0)
    var bytes = buffer.mutableBytes
    bytes.storeBytes(of: 7, toByteOffset: 8, as: UInt64.self)
    #expect(unsafe buffer.bytes.unsafeLoad(fromByteOffset: 8, as: UInt64.self) == 7)
    var text = try SlabBuffer(capacity: 100, in: group)
    #expect(text.byteCount == 0 && text.capacity == 112)
    text.append { span in for byte in "ten".utf8 { span.append(byte) } }
    #expect(throws: CancellationError.self) {
      try text.append { span in
        for byte in "ant".utf8 { span.append(byte) }
        throw CancellationError()
      }
    }
    #expect(text.byteCount == 6)
    text.append { span in #expect(span.freeCapacity == 106) }
    let string = unsafe text.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    #expect(string == "tenant")
    #expect(group.usage == 4096)
  }

  @Test(arguments: [32, 64, 4096]) func alignment(alignment: Int) throws {
    for bytes in [1, 100, 1000, 5000, 40_000] {
      let buffer = try SlabBuffer(zeroed: bytes, alignment: alignment, in: group)
      let address = unsafe buffer.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
      #expect(address % UInt(alignment) == 0)
    }
    #expect(throws: SlabError.invalidAlignment) {
      _ = try SlabBuffer(zeroed: 1, alignment: 3, in: group)
    }
    #expect(throws: SlabError.invalidAlignment) {
      _ = try SlabBuffer(zeroed: 1, alignment: 2 << 30, in: group)
    }
  }

  @Test func largeBlocksAreChargedAndGoBackAtOnce() throws {
    let before = group.usage
    do {
      let buffer = try SlabBuffer(zeroed: 3_000_000, in: group)
      // Whole pages, and no more.
      #expect(buffer.capacity == 733 * 4096)
      #expect(group.usage == before + 733 * 4096)
    }
    #expect(group.usage == before)
    let most = MemoryGroup.largestAllocation
    #expect(throws: SlabError.allocationTooLarge(bytes: most + 1)) {
      _ = try SlabBuffer(zeroed: most + 1, in: group)
    }
    #expect(throws: SlabError.allocationTooLarge(bytes: .max)) {
      _ = try SlabArray<Int>(minimumCapacity: .max, in: group)
    }
    #expect(throws: SlabError.invalidCapacity) { _ = try SlabBuffer(zeroed: -1, in: group) }
    #expect(try SlabBuffer(zeroed: 0, in: group).byteCount == 0)
  }

  /// Beyond the size classes: 100 MB of zeros, aligned to 2 MiB, and an array that grows to 5 MB.
  @Test func blocksOfManyPages() throws {
    let before = group.usage
    do {
      let buffer = try SlabBuffer(zeroed: 100_000_000, alignment: 2 << 20, in: group)
      #expect(group.usage == before + buffer.capacity)
      #expect(buffer.capacity == 24_415 * 4096)
      let address = unsafe buffer.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
      #expect(address % (2 << 20) == 0)
      for offset in stride(from: 0, to: 100_000_000, by: 99_991) {
        #expect(unsafe buffer.bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self) == 0)
      }
      var array = SlabArray<Int>(in: group)
      for number in 0..<600_000 { try array.append(number) }
      #expect(array[0] == 0 && array[599_999] == 599_999)
    }
    // What the smaller blocks of the array have left.
    group.reclaim(bytes: .max)
    #expect(group.usage <= before)
  }

  /// What a busy group keeps of large blocks is charged, goes back on request, and holds no end up.
  @Test func largeBlocksThatAreKept() async throws {
    let tenant = try group.makeChild(named: "large")
    for isLast in [false, true] {
      for _ in 0..<20 { _ = try SlabBuffer(capacity: 1 << 20, in: tenant) }
      #expect(tenant.usage >= 1 << 20)
      if !isLast { tenant.reclaim(bytes: .max) }
      #expect(isLast || tenant.usage == 0)
    }
    try tenant.close()
    try await tenant.waitUntilDrained()
    #expect(tenant.usage == 0)
  }
}

/// A generator whose numbers follow from its seed.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}
