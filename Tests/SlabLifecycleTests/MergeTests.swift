// SPDX-License-Identifier: Apache-2.0
// Merging: which caches share a root, and whose name it has.

import SlabTestSupport
import Testing

@testable import SlabCore
@testable import SlabPlatform

@Suite(.inTurn) struct MergeTests {
  @Test(arguments: [
    // The first cache, the second one, and whether they share a root.
    (Wanted(size: 64), Wanted(size: 64), true),
    (Wanted(size: 64), Wanted(size: 57), true),
    (Wanted(size: 57), Wanted(size: 64), true),
    (Wanted(size: 64), Wanted(size: 56), false),
    (Wanted(size: 56), Wanted(size: 64), false),
    (Wanted(size: 64), Wanted(size: 65), false),
    (Wanted(size: 1), Wanted(size: 8), true),
    (Wanted(size: 64), Wanted(size: 64, alignment: 64), true),
    (Wanted(size: 64, alignment: 64), Wanted(size: 64), true),
    (Wanted(size: 72), Wanted(size: 72, alignment: 16), false),
    (Wanted(size: 80), Wanted(size: 72, alignment: 16), true),
    (Wanted(size: 72, alignment: 16), Wanted(size: 80), true),
    (Wanted(size: 72, alignment: 16), Wanted(size: 72), false),
    (Wanted(size: 100), Wanted(size: 100, options: .hardwareCacheAligned), false),
    (Wanted(size: 128), Wanted(size: 100, options: .hardwareCacheAligned), true),
    (Wanted(size: 100, options: .hardwareCacheAligned), Wanted(size: 121), true),
    (Wanted(size: 4096), Wanted(size: 4096, alignment: 4096), true),
    (Wanted(size: 64, hasConstructor: true), Wanted(size: 64), false),
    (Wanted(size: 64), Wanted(size: 64, hasConstructor: true), false),
    // Caches of the core's own have these sizes.
    (Wanted(size: 1000), Wanted(size: 192), false),
  ])
  func whichAreAlike(first: Wanted, second: Wanted, merged: Bool) throws {
    try withMergingAllocator { allocator in
      let one = try allocator.makeReference("one", first)
      let two = try allocator.makeReference("two", second)
      #expect((one.root == two.root) == merged)
      let isInternal = two.root.pointee.isInternal
      #expect(!isInternal)
      let objectSize = two.root.pointee.objectSize
      #expect(objectSize == (merged ? max(first.size, second.size) : second.size))
      let group = try allocator.makeGroup("group")
      for wanted in [(one, first), (two, second)] {
        let objects = try (0..<50).map { _ in
          try allocator.allocate(from: wanted.0.root, in: group)
        }
        for object in objects {
          #expect(object % UInt(max(wanted.1.alignment, 8)) == 0)
          SharedHeap.free(object, to: wanted.0.root)
        }
      }
      expectWhole(allocator)
      #expect(allocator.statistics.aliasesCreated == (merged ? 1 : 0))
      allocator.release(group)
      try allocator.destroy(one)
      try allocator.destroy(two)
    }
  }

  @Test func offByDefault() throws {
    #expect(!AllocatorConfiguration().mergesCaches)
    try withAllocator { allocator in
      let one = try allocator.makeReference("one", size: 64)
      let two = try allocator.makeReference("two", size: 64)
      #expect(one.root != two.root)
      #expect(one.alias == nil && two.alias == nil)
      #expect(try allocator.namesInSlabinfo() == ["two", "one"])
      try allocator.destroy(one)
      try allocator.destroy(two)
    }
  }

  @Test func theOldestIsTaken() throws {
    try withMergingAllocator { allocator in
      // Made without looking for one that is alike.
      let roots = try ["first", "second", "third"].map { try allocator.makeCache($0, size: 64) }
      let user = try allocator.makeReference("user", size: 60)
      #expect(user.root == roots[0])
      try allocator.destroy(roots[0])
      try allocator.destroy(user)
      let next = try allocator.makeReference("next", size: 64)
      #expect(next.root == roots[1])
      try allocator.destroy(next)
      for root in roots[1...] { try allocator.destroy(root) }
    }
  }

  /// Under the registry lock, which all tenants need: however many roots there are.
  @Test func theOldestIsFoundWithoutAWalk() throws {
    try withMergingAllocator { allocator in
      let others = try (1...1000).map { try allocator.makeReference("other-\($0)", size: 8 * $0) }
      let before = allocator.statistics.listSteps
      let user = try allocator.makeReference("user", size: 64)
      // One root, and the names in one bucket of their index.
      #expect(allocator.statistics.listSteps - before < 10)
      #expect(user.root == others[7].root)
      try allocator.destroy(user)
      for other in others { try allocator.destroy(other) }
    }
  }

  @Test func names() throws {
    try withMergingAllocator { allocator in
      var users = try ["a", "b", "c", "d"].map { try allocator.makeReference($0, size: 64) }
      let root = users[0].root
      #expect(users.allSatisfy { $0.root == root })
      #expect(Set(users.map { $0.alias?.address ?? 0 }).count == 4)
      let other = try allocator.makeReference("other", size: 200)
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(from: root, in: group)
      func check(_ expected: [String]) throws {
        #expect(users.map { $0.nameOfUser.text } == expected)
        #expect(try allocator.namesInSlabinfo() == ["other", expected[0]])
        #expect(
          try allocator.slabinfo(of: group).split(separator: "\n")[2].hasPrefix(expected[0] + " "))
        for name in expected {
          allocator.expectError(.nameInUse) { () throws(AllocatorError) in
            try allocator.makeReference(name, size: 64)
          }
          allocator.expectError(.nameInUse) { () throws(AllocatorError) in
            try allocator.makeReference(name, size: 3000)
          }
        }
        expectWhole(allocator)
      }
      try check(["a", "b", "c", "d"])
      // Neither the oldest nor the newest: the line stays.
      try allocator.destroy(users.remove(at: 2))
      try check(["a", "b", "d"])
      // The oldest: the line goes on under the next one's name, and the first name is free at once.
      try allocator.destroy(users.removeFirst())
      try check(["b", "d"])
      users.append(try allocator.makeReference("a", size: 64))
      try check(["b", "d", "a"])
      try allocator.destroy(users.removeFirst())
      try check(["d", "a"])
      try allocator.destroy(users.removeLast())
      try check(["d"])
      allocator.free(object)
      try allocator.destroy(users.removeLast())
      #expect(try allocator.namesInSlabinfo() == ["other"])
      // A child of a root that ends is still under its last name.
      users.append(try allocator.makeReference("d", size: 64))
      try allocator.destroy(users.removeLast())
      try allocator.destroy(other)
      allocator.release(group)
    }
  }

  @Test func zeroedForTheLargestUser() throws {
    try withMergingAllocator { allocator in
      let small = try allocator.makeReference("small", size: 57)
      let large = try allocator.makeReference("large", size: 64)
      let dirty = try (0..<20).map { _ in try allocator.allocate(from: large.root, in: nil) }
      for object in dirty {
        fillObject(object, size: 64, tag: 7)
        allocator.free(object)
      }
      for _ in 0..<20 {
        let object = try allocator.allocateZeroed(from: large.root, in: nil)
        #expect((0..<8).allSatisfy { Words(at: object)[$0] == 0 })
        fillObject(object, size: 64, tag: 9)
        allocator.free(object)
      }
      try allocator.destroy(large)
      try allocator.destroy(small)
    }
  }
}
