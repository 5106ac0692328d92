// SPDX-License-Identifier: Apache-2.0
// Objects that one CPU allocates and another one frees. A producer that never frees and a consumer that never allocates
// come to a steady state: no memory is lost between them, and the lock is taken for sheaves and not for objects. One
// thread plays all parts, on the CPU of each, so that the counts are the same in every run.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn, .enabled(if: allowedCPUs().count > 1)) struct HandedOverTests {
  private static var cpus: (producer: Int, consumer: Int) {
    let cpus = allowedCPUs()
    return (cpus[0], cpus[1])
  }

  /// From the 60th round on nothing grows any more, and no object takes the lock by itself.
  @Test(arguments: [64, 256, 1024]) func comesToASteadyState(_ size: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: size)
      let group = try allocator.makeGroup("group")
      let objectsOfFullSheaf = min(FullSheaf.mostObjects, root.sheafLimit / 2)
      let live = 1000 * size
      var mostCharged = 0
      for round in 0..<120 {
        #if DEBUG
          let locks = HeldLocks.taken(.cache)
        #endif
        let objects = try onOneCPU(Self.cpus.producer) {
          try (0..<1000).map { _ in try allocator.allocate(from: root, in: group) }
        }
        let charged = group.currentBytes
        onOneCPU(Self.cpus.consumer) { allocator.freeAll(objects) }
        guard round >= 60 else {
          mostCharged = max(mostCharged, charged)
          continue
        }
        #if DEBUG
          #expect(HeldLocks.taken(.cache) - locks <= 2 * (1000 / objectsOfFullSheaf) + 4)
        #endif
        #expect(charged <= mostCharged)
        #expect(group.currentBytes <= mostCharged)
      }
      // Beside what is live: a sheaf on each CPU, what the barn holds, and empty slabs.
      let slab = UnitMap.unitBytes << root.geometry.fullOrder
      let idle = 2 * root.sheafLimit * size + live + (root.emptySlabsKept + 2) * slab
      #expect(mostCharged <= live + idle)
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// Sixteen producers and a consumer: with all of their objects live, at most 1.3 times as much is charged; and when
  /// they are freed, what one barn and the sheaves hold.
  @Test func sixteenProducersAndAConsumer() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 1024)
      let group = try allocator.makeGroup("group")
      let cpus = allowedCPUs()
      for _ in 0..<20 {
        var queues: [[UInt]] = []
        for producer in 0..<16 {
          queues.append(
            try onOneCPU(cpus[producer % cpus.count]) {
              try (0..<1000).map { _ in try allocator.allocate(from: root, in: group) }
            })
        }
        let live = queues.count * 1000 * 1024
        #expect(group.currentBytes * 10 <= live * 13)
        onOneCPU(Self.cpus.consumer) { for queue in queues { allocator.freeAll(queue) } }
        let sheaves = cpus.count * root.sheafLimit * 1024
        let slab = UnitMap.unitBytes << root.geometry.fullOrder
        #expect(
          group.currentBytes
            <= 2 * Barn.mostBytes + 2 * sheaves + (root.emptySlabsKept + 2) * slab)
      }
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }
}
