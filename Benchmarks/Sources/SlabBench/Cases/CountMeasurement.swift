// SPDX-License-Identifier: Apache-2.0
// The child's side of `count`: loops of pairs that callgrind can tell by their functions' names.

import Slab

enum CountMeasurement {
  static func run(pairs: Int) throws {
    let allocator = try SlabAllocator()
    let cache = try RawSlabCache(
      named: "object-64", objectSize: PairMeasurement.objectBytes, of: allocator)
    let group = try allocator.makeTenant("tenant")
    PairMeasurement.slabBatches(allocator, cache, group, pairs: pairs)
    PairMeasurement.slabPairs(allocator, cache, group, pairs: pairs)
    PairMeasurement.mallocBatches(pairs: pairs)
    PairMeasurement.mallocPairs(pairs: pairs)
    print("mode=\(allocator.statistics.perCPUMode.rawValue)")
  }
}
