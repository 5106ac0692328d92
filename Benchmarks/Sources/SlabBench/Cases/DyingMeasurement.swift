// The child's side of `dying`: pairs of another tenant on the first CPU, while groups are dying on
// the second, where the allocator's worker runs as well.
//
// A pair is shorter than a reading of the clock. So a sample is 32 pairs: 32 allocations in a row
// and, later, the 32 frees of the same objects, with two durations and so two readings in it. 1,024
// objects are allocated before they are freed, more than a sheaf holds, so that the slow paths and
// their locks are in the samples.

import CBenchmark
import Slab

enum DyingMeasurement {
  static var pairs: Int { 32 }
  private static var samplesPerBurst: Int { 32 }
  private static var burst: Int { pairs * samplesPerBurst }
  private static var turns: Int { 3 }
  private static var quietNanoseconds: Int { 200_000_000 }
  private static var mostSamples: Int { 5_000_000 }

  static func run(dying: Int) throws {
    let allocator = try SlabAllocator()
    let cache = try allocator.makeCache(named: "object-64", objectSize: 64)
    Threads.run(onProcessor: 1) { OfflineMeasurement.startWorker(of: allocator) }
    emit("clock", Time.readingCost)
    var quiet = Latencies(capacity: 0)
    var busy = Latencies(capacity: 0)
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
    _ allocator: SlabAllocator, _ cache: SlabCache, beside work: @escaping @Sendable () -> Void
  ) throws -> Latencies {
    let tenant = try allocator.makeGroup(named: "tenant")
    let line = StartLine(count: 2)
    let flag = FinishFlag()
    let results: [Latencies] = Threads.run([
      {
        var latencies = Latencies(capacity: mostSamples)
        runBurst(allocator, cache, tenant) { _ in }
        line.wait()
        while !flag.isOver,
          latencies.count + samplesPerBurst <= mostSamples
        {
          runBurst(allocator, cache, tenant) { latencies.add($0) }
        }
        return latencies
      },
      {
        line.wait()
        work()
        flag.set()
        return Latencies(capacity: 0)
      },
    ])
    try tenant.offline()
    tenant.release()
    allocator.waitUntilDrained()
    return results[0]
  }

  private static func runBurst(
    _ allocator: SlabAllocator, _ cache: SlabCache, _ tenant: MemoryGroup, _ note: (Int) -> Void
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
