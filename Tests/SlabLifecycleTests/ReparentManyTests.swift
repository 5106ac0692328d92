// SPDX-License-Identifier: Apache-2.0
// Reparenting of many caches, and beside frees on other threads.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ReparentManyTests {
  /// More caches than move at a time, most of them inherited before.
  @Test func manyCaches() throws {
    try withAllocator { allocator in
      let roots = try (0..<50).map { try allocator.makeCache("cache-\($0)", size: 32) }
      let parent = try allocator.makeGroup("parent")
      var objects: [TestObject] = []
      for round in 0..<20 {
        let group = try allocator.makeGroup("group", below: parent)
        for root in roots {
          objects.append(try TestObject(from: root, in: group, of: allocator, tag: UInt64(round)))
        }
        allocator.release(group)
      }
      allocator.waitUntilIdle()
      let charged = parent.currentBytes
      #expect(charged == pages(of: objects.map(\.address)).count * 4096)
      #expect(parent.pointee.cacheCount == 1000)
      allocator.release(parent)
      allocator.waitUntilIdle()
      #expect(allocator.rootGroup.pointee.cacheCount == 1000)
      #expect(allocator.statistics.childCachesReparented == 1000)
      #expect(allocator.statistics.chargedBytes == charged)
      #expect(allocator.statistics.groupsReleased == 21)
      expectWhole(allocator)
      for object in objects { #expect(object.free(to: allocator)) }
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// Frees of every kind race with the two steps of the move, at two levels at once.
  @Test(arguments: [1, 2]) func freesRaceWithTheMove(workerLimit: Int) throws {
    var configuration = AllocatorConfiguration()
    configuration.workerLimit = workerLimit
    try withSeed { seed in
      try withAllocator(configuration: configuration) { allocator in
        let roots = try [16, 64, 250, 900, 5000].map {
          try allocator.makeCache("cache-\($0)", size: $0)
        }
        let base = try allocator.makeGroup("base")
        let live = Shared<[TestObject]>([])
        let isMade = Shared(0)
        onThreads(4) { thread in
          var random = SeededGenerator(seed: seed &+ UInt64(thread))
          if thread < 2 {
            // Makes groups, fills them and ends them, some with a parent that ends right after them.
            for round in 0..<(isDebugBuild ? 250 : 1500) {
              do throws(AllocatorError) {
                let parent = try allocator.makeGroup("parent", below: base)
                let group = try allocator.makeGroup("group", below: parent)
                var objects: [TestObject] = []
                for index in 0..<Int.random(in: 1...60, using: &random) {
                  objects.append(
                    try TestObject(
                      from: roots.randomElement(using: &random)!,
                      in: index % 4 == 0 ? parent : group, of: allocator, tag: UInt64(round)))
                }
                live.with { $0 += objects }
                allocator.release(group)
                if Bool.random(using: &random) { allocator.hurryWorkers() }
                allocator.release(parent)
              } catch {
                Issue.record("\(error)")
              }
            }
            isMade.with { $0 += 1 }
            return
          }
          while true {
            let isLast = isMade.with { $0 } == 2
            let taken = live.with { objects -> [TestObject] in
              let count = min(objects.count, Int.random(in: 1...30, using: &random))
              // The newest: their groups are about to move.
              let taken = Array(objects.suffix(count))
              objects.removeLast(count)
              return taken
            }
            for object in taken where !object.free(to: allocator) {
              Issue.record("an object was overwritten")
            }
            if taken.isEmpty, isLast { return }
          }
        }
        allocator.waitUntilIdle()
        expectWhole(allocator)
        #expect(base.currentBytes == 0 && base.pointee.cacheCount == 0)
        let figures = allocator.statistics
        #expect(figures.groupsDying == 0)
        #expect(figures.childCachesReparented > 0)
        allocator.release(base)
        for root in roots { try allocator.destroy(root) }
      }
    }
  }
}
