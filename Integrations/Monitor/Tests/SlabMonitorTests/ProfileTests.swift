// SPDX-License-Identifier: Apache-2.0
import Slab
import Testing

@testable import SlabMonitor

@Suite struct ProfileTests {
  private func lines(_ groups: [SlabAllocator.Snapshot.Group]) throws -> [Substring: Int] {
    var lines: [Substring: Int] = [:]
    for line in Profile(groups).folded.split(separator: "\n") {
      let blank = try #require(line.lastIndex(of: " "))
      let bytes = try #require(Int(line[line.index(after: blank)...]))
      #expect(bytes > 0 && lines.updateValue(bytes, forKey: line[..<blank]) == nil, "\(line)")
    }
    return lines
  }

  /// Nothing is lost, however few groups are in it.
  @Test func theLinesAddUpToTheCharge() throws {
    try withAllocator { allocator in
      let first = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
      let second = try RawSlabCache(named: "a;b", objectSize: 200, of: allocator)
      var groups: [MemoryGroup] = []
      for name in ["a", "b", "c"] {
        let top = try allocator.rootGroup.makeChild(named: name)
        let below = try top.makeChild(named: "below")
        for _ in 0..<50 { _ = try unsafe first.allocate(in: below) }
        for _ in 0..<20 { _ = try unsafe second.allocate(in: top) }
        groups += [top, below]
      }
      for count in [1, 2, 3, 5, 100] {
        let groups = allocator.snapshot(largest: count, withCaches: true).groups
        let lines = try lines(groups)
        #expect(lines.values.reduce(0, +) == allocator.rootGroup.usage, "\(count) groups")
      }
      let all = try lines(allocator.snapshot(largest: 100, withCaches: true).groups)
      #expect(all["root;a;below;kilobyte"] ?? 0 >= 50 * 1024)
      #expect(all["root;b;a,b"] ?? 0 >= 20 * 200)
      withExtendedLifetime((groups, first, second)) {}
    }
  }

  /// For Swift these names are equal; to the library they are two groups.
  @Test func namesThatSwiftHoldsForEqual() throws {
    try withAllocator { allocator in
      let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
      var groups: [MemoryGroup] = []
      for name in ["\u{e9}", "e\u{301}"] {
        groups.append(try allocator.rootGroup.makeChild(named: name))
        for _ in 0..<50 { _ = try unsafe cache.allocate(in: groups.last!) }
      }
      let profile = Profile(allocator.snapshot(largest: 10, withCaches: true).groups).folded
      let lines = profile.utf8.split(separator: UInt8(ascii: "\n")).map { Array($0) }
      for group in groups {
        let start = Array("root;\(group.name);kilobyte ".utf8)
        #expect(lines.count { $0.starts(with: start) } == 1, "\(profile)")
      }
      withExtendedLifetime((groups, cache)) {}
    }
  }

  @Test func objectsOfNoGroupAreTheRoots() throws {
    try withAllocator { allocator in
      let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
      for _ in 0..<100 { _ = try unsafe cache.allocate(in: allocator.rootGroup) }
      let lines = try lines(allocator.snapshot(largest: 1, withCaches: true).groups)
      #expect(lines.values.reduce(0, +) == allocator.rootGroup.usage)
      withExtendedLifetime(cache) {}
    }
  }
}
