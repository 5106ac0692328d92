// SPDX-License-Identifier: Apache-2.0
// The snapshot of an allocator, and that statistics say the same.

import SlabTestSupport
import Testing

@testable import Slab

@Suite(.inTurn) struct SnapshotTests {
  private func withTree(_ body: (SlabAllocator, MemoryGroup) throws -> Void) throws {
    // What is compared is read a moment later.
    var configuration = SlabAllocator.Configuration()
    configuration.idleRoundMilliseconds = 0
    let allocator = try SlabAllocator(configuration: configuration)
    do {
      let top = try allocator.rootGroup.makeChild(named: "top", max: 1 << 30, high: 1 << 29)
      let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
      // A group ends with its last handle.
      var kept = [try top.makeChild(named: "ended")]
      try kept[0].close()
      for number in 0..<40 {
        let child = try top.makeChild(named: "child-\(number)")
        let leaf = try child.makeChild(named: "leaf")
        for _ in 0..<4 * (number % 8) { _ = try unsafe cache.allocate(in: leaf) }
        kept.append(child)
        // The objects of the others live on at their parents.
        if number % 10 != 9 { kept.append(leaf) }
      }
      allocator.waitUntilIdle()
      try body(allocator, top)
      withExtendedLifetime(kept) {}
    }
    // SAFETY: nobody uses the objects any more.
    unsafe allocator.unmapEverything()
  }

  @Test func theWholeTreeASubtreeAndTheLargest() throws {
    try withTree { allocator, top in
      let all = allocator.snapshot(withCaches: true)
      let paths = all.groups.map(\.path)
      #expect(paths.first == "/" && Set(paths).count == paths.count)
      #expect(
        all.groups.filter(\.isOnline).count == all[counter: "groups_live"]! - all.endings.count + 1)
      #expect(all.endings.map(\.path) == ["/top/ended"])
      let subtree = allocator.snapshot(below: top)
      #expect(subtree.groups.map(\.path) == paths.filter { $0.hasPrefix("/top") })
      #expect(subtree.groups.allSatisfy { $0.caches.isEmpty })
      let reading = try #require(subtree.groups.first)
      #expect(reading.max == 1 << 30 && reading.high == 1 << 29 && reading.low == 0)
      #expect(reading.usage == top.usage)
      #expect(reading.onlineDescendants == top.descendants.online)

      let sizes = subtree.groups.map(\.usage).sorted(by: >)
      for count in [0, 1, 7, 1000] {
        let largest = allocator.snapshot(below: top, largest: count)
        #expect(largest.groups.map(\.usage) == Array(sizes.prefix(count)))
        #expect(largest.counters.map(\.name) == all.counters.map(\.name))
      }
      // The objects of all groups are the root's.
      let inGroups = all.groups.flatMap(\.caches).filter { $0.name == "kilobyte" }
        .reduce(0) { $0 + $1.slabBytes }
      #expect(inGroups == all.caches.first { $0.name == "kilobyte" }?.slabBytes)
      #expect(all.groups.first { $0.path == "/top" }?.caches.count == 0)
    }
  }

  /// Each number of the statistics is the counter of its name.
  @Test func statisticsAreTheCounters() throws {
    try withTree { allocator, _ in
      let snapshot = allocator.snapshot(largest: 0)
      let statistics = allocator.statistics
      var compared = 0
      for child in Mirror(reflecting: statistics).children {
        guard let value = child.value as? Int, let label = child.label else { continue }
        let name = label.map { $0.isUppercase ? "_\($0.lowercased())" : "\($0)" }.joined()
        // The workers may be at something still.
        if name.hasPrefix("worker_") { continue }
        #expect(snapshot[counter: name] == value, "\(name)")
        compared += 1
      }
      #expect(compared > 20)
      #expect(snapshot[counter: "no_such_counter"] == nil)
    }
  }

  /// Groups come and go meanwhile: none is in it twice, and those that stay are all in it.
  @Test func groupsComeAndGo() throws {
    try withTree { allocator, top in
      let disturber = TestThread {
        for _ in 0..<100 {
          let groups = (0..<20).compactMap { try? top.makeChild(named: "passing-\($0)") }
          for group in groups { try? group.close() }
        }
      }
      for _ in 0..<50 {
        let paths = allocator.snapshot(below: top).groups.filter(\.isOnline).map(\.path)
        let stay = paths.filter { $0.contains("/child-") && !$0.hasSuffix("/leaf") }
        #expect(stay.count == 40 && Set(stay).count == 40)
      }
      disturber.join()
    }
  }
}
