// SPDX-License-Identifier: Apache-2.0
// The child's side of `beyond`, what it costs in memory: 64 groups whose loads have swung by 1,000 objects of each
// size, and what is charged for the little that stays, at once and a second later.

import CBenchmark
import Glibc
import Slab

enum BeyondMemory {
  static var groups: Int { 64 }
  /// Objects of each size that stay: 69 KB in all.
  private static var live: [Int] { [200, 100, 30] }
  /// What is freed in order leaves its slabs whole; at random, what stays is spread over all of them.
  static var works: [BeyondMeasurement.Work] { [.ordered, .random] }
  private static var rounds: Int { 40 }

  static func run() throws {
    Processors.pin(to: 0)
    for work in works { try run(work) }
  }

  private static func run(_ work: BeyondMeasurement.Work) throws {
    let allocator = try SlabAllocator()
    let caches = try BeyondMeasurement.sizes.map {
      try RawSlabCache(named: "object-\($0)", objectSize: $0, of: allocator)
    }
    let tenants = try (0..<groups).map { try allocator.makeTenant("tenant-\($0)") }
    var liveBytes = 0
    for tenant in tenants {
      for (index, cache) in caches.enumerated() {
        let memory = SlabMemory(allocator: allocator, cache: cache, group: tenant)
        memory.run(work, in: WorkingSet(), pairs: rounds * BeyondMeasurement.workingSet)
        // They stay.
        for _ in 0..<live[index] { unsafe bench_sink(try cache.allocate(in: tenant)) }
        liveBytes += live[index] * BeyondMeasurement.sizes[index]
      }
    }
    emit("\(work.rawValue)/live", liveBytes)
    emit("\(work.rawValue)/charged", tenants.reduce(0) { $0 + $1.usage })
    // Nobody calls the allocator meanwhile.
    usleep(1_000_000)
    emit("\(work.rawValue)/later", tenants.reduce(0) { $0 + $1.usage })
  }
}
