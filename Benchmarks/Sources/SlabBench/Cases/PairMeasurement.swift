// SPDX-License-Identifier: Apache-2.0
// The child's side of `pair`: slab and the malloc of this process, turn by turn.
//
// Both do the same: allocate, write one byte, show the pointer to an opaque sink, free.

import CBenchmark
import Glibc
import Slab

enum PairMeasurement {
  static var objectBytes: Int { 64 }
  static var batch: Int { 300 }
  /// Pairs of one sample: a few milliseconds.
  private static var pairs: Int { 1_500_000 }
  private static var warmUpPairs: Int { 30_000 }
  private static var samples: Int { 5 }

  /// A row of the table.
  struct Pattern {
    let key: String
    let title: String
    let isBatched: Bool
    /// The group of each thread.
    let groups: [Int]

    static let all = [
      Pattern(
        key: "once-1", title: "freed at once, 1 thread", isBatched: false, groups: [0]),
      Pattern(key: "batch-1", title: "300 at a time, 1 thread", isBatched: true, groups: [0]),
      Pattern(
        key: "once-2", title: "freed at once, 2 threads", isBatched: false, groups: [0, 1]),
      Pattern(
        key: "batch-2", title: "300 at a time, 2 threads", isBatched: true, groups: [0, 1]),
      Pattern(
        key: "once-2-shared", title: "freed at once, 2 in one group", isBatched: false,
        groups: [0, 0]),
      Pattern(
        key: "batch-2-shared", title: "300 at a time, 2 in one group", isBatched: true,
        groups: [0, 0]),
    ]

    /// Of isolated groups, and then the same of groups that share slabs.
    static let shared = [
      Pattern(key: "isolated-once", title: "freed at once", isBatched: false, groups: [0]),
      Pattern(key: "shared-once", title: "freed at once", isBatched: false, groups: [2]),
      Pattern(key: "isolated-batch", title: "300 at a time", isBatched: true, groups: [0]),
      Pattern(key: "shared-batch", title: "300 at a time", isBatched: true, groups: [2]),
      Pattern(
        key: "isolated-once-2", title: "freed at once, 2 threads", isBatched: false,
        groups: [0, 1]),
      Pattern(
        key: "shared-once-2", title: "freed at once, 2 threads", isBatched: false,
        groups: [2, 3]),
    ]
  }

  static func run(_ patterns: [Pattern] = Pattern.all) throws {
    let allocator = try SlabAllocator()
    let cache = try RawSlabCache(named: "object-64", objectSize: objectBytes, of: allocator)
    let groups = [
      try allocator.makeTenant("tenant-1"), try allocator.makeTenant("tenant-2"),
      try allocator.rootGroup.makeChild(named: "shared-1", memory: .shared),
      try allocator.rootGroup.makeChild(named: "shared-2", memory: .shared),
    ]
    for pattern in patterns where pattern.groups.count <= Processors.allowed.count {
      var slab: [Double] = []
      var peer: [Double] = []
      var ratios: [Double] = []
      // The first sample warms up both.
      for sample in 0...samples {
        let own = time(threads: pattern.groups.count) { thread, count in
          let group = groups[pattern.groups[thread]]
          if pattern.isBatched {
            slabBatches(allocator, cache, group, pairs: count)
          } else {
            slabPairs(allocator, cache, group, pairs: count)
          }
        }
        let other = time(threads: pattern.groups.count) { _, count in
          if pattern.isBatched { mallocBatches(pairs: count) } else { mallocPairs(pairs: count) }
        }
        guard sample > 0 else { continue }
        slab.append(own)
        peer.append(other)
        ratios.append(own / other)
      }
      emit("\(pattern.key)/slab", slab.median)
      emit("\(pattern.key)/peer", peer.median)
      emit("\(pattern.key)/ratio", ratios.median)
    }
  }

  /// Nanoseconds a pair of the slowest thread: all begin together, warm.
  private static func time(
    threads: Int, _ body: @escaping @Sendable (_ thread: Int, _ pairs: Int) -> Void
  ) -> Double {
    let line = StartLine(count: threads)
    let times = Threads.run(
      (0..<threads).map { thread in
        { () -> Int in
          body(thread, warmUpPairs)
          line.wait()
          let start = Time.now
          body(thread, pairs)
          return Time.now - start
        }
      })
    return Double(times.max()!) / Double(pairs)
  }

  // MARK: - The loops

  @inline(never)
  static func slabPairs(
    _ allocator: SlabAllocator, _ cache: RawSlabCache, _ group: MemoryGroup, pairs: Int
  ) {
    for _ in 0..<pairs {
      // SAFETY: the object is ours from here to its free, and has 64 bytes.
      let object = try! unsafe cache.allocate(in: group)
      unsafe object.storeBytes(of: 1, as: UInt8.self)
      unsafe bench_sink(object)
      unsafe allocator.free(object)
    }
  }

  @inline(never)
  static func mallocPairs(pairs: Int) {
    for _ in 0..<pairs {
      // SAFETY: as above.
      let object = unsafe malloc(objectBytes)!
      unsafe object.storeBytes(of: 1, as: UInt8.self)
      unsafe bench_sink(object)
      unsafe free(object)
    }
  }

  @inline(never)
  static func slabBatches(
    _ allocator: SlabAllocator, _ cache: RawSlabCache, _ group: MemoryGroup, pairs: Int
  ) {
    // SAFETY: each element of the buffer is written before it is read, and freed once.
    unsafe withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: batch) {
      objects in
      for _ in 0..<pairs / batch {
        for index in 0..<batch {
          let object = try! unsafe cache.allocate(in: group)
          unsafe object.storeBytes(of: 1, as: UInt8.self)
          unsafe bench_sink(object)
          unsafe objects[index] = object
        }
        for index in 0..<batch { unsafe allocator.free(objects[index]) }
      }
    }
  }

  @inline(never)
  static func mallocBatches(pairs: Int) {
    // SAFETY: as above.
    unsafe withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: batch) {
      objects in
      for _ in 0..<pairs / batch {
        for index in 0..<batch {
          let object = unsafe malloc(objectBytes)!
          unsafe object.storeBytes(of: 1, as: UInt8.self)
          unsafe bench_sink(object)
          unsafe objects[index] = object
        }
        for index in 0..<batch { unsafe free(objects[index]) }
      }
    }
  }
}
