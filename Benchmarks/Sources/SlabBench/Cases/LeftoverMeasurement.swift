// SPDX-License-Identifier: Apache-2.0
// The child's side of `leftover`: a million child caches come and go.

import CBenchmark
import Slab

enum LeftoverMeasurement {
  static var waves: Int { 20 }
  static var groupsPerWave: Int { 10_000 }
  static var sizes: [Int] { [32, 64, 192, 512, 1024] }

  static func run() throws {
    let allocator = try SlabAllocator()
    var caches: [RawSlabCache] = []
    for size in sizes {
      caches.append(try RawSlabCache(named: "object-\(size)", objectSize: size, of: allocator))
    }
    var wave = Wave(allocator: allocator, caches: caches, capacity: groupsPerWave)
    // The worker's thread and what the allocator keeps for good are there before the first look.
    try wave.run(groups: 10)
    allocator.trim()
    let before = (statistics: allocator.statistics, resident: Memory.residentBytes)
    let start = Time.now
    for _ in 0..<waves { try wave.run(groups: groupsPerWave) }
    let end = Time.now
    let untrimmed = (
      systemBytes: allocator.statistics.systemBytes, resident: Memory.residentBytes
    )
    allocator.trim()
    let after = (statistics: allocator.statistics, resident: Memory.residentBytes)

    emit("caches", after.statistics.childCachesCreated - before.statistics.childCachesCreated)
    emit(
      "unreleased-caches",
      after.statistics.childCachesLive - before.statistics.childCachesLive)
    emit("unreleased-groups", after.statistics.groupsLive - before.statistics.groupsLive)
    emit("charged", after.statistics.chargedBytes - before.statistics.chargedBytes)
    emit("root-caches", after.statistics.rootCaches - before.statistics.rootCaches)
    emit("system", after.statistics.systemBytes - before.statistics.systemBytes)
    emit("resident", after.resident - before.resident)
    emit("system-before", before.statistics.systemBytes)
    emit("resident-before", before.resident)
    emit("system-peak", after.statistics.systemBytesPeak)
    emit("system-untrimmed", untrimmed.systemBytes - before.statistics.systemBytes)
    emit("resident-untrimmed", untrimmed.resident - before.resident)
    emit("ns", Double(end - start) / Double(waves * groupsPerWave * sizes.count))
  }
}

/// Groups with one object in each cache that are made, and then all ended.
private struct Wave {
  let allocator: SlabAllocator
  let caches: [RawSlabCache]
  private var groups: [MemoryGroup] = []
  private var objects: [UInt]

  init(allocator: SlabAllocator, caches: [RawSlabCache], capacity: Int) {
    self.allocator = allocator
    self.caches = caches
    groups.reserveCapacity(capacity)
    // Touched now: its memory is not the allocator's.
    objects = Array(repeating: 1, count: capacity * caches.count)
  }

  mutating func run(groups count: Int) throws {
    for index in 0..<count {
      let group = try allocator.makeTenant("tenant")
      groups.append(group)
      for (kind, cache) in caches.enumerated() {
        // SAFETY: the object is ours and has at least 32 bytes.
        let object = try unsafe cache.allocate(in: group)
        unsafe object.storeBytes(of: 1, as: UInt8.self)
        unsafe bench_sink(object)
        objects[index * caches.count + kind] = UInt(bitPattern: object)
      }
    }
    for group in groups { try group.close() }
    for index in 0..<count * caches.count {
      // SAFETY: an object from above, freed once.
      unsafe allocator.free(UnsafeMutableRawPointer(bitPattern: objects[index])!)
    }
    groups.removeAll(keepingCapacity: true)
    allocator.waitUntilIdle()
  }
}
