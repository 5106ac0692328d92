// SPDX-License-Identifier: Apache-2.0
// The child's side of `dying`: allocations of another tenant on the first CPU, while groups are dying
// on the second, where the allocator's worker runs as well.
//
// In turn, 1,024 allocations are timed one by one, and 1,024 in samples of 32 pairs: 32 allocations in a
// row and, later, the 32 frees of the same objects. 1,024 objects are more than a sheaf holds, so that
// the slow paths, new slabs and their locks are in the samples; one in 32 pairs has most of them in it.

import CBenchmark
import Slab

enum DyingMeasurement {
  static var pairs: Int { 32 }
  private static var samplesPerBurst: Int { 32 }
  private static var burst: Int { pairs * samplesPerBurst }
  private static var turns: Int { 3 }
  private static var quietNanoseconds: Int { 200_000_000 }
  private static var mostSamples: Int { 10_000_000 }

  private struct Result {
    var single: Latencies
    var pairs: Latencies

    init(capacity: Int) {
      single = Latencies(capacity: capacity)
      pairs = Latencies(capacity: capacity / DyingMeasurement.pairs)
    }

    mutating func add(_ others: Result) {
      single.add(others.single)
      pairs.add(others.pairs)
    }

    func report(as key: String) {
      single.report(as: key + "-single")
      pairs.report(as: key)
    }
  }

  static func run(dying: Int) throws {
    let allocator = try SlabAllocator()
    let cache = try RawSlabCache(named: "object-64", objectSize: 64, of: allocator)
    Threads.run(onProcessor: 1) { OfflineMeasurement.startWorker(of: allocator) }
    emit("clock", Time.readingCost)
    var quiet = Result(capacity: 0)
    var busy = Result(capacity: 0)
    for _ in 0..<turns {
      quiet.add(try time(allocator, cache) { Time.spin(nanoseconds: quietNanoseconds) })
      let groups = try Population(count: dying, allocator, [cache])
      busy.add(try time(allocator, cache) { groups.die() })
    }
    quiet.report(as: "quiet")
    busy.report(as: "dying")
  }

  /// Takes samples until the other CPU's work is over.
  private static func time(
    _ allocator: SlabAllocator, _ cache: RawSlabCache, beside work: @escaping @Sendable () -> Void
  ) throws -> Result {
    let tenant = try allocator.makeTenant("tenant")
    let line = StartLine(count: 2)
    let flag = FinishFlag()
    let results: [Result] = Threads.run([
      {
        var result = Result(capacity: mostSamples)
        runPairs(allocator, cache, tenant) { _ in }
        line.wait()
        while !flag.isOver, result.single.count + burst <= mostSamples {
          runSingly(allocator, cache, tenant) { result.single.add($0) }
          runPairs(allocator, cache, tenant) { result.pairs.add($0) }
        }
        return result
      },
      {
        line.wait()
        work()
        flag.set()
        return Result(capacity: 0)
      },
    ])
    try tenant.close()
    allocator.waitUntilIdle()
    return results[0]
  }

  private static func runSingly(
    _ allocator: SlabAllocator, _ cache: RawSlabCache, _ tenant: MemoryGroup, _ note: (Int) -> Void
  ) {
    // SAFETY: each element is written before it is read; each object is freed once.
    unsafe withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: burst) {
      objects in
      for index in 0..<burst {
        let start = Time.now
        let object = try! unsafe cache.allocate(in: tenant)
        note(Time.now - start)
        unsafe bench_sink(object)
        unsafe objects[index] = object
      }
      for index in 0..<burst { unsafe allocator.free(objects[index]) }
    }
  }

  private static func runPairs(
    _ allocator: SlabAllocator, _ cache: RawSlabCache, _ tenant: MemoryGroup, _ note: (Int) -> Void
  ) {
    var durations = InlineArray<32, Int>(repeating: 0)
    // SAFETY: each element is written before it is read; each object is freed once.
    unsafe withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: burst) {
      objects in
      for sample in 0..<samplesPerBurst {
        let start = Time.now
        for index in sample * pairs..<(sample + 1) * pairs {
          let object = try! unsafe cache.allocate(in: tenant)
          unsafe bench_sink(object)
          unsafe objects[index] = object
        }
        durations[sample] = Time.now - start
      }
      for sample in 0..<samplesPerBurst {
        let start = Time.now
        for index in sample * pairs..<(sample + 1) * pairs {
          unsafe allocator.free(objects[index])
        }
        note(durations[sample] + Time.now - start)
      }
    }
  }
}
