// The child's side of `count`: loops of pairs that callgrind can tell by their functions' names.

import Slab

enum CountMeasurement {
  static func run(pairs: Int) throws {
    let allocator = try SlabAllocator()
    let cache = try allocator.makeCache(
      named: "object-64", objectSize: PairMeasurement.objectBytes)
    let group = try allocator.makeGroup(named: "tenant")
    PairMeasurement.slabBatches(allocator, cache, group, pairs: pairs)
    PairMeasurement.slabPairs(allocator, cache, group, pairs: pairs)
    PairMeasurement.mallocBatches(pairs: pairs)
    PairMeasurement.mallocPairs(pairs: pairs)
    print("mode=\(allocator.statistics.perCPUMode)")
  }
}
