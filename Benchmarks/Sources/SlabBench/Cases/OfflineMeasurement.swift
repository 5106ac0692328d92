// SPDX-License-Identifier: Apache-2.0
// The child's side of `offline`: latencies on the first CPU while groups are dying on the second,
// where the allocator's worker runs as well.

import CBenchmark
import Slab

enum OfflineMeasurement {
  /// Groups whose offline is timed, with a pause before each.
  private static var victims: Int { 100_000 }
  private static var pauseNanoseconds: Int { 2_000 }
  private static var burst: Int { 2_000 }
  private static var mostAllocations: Int { 20_000_000 }

  static func run(dying: Int) throws {
    let allocator = try SlabAllocator()
    var caches: [RawSlabCache] = []
    for size in TenantShape.sizes {
      caches.append(try RawSlabCache(named: "object-\(size)", objectSize: size, of: allocator))
    }
    Threads.run(onProcessor: 1) { startWorker(of: allocator) }
    emit("clock", Time.readingCost)

    // Offline: with nothing else going on, then with groups dying.
    try timeOffline(victims: 2_000, dying: 0, allocator, caches, "offline-quiet")
    try timeOffline(victims: victims, dying: dying, allocator, caches, "offline")
    try timeAllocation(dying: 0, allocator, caches, "allocate-quiet")
    try timeAllocation(dying: dying, allocator, caches, "allocate")
  }

  static func startWorker(of allocator: SlabAllocator) {
    guard (try? allocator.makeTenant("first").close()) != nil else {
      fatalError("slab-bench: no group")
    }
    allocator.waitUntilIdle()
  }

  private static func timeOffline(
    victims: Int, dying: Int, _ allocator: SlabAllocator, _ caches: [RawSlabCache], _ key: String
  ) throws {
    let others = try Population(count: dying, allocator, caches.prefix(1))
    let own = try Population(count: victims, allocator, caches[...])
    let line = StartLine(count: 2)
    let flag = FinishFlag()
    let results: [Latencies] = Threads.run([
      {
        var latencies = Latencies(capacity: victims)
        line.wait()
        for group in own.groups {
          Time.spin(nanoseconds: pauseNanoseconds)
          let start = Time.now
          offline(group)
          let end = Time.now
          if dying > 0, flag.isOver { break }
          latencies.add(end - start)
        }
        return latencies
      },
      {
        line.wait()
        others.die()
        flag.set()
        return Latencies(capacity: 0)
      },
    ])
    results[0].report(as: key)
    for group in own.groups { try? group.close() }
    own.freeAndRelease()
    allocator.waitUntilIdle()
  }

  private static func timeAllocation(
    dying: Int, _ allocator: SlabAllocator, _ caches: [RawSlabCache], _ key: String
  ) throws {
    let others = try Population(count: dying, allocator, caches.prefix(1))
    let tenant = try allocator.makeTenant("tenant")
    let cache = caches[0]
    let line = StartLine(count: 2)
    let flag = FinishFlag()
    let results: [Latencies] = Threads.run([
      {
        var latencies = Latencies(capacity: mostAllocations)
        allocateBurst(allocator, cache, tenant) { _ in }
        line.wait()
        repeat {
          allocateBurst(allocator, cache, tenant) { latencies.add($0) }
        } while !flag.isOver
          && latencies.count + burst <= mostAllocations
        return latencies
      },
      {
        line.wait()
        if dying > 0 { others.die() } else { Time.spin(nanoseconds: 200_000_000) }
        flag.set()
        return Latencies(capacity: 0)
      },
    ])
    results[0].report(as: key)
    try tenant.close()
    allocator.waitUntilIdle()
  }

  /// Allocates more than a sheaf holds, so that the slow path is among it, each with a clock.
  private static func allocateBurst(
    _ allocator: SlabAllocator, _ cache: RawSlabCache, _ tenant: MemoryGroup,
    _ note: (Int) -> Void
  ) {
    // SAFETY: each element is written before it is read; each object is freed once.
    unsafe withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: burst) {
      objects in
      for index in 0..<burst {
        let start = Time.now
        let object = try! unsafe cache.allocate(in: tenant)
        unsafe bench_sink(object)
        note(Time.now - start)
        unsafe objects[index] = object
      }
      for index in 0..<burst { unsafe allocator.free(objects[index]) }
    }
  }

  private static func offline(_ group: MemoryGroup) {
    do { try group.close() } catch { fatalError("slab-bench: \(error)") }
  }
}
