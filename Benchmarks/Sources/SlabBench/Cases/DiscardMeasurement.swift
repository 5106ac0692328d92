// SPDX-License-Identifier: Apache-2.0
// The child's side of the second part of `api`: the end of a tenant with all its objects, by the user's
// thread on the first CPU, and what the allocator's worker has to do for it on the second.

import Slab

enum DiscardMeasurement {
  static var objectCount: Int { 100_000 }
  private static var samples: Int { 5 }

  /// A tenant and what it has.
  fileprivate struct Tenant {
    let cache: RawSlabCache
    let group: MemoryGroup
    let objects: [UInt]
  }

  /// How a tenant can end with all that it has: the first is what the others are compared with.
  private static let ways: [(name: String, end: @Sendable (Tenant) throws -> Void)] = [
    ("one by one", { try $0.freeAndClose() }),
    // SAFETY: nobody looks at the objects of a tenant after its end.
    ("discard", { try unsafe $0.group.discard() }),
  ]

  static var names: [String] { ways.map(\.name) }

  static func run() throws {
    let allocator = SlabAllocator.shared
    let cache = try RawSlabCache(named: "object-64", objectSize: 64)
    let worker = min(1, Processors.allowed.count - 1)
    Threads.run(onProcessor: worker) { OfflineMeasurement.startWorker(of: allocator) }
    Processors.pin(to: 0)
    for way in ways {
      var calls: [Double] = []
      var workers: [Double] = []
      // The first time pays for the memory.
      for sample in 0...samples {
        var tenant: Tenant? = try Tenant(cache, count: objectCount)
        let before = allocator.statistics.workerTime
        let start = Time.now
        try way.end(tenant!)
        let end = Time.now
        // Its handle, without which the group can be released.
        tenant = nil
        allocator.waitUntilIdle()
        guard sample > 0 else { continue }
        calls.append(Double(end - start))
        workers.append((allocator.statistics.workerTime - before) / .nanoseconds(1))
      }
      emit("\(way.name)/call", calls.median)
      emit("\(way.name)/worker", workers.median)
    }
  }
}

extension DiscardMeasurement.Tenant {
  init(_ cache: RawSlabCache, count: Int) throws {
    self.cache = cache
    group = try SlabAllocator.shared.makeTenant("tenant")
    var objects: [UInt] = []
    objects.reserveCapacity(count)
    for _ in 0..<count {
      // SAFETY: the object is ours and has 64 bytes.
      let object = try unsafe cache.allocate(in: group)
      unsafe object.storeBytes(of: 1, as: UInt8.self)
      objects.append(UInt(bitPattern: object))
    }
    self.objects = objects
  }

  func freeAndClose() throws {
    for object in objects {
      // SAFETY: an object of `init`, freed once.
      unsafe cache.free(UnsafeMutableRawPointer(bitPattern: object)!)
    }
    try group.close()
  }
}
