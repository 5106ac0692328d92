// SPDX-License-Identifier: Apache-2.0
// The child's side of `scaling`: what the destruction of K child caches costs.

import CBenchmark
import Slab

enum ScalingMeasurement {
  /// Root caches, groups and child caches of the kernel's recording, which `slab replay` lives.
  private static var rootCount: Int { 35 }
  static var recordedGroups: Int { 300 }
  static var recordedChildren: Int { 5_584 }
  private static var sizes: [Int] { [32, 64, 96, 128, 192, 256, 512, 1024] }

  static func run(childCaches: Int) throws {
    Processors.pin(to: 0)
    let allocator = try SlabAllocator()
    var caches: [RawSlabCache] = []
    for index in 0..<rootCount {
      let size = sizes[index % sizes.count]
      caches.append(try RawSlabCache(named: "cache-\(index)", objectSize: size, of: allocator))
    }
    var crowd = Crowd(allocator: allocator, caches: caches)
    Threads.run(onProcessor: min(1, Processors.allowed.count - 1)) { [crowd] in
      var crowd = crowd
      do {
        try crowd.create(groups: 1)
        try crowd.destroy()
      } catch { fatalError("slab-bench: \(error)") }
    }
    // The first time pays for the memory.
    let repetitions = min(20, max(1, 558_400 / childCaches))
    var creations: [Double] = []
    var destructions: [Double] = []
    for repetition in 0...repetitions {
      let groups = childCaches * recordedGroups / recordedChildren
      let start = Time.now
      let created = try crowd.create(groups: groups)
      let middle = Time.now
      try crowd.destroy()
      let end = Time.now
      guard created == childCaches else { fatalError("slab-bench: \(created) child caches") }
      guard repetition > 0 else { continue }
      creations.append(Double(middle - start) / Double(childCaches))
      destructions.append(Double(end - middle) / Double(childCaches))
    }
    emit("create", creations.median)
    emit("destroy", destructions.median)
    emit("peak", allocator.statistics.systemBytesPeak)
  }
}

/// Groups that use 18 or 19 caches each, 18.6 on average, with an object in each.
private struct Crowd {
  let allocator: SlabAllocator
  let caches: [RawSlabCache]
  private var groups: [MemoryGroup] = []
  private var objects: [UInt] = []

  init(allocator: SlabAllocator, caches: [RawSlabCache]) {
    self.allocator = allocator
    self.caches = caches
  }

  /// Returns the number of child caches.
  @discardableResult
  mutating func create(groups count: Int) throws -> Int {
    for index in 0..<count {
      let group = try allocator.makeTenant("job")
      groups.append(group)
      // 184 of 300 groups have one cache more: 300 * 18 + 184 = 5,584.
      let used = 18 + (index * 184 % 300 < 184 ? 1 : 0)
      for kind in 0..<used {
        // SAFETY: the object is ours and has at least 32 bytes.
        let object = try unsafe caches[(index * 7 + kind) % caches.count].allocate(in: group)
        unsafe object.storeBytes(of: 1, as: UInt8.self)
        unsafe bench_sink(object)
        objects.append(UInt(bitPattern: object))
      }
    }
    return objects.count
  }

  /// Everything offline, freed and released, and until the worker is done.
  mutating func destroy() throws {
    for group in groups { try group.close() }
    for object in objects {
      // SAFETY: an object of `create`, freed once.
      unsafe allocator.free(UnsafeMutableRawPointer(bitPattern: object)!)
    }
    groups.removeAll(keepingCapacity: true)
    allocator.waitUntilIdle()
    objects.removeAll(keepingCapacity: true)
  }
}
