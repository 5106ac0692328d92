// SPDX-License-Identifier: Apache-2.0
// The loops of `beyond`. They are functions of two closures, and inlined for both sides: the same loop, with what a user of
// either writes in it. (A protocol's witnesses would be called: the compiler inlines nothing into a thunk, not even a
// restartable sequence.)

import CBenchmark
import Glibc
import Slab
import Synchronization

typealias ObjectAddress = UnsafeMutableRawPointer

/// Where objects come from. Each loop is a function of its own with one place that allocates, which is inlined there.
protocol ObjectSource: Sendable {
  func runOnce(pairs: Int)
  func runBatches(_ work: BeyondMeasurement.Work, in set: borrowing WorkingSet, pairs: Int)
  func runReplaced(in set: borrowing WorkingSet, pairs: Int)
  /// Allocates so many objects, from one address on.
  func fill(_ objects: UnsafeMutablePointer<ObjectAddress>, count: Int)
  /// Frees them.
  func empty(_ objects: UnsafeMutablePointer<ObjectAddress>, count: Int)
}

extension ObjectSource {
  /// Makes so many pairs.
  func run(_ work: BeyondMeasurement.Work, in set: borrowing WorkingSet, pairs: Int) {
    switch work {
    case .replaced: runReplaced(in: set, pairs: pairs)
    case .ordered, .reversed, .random: runBatches(work, in: set, pairs: pairs)
    case .once, .handed: runOnce(pairs: pairs)
    }
  }
}

struct SlabMemory: ObjectSource {
  let allocator: SlabAllocator
  let cache: RawSlabCache
  let group: MemoryGroup

  /// One of them, written to.
  @inline(__always)
  private func allocate() -> ObjectAddress {
    // SAFETY: the object is the caller's from here to its free, and has a byte.
    let object = try! unsafe cache.allocate(in: group)
    unsafe object.storeBytes(of: 1, as: UInt8.self)
    unsafe bench_sink(object)
    return unsafe object
  }

  @inline(never)
  func runOnce(pairs: Int) {
    // SAFETY: the object is this allocator's, and freed once.
    for _ in 0..<pairs { unsafe allocator.free(allocate()) }
  }

  @inline(never)
  func runBatches(_ work: BeyondMeasurement.Work, in set: borrowing WorkingSet, pairs: Int) {
    // SAFETY: as above.
    unsafe set.runBatches(
      work, pairs: pairs, allocate: { unsafe allocate() }, free: { unsafe allocator.free($0) })
  }

  @inline(never)
  func runReplaced(in set: borrowing WorkingSet, pairs: Int) {
    // SAFETY: as above.
    unsafe set.runReplaced(
      pairs: pairs, allocate: { unsafe allocate() }, free: { unsafe allocator.free($0) })
  }

  @inline(never)
  func fill(_ objects: UnsafeMutablePointer<ObjectAddress>, count: Int) {
    // SAFETY: the caller's, with room for so many.
    for index in 0..<count { unsafe objects[index] = allocate() }
  }

  @inline(never)
  func empty(_ objects: UnsafeMutablePointer<ObjectAddress>, count: Int) {
    // SAFETY: as above, and each object is freed once.
    for index in 0..<count { unsafe allocator.free(objects[index]) }
  }
}

struct MallocMemory: ObjectSource {
  let objectBytes: Int

  @inline(__always)
  private func allocate() -> ObjectAddress {
    // SAFETY: as above.
    let object = unsafe malloc(objectBytes)!
    unsafe object.storeBytes(of: 1, as: UInt8.self)
    unsafe bench_sink(object)
    return unsafe object
  }

  @inline(never)
  func runOnce(pairs: Int) {
    // SAFETY: as above.
    for _ in 0..<pairs { unsafe Glibc.free(allocate()) }
  }

  @inline(never)
  func runBatches(_ work: BeyondMeasurement.Work, in set: borrowing WorkingSet, pairs: Int) {
    // SAFETY: as above.
    unsafe set.runBatches(
      work, pairs: pairs, allocate: { unsafe allocate() }, free: { unsafe Glibc.free($0) })
  }

  @inline(never)
  func runReplaced(in set: borrowing WorkingSet, pairs: Int) {
    // SAFETY: as above.
    unsafe set.runReplaced(
      pairs: pairs, allocate: { unsafe allocate() }, free: { unsafe Glibc.free($0) })
  }

  @inline(never)
  func fill(_ objects: UnsafeMutablePointer<ObjectAddress>, count: Int) {
    // SAFETY: as above.
    for index in 0..<count { unsafe objects[index] = allocate() }
  }

  @inline(never)
  func empty(_ objects: UnsafeMutablePointer<ObjectAddress>, count: Int) {
    // SAFETY: as above.
    for index in 0..<count { unsafe Glibc.free(objects[index]) }
  }
}

/// Objects that a thread has at a time, and an order that has nothing to do with that of their making. Where they come
/// from is a parameter of each loop: kept here it would be retained and released with each object.
@safe
struct WorkingSet: ~Copyable {
  private let objects: UnsafeMutablePointer<ObjectAddress>
  private let order: [Int]

  init() {
    unsafe objects = .allocate(capacity: BeyondMeasurement.workingSet)
    var random = SplitMix(state: 20)
    order = (0..<BeyondMeasurement.workingSet).shuffled(using: &random)
  }

  deinit { unsafe objects.deallocate() }

  @inline(__always)
  func runBatches(
    _ work: BeyondMeasurement.Work, pairs: Int, allocate: () -> ObjectAddress,
    free: (ObjectAddress) -> Void
  ) {
    let count = BeyondMeasurement.workingSet
    for _ in 0..<pairs / count {
      // SAFETY: each index is below the count; each object is written before it is freed, once.
      for index in 0..<count { unsafe objects[index] = allocate() }
      switch work {
      case .ordered: for index in 0..<count { unsafe free(objects[index]) }
      case .reversed: for index in (0..<count).reversed() { unsafe free(objects[index]) }
      default: for index in order { unsafe free(objects[index]) }
      }
    }
  }

  @inline(__always)
  func runReplaced(
    pairs: Int, allocate: () -> ObjectAddress, free: (ObjectAddress) -> Void
  ) {
    let count = BeyondMeasurement.workingSet
    var seed: UInt64 = 0x9E37_79B9_7F4A_7C15
    // The first ones fill the set.
    for pair in 0..<count + pairs {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let index = pair < count ? pair : Int((seed >> 33) % UInt64(count))
      // SAFETY: as above.
      if pair >= count { unsafe free(objects[index]) }
      unsafe objects[index] = allocate()
    }
    for index in 0..<count { unsafe free(objects[index]) }
  }
}

/// A generator with a seed, so that each run frees in the same order.
private struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }
}

/// Four boxes of objects on their way from one thread to another.
///
/// `@unchecked Sendable`: a box is the producer's until `pass`, then the consumer's until `giveBack`.
@safe
final class Belt: @unchecked Sendable {
  let objects: UnsafeMutablePointer<ObjectAddress>
  private let passed = Atomic<Int>(0)
  private let givenBack = Atomic<Int>(0)

  private static var boxes: Int { 4 }

  init() {
    unsafe objects = .allocate(capacity: Self.boxes * BeyondMeasurement.workingSet)
  }

  deinit { unsafe objects.deallocate() }

  /// Where the box of a number begins, once it is empty.
  func emptyBox(_ number: Int) -> Int {
    while number - givenBack.load(ordering: .acquiring) >= Self.boxes { sched_yield() }
    return number % Self.boxes * BeyondMeasurement.workingSet
  }

  func fullBox(_ number: Int) -> Int {
    while passed.load(ordering: .acquiring) <= number { sched_yield() }
    return number % Self.boxes * BeyondMeasurement.workingSet
  }

  func pass() { passed.add(1, ordering: .releasing) }
  func giveBack() { givenBack.add(1, ordering: .releasing) }
}
