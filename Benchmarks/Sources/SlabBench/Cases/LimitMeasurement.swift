// SPDX-License-Identifier: Apache-2.0
// The child's side of `limit`: what a tenant at its limit costs others, and itself.

import CBenchmark
import Slab

enum LimitMeasurement {
  private static var objectBytes: Int { 512 }
  private static var tenantBytes: Int { 320 << 20 }
  /// Groups that another tenant makes and closes, with a pause before each.
  private static var victims: Int { 20_000 }
  private static var pauseNanoseconds: Int { 5_000 }

  static func run(part: Int) throws {
    emit("clock", Time.readingCost)
    switch part {
    case 0: try timeOthers()
    case 1: try timeRefusals()
    default: try timeHigh()
    }
  }

  // MARK: - Others

  /// A tenant of some hundred MiB, every other object of which is free, so that all of its slabs are partial
  /// and none is empty.
  private struct BigTenant {
    let cache: RawSlabCache
    let other: RawSlabCache
    let group: MemoryGroup
    let objects: [UInt]

    init(_ allocator: SlabAllocator) throws {
      cache = try RawSlabCache(named: "large", objectSize: objectBytes, of: allocator)
      other = try RawSlabCache(named: "other", objectSize: 4 * objectBytes, of: allocator)
      group = try allocator.makeTenant("big")
      let count = tenantBytes / objectBytes
      var objects: [UInt] = []
      objects.reserveCapacity(count)
      for _ in 0..<count {
        objects.append(UInt(bitPattern: try unsafe cache.allocate(in: group)))
      }
      for index in stride(from: 0, to: count, by: 2) {
        // SAFETY: an object from above, freed once: the rest is what `objects` keeps.
        unsafe cache.free(UnsafeMutableRawPointer(bitPattern: objects[index])!)
      }
      self.objects = objects.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
      try group.setMax(group.usage)
    }

    /// At its limit over and over: a cache that has a sheaf, and another one that gets no slab.
    func press(until flag: FinishFlag) -> Int {
      var refusals = 0
      while !flag.isOver {
        for _ in 0..<40 {
          guard let object = try? unsafe cache.allocate(in: group) else { continue }
          // SAFETY: allocated a moment ago.
          unsafe cache.free(object)
        }
        do {
          // SAFETY: never used.
          unsafe cache.free(try other.allocate(in: group))
        } catch {
          refusals += 1
        }
      }
      return refusals
    }
  }

  private static func timeOthers() throws {
    let allocator = try SlabAllocator()
    Threads.run(onProcessor: 1) { OfflineMeasurement.startWorker(of: allocator) }
    let tenant = try BigTenant(allocator)
    timeLives(allocator, "quiet") { flag in
      while !flag.isOver { Time.spin(nanoseconds: 1_000) }
      return 0
    }
    timeLives(allocator, "limit") { flag in tenant.press(until: flag) }
  }

  private static func timeLives(
    _ allocator: SlabAllocator, _ key: String, beside press: @escaping @Sendable (FinishFlag) -> Int
  ) {
    let line = StartLine(count: 2)
    let flag = FinishFlag()
    let results: [(Latencies, Int)] = Threads.run([
      {
        var latencies = Latencies(capacity: victims)
        line.wait()
        for _ in 0..<victims {
          Time.spin(nanoseconds: pauseNanoseconds)
          let start = Time.now
          guard let group = try? allocator.makeTenant("victim"), (try? group.close()) != nil else {
            fatalError("slab-bench: no group")
          }
          latencies.add(Time.now - start)
        }
        flag.set()
        return (latencies, 0)
      },
      {
        line.wait()
        return (Latencies(capacity: 0), press(flag))
      },
    ])
    results[0].0.report(as: key)
    emit("\(key)/refusals", results[1].1)
  }

  // MARK: - The tenant itself

  /// A group, and children each of which has an object.
  private struct Family {
    let parent: MemoryGroup
    let children: [MemoryGroup]
    let cache: RawSlabCache

    init(_ count: Int, _ allocator: SlabAllocator) throws {
      let parent = try allocator.makeTenant("parent")
      let cache = try RawSlabCache(
        named: "object-\(count)", objectSize: 64, of: allocator)
      self.parent = parent
      self.cache = cache
      children = try (0..<count).map { index in
        let child = try parent.makeChild(named: "child-\(index)")
        // SAFETY: nobody reads it.
        unsafe bench_sink(try cache.allocate(in: child))
        return child
      }
    }
  }

  /// Nanoseconds of a refusal beside 10 and beside 20,000 siblings that have nothing to give.
  private static func timeRefusals() throws {
    let allocator = try SlabAllocator()
    Processors.pin(to: 0)
    for count in [10, 20_000] {
      let family = try Family(count, allocator)
      let large = try RawSlabCache(named: "large-\(count)", objectSize: 2048, of: allocator)
      try family.parent.setMax(family.parent.usage)
      var latencies = Latencies(capacity: 1000)
      // The first ones take what there is.
      for round in 0..<1100 {
        let start = Time.now
        if let object = try? unsafe large.allocate(in: family.children[0]) {
          unsafe bench_sink(object)
        } else if round >= 100 {
          latencies.add(Time.now - start)
        }
      }
      latencies.report(as: "refusal-\(count)")
    }
  }

  /// Nanoseconds of an object in a group, by its parent's `high` and siblings.
  private static func timeHigh() throws {
    let allocator = try SlabAllocator()
    Processors.pin(to: 0)
    for (key, count, hasHigh) in [
      ("high-none", 10_000, false), ("high-few", 10, true), ("high", 10_000, true),
    ] {
      let family = try Family(count, allocator)
      if hasHigh { try family.parent.setHigh(family.parent.usage / 2) }
      let objects = 100_000
      let start = Time.now
      for _ in 0..<objects {
        // SAFETY: nobody reads it.
        unsafe bench_sink(try family.cache.allocate(in: family.children[0]))
      }
      emit(key, Double(Time.now - start) / Double(objects))
      // SAFETY: nobody has an object of it in use.
      try unsafe family.parent.discard()
      allocator.waitUntilIdle()
    }
  }
}
