// SPDX-License-Identifier: Apache-2.0
// Reparenting: a group that has ended is gone whatever lives on, and what lives on is charged as it
// was, to the byte, to every group above.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

extension Allocator {
  /// The child cache that an object is in, and the group that this is charged to.
  fileprivate func owner(of object: UInt) -> Pointer<Group>? {
    cache(of: object)!.pointee.group
  }
}

@Suite(.inTurn) struct ReparentTests {
  /// Objects of every size, in slabs of units and of pages, at the bottom of a path of three.
  @Test func leftoversStandWithTheParentToTheByte() throws {
    try withAllocator { allocator in
      let roots = try [8, 64, 200, 700, 3000, slabOfOne].map {
        try allocator.makeCache("cache-\($0)", size: $0)
      }
      let top = try allocator.makeGroup("top")
      let middle = try allocator.makeGroup("middle", below: top)
      let group = try allocator.makeGroup("group", below: middle)
      // The parents have objects of their own: theirs and the leftovers are added up.
      let others = try [top, middle].flatMap { other in
        try roots.map { try TestObject(from: $0, in: other, of: allocator, tag: 1) }
      }
      var objects = try (0..<120).map { index in
        try TestObject(from: roots[index % roots.count], in: group, of: allocator, tag: 2)
      }
      for _ in 0..<40 { #expect(objects.removeFirst().free(to: allocator)) }
      // What goes back by itself at an ending: sheaves and empty slabs.
      try allocator.close(group)
      allocator.waitUntilIdle()
      let own = group.currentBytes
      let before = [middle, top, allocator.rootGroup].map(\.currentBytes)
      #expect(own > 0 && before[0] > own)
      let cachesOfMiddle = middle.pointee.cacheCount
      allocator.release(group)
      allocator.waitUntilIdle()
      let figures = allocator.statistics
      #expect(figures.groupsReleased == 1 && figures.groupsDying == 0)
      #expect(figures.childCachesReparented == roots.count)
      #expect([middle, top, allocator.rootGroup].map(\.currentBytes) == before)
      #expect(middle.pointee.cacheCount == cachesOfMiddle + UInt32(roots.count))
      for object in objects { #expect(allocator.owner(of: object.address) == middle) }
      expectWhole(allocator)
      // And back to what the parents have of their own.
      for object in objects { #expect(object.free(to: allocator)) }
      #expect([middle, top, allocator.rootGroup].map(\.currentBytes) == before.map { $0 - own })
      allocator.waitUntilIdle()
      #expect(middle.pointee.cacheCount == cachesOfMiddle)
      // The middle's handle does not hold what it inherited.
      #expect(allocator.statistics.childCachesReleased == roots.count)
      expectWhole(allocator)
      for object in others { #expect(object.free(to: allocator)) }
      allocator.release(middle)
      allocator.release(top)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// Pages that several caches share go over with what is free in them: the parent uses it, and a
  /// page goes back with its last object, whichever group's that is.
  @Test func sharedPagesGoOverWhole() throws {
    try withAllocator { allocator in
      let roots = try [16, 48, 112, 240].map { try allocator.makeCache("cache-\($0)", size: $0) }
      let parent = try allocator.makeGroup("parent")
      let groups = try (0..<5).map { try allocator.makeGroup("group-\($0)", below: parent) }
      var objects = try groups.enumerated().map { index, group in
        // 1, 2, 3, 4 and 4 units of a page are in use.
        try roots.prefix(index + 1).map {
          try TestObject(from: $0, in: group, of: allocator, tag: UInt64(index))
        }
      }
      #expect(pages(of: objects.joined().map(\.address)).count == 5)
      #expect(parent.currentBytes == 5 * 4096)
      for group in groups { allocator.release(group) }
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 5)
      #expect(parent.currentBytes == 5 * 4096)
      expectWhole(allocator)
      // Six units are free, of which the parent's own slabs take four.
      let own = try roots.map { try TestObject(from: $0, in: parent, of: allocator, tag: 9) }
      #expect(parent.currentBytes == 5 * 4096)
      expectWhole(allocator)
      objects.append(own)
      var left = objects.flatMap { $0 }
      while let object = left.popLast() {
        #expect(object.free(to: allocator))
        // The parent's own caches keep their empty slabs.
        let used = pages(of: left.map(\.address)).union(pages(of: own.map(\.address)))
        #expect(parent.currentBytes == used.count * 4096)
        expectWholeWhenIdle(allocator)
      }
      allocator.release(parent)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.chargedBytes == 0)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// A path ends from the bottom up: what is left goes from level to level, to the root group.
  @Test(arguments: [true, false]) func leftoversAreHandedOn(settlingBetween: Bool) throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let large = try allocator.makeCache("large", size: slabOfOne)
      var path = [allocator.rootGroup]
      for level in 1...6 {
        path.append(try allocator.makeGroup("level-\(level)", below: path.last))
      }
      var objects: [TestObject] = []
      for group in path.dropFirst() {
        objects.append(try TestObject(from: root, in: group, of: allocator, tag: 1))
        objects.append(try TestObject(from: large, in: group, of: allocator, tag: 2))
      }
      let charged = 6 * (4096 + slabOfOne)
      for level in (1...6).reversed() {
        try allocator.close(path[level])
        allocator.release(path[level])
        if settlingBetween {
          allocator.waitUntilIdle()
          let figures = allocator.statistics
          #expect(figures.groupsReleased == 7 - level && figures.groupsDying == 0)
          #expect(path[level - 1].pointee.cacheCount == 2 * UInt32(7 - level) + (level > 1 ? 2 : 0))
          #expect(figures.chargedBytes == charged)
          expectWhole(allocator)
        }
      }
      allocator.waitUntilIdle()
      let figures = allocator.statistics
      #expect(figures.groupsReleased == 6 && figures.childCachesReparented == 12)
      #expect(figures.chargedBytes == charged)
      for object in objects { #expect(allocator.owner(of: object.address) == allocator.rootGroup) }
      // The caches of one root are one line.
      let lines = try allocator.slabinfo(of: allocator.rootGroup).split(separator: "\n")
      #expect(lines.count { $0.hasPrefix("cache ") } == 1)
      #expect(lines.count { $0.hasPrefix("large ") } == 1)
      for object in objects { #expect(object.free(to: allocator)) }
      #expect(allocator.statistics.chargedBytes == 0)
      allocator.waitUntilIdle()
      #expect(try allocator.slabinfo(of: allocator.rootGroup).split(separator: "\n").count == 2)
      for root in [root, large] { try allocator.destroy(root) }
    }
  }

  /// `keep` beside `reparent`: each group ends as it was told, whatever is above and below it.
  @Test func bothPoliciesInOneTree() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: slabOfOne)
      let top = try allocator.makeGroup("top", endings: .reparent)
      let keeper = try allocator.makeGroup("keeper", below: top, endings: .keep)
      let leaf = try allocator.makeGroup("leaf", below: keeper, endings: .reparent)
      let zombie = try allocator.makeGroup("zombie", below: keeper, endings: .keep)
      let groups = [leaf, zombie, keeper, top]
      let objects = try groups.map { try allocator.allocate(from: root, in: $0) }
      for group in groups {
        allocator.release(group)
        allocator.waitUntilIdle()
        expectWhole(allocator)
      }
      // The leaf's object is the keeper's; the zombie holds the keeper and both hold the top, which
      // hands nothing on while it is held.
      #expect(allocator.statistics.groupsReleased == 1)
      #expect(objects.map { allocator.owner(of: $0) } == [keeper, zombie, keeper, top])
      #expect(keeper.currentBytes == 3 * slabOfOne && top.currentBytes == 4 * slabOfOne)
      allocator.free(objects[1])
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 2)
      allocator.free(objects[2])
      allocator.waitUntilIdle()
      // An inherited object pins a keeper as its own do.
      #expect(allocator.statistics.groupsReleased == 2 && keeper.currentBytes == slabOfOne)
      allocator.free(objects[0])
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 4)
      #expect(allocator.owner(of: objects[3]) == allocator.rootGroup)
      #expect(allocator.statistics.chargedBytes == slabOfOne)
      expectWhole(allocator)
      allocator.free(objects[3])
      try allocator.destroy(root)
    }
  }

  /// A late free looks at the cache alone, whose owner changes meanwhile; that is for ThreadSanitizer to see.
  @Test func freesBesideTheMove() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      for _ in 0..<200 {
        let group = try allocator.makeGroup("group")
        var objects = try (0..<60).map { _ in try allocator.allocate(from: root, in: group) }
        try allocator.close(group)
        allocator.waitUntilIdle()
        allocator.release(group)
        // One stays until the move is over, so no slab is empty and no lock but the cache's is taken.
        while objects.count > 1 { allocator.free(objects.removeLast()) }
        allocator.waitUntilIdle()
        #expect(allocator.owner(of: objects[0]) == allocator.rootGroup)
        allocator.free(objects[0])
      }
      #expect(allocator.statistics.childCachesReparented == 200)
      try allocator.destroy(root)
    }
  }

  /// The holder of a handle finds everything as it was; the last one sets it going.
  @Test func handlesDelayTheMove() throws {
    try withAllocator { allocator in
      let roots = try [64, slabOfOne, 64].enumerated().map {
        try allocator.makeCache("cache-\($0)", size: $1)
      }
      let group = try allocator.makeGroup("group")
      let objects = try roots.map { try allocator.allocate(from: $0, in: group) }
      let caches = objects.map { allocator.cache(of: $0)! }
      allocator.retain(group)
      try allocator.close(group)
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(group.state == .settled && group.pointee.cacheCount == 3)
      #expect(group.currentBytes == 4096 + slabOfOne)
      // A cache that is shut down meanwhile keeps its descriptor, as long as the handle.
      allocator.free(objects[0])
      allocator.waitUntilIdle()
      #expect(allocator.statistics.childCachesReleased == 0)
      for cache in caches {
        allocator.expectError(.groupOffline) { () throws(AllocatorError) in try cache.allocate() }
      }
      withWorkersHeldOff(of: allocator) {
        allocator.release(group)
        // The charge is with the parent at once, and the group waits for the worker.
        #expect(group.state == .reparenting && group.currentBytes == 0)
        #expect(allocator.statistics.pendingEndings == 1)
        #expect(allocator.statistics.childCachesReleased == 1)
        #expect(allocator.rootGroup.currentBytes == 4096 + slabOfOne)
        // Between the two steps a slab goes back from where its charge is, and a cache ends.
        allocator.free(objects[1])
        #expect(allocator.rootGroup.currentBytes == 4096)
      }
      allocator.waitUntilIdle()
      let figures = allocator.statistics
      #expect(figures.groupsReleased == 1 && figures.childCachesReleased == 2)
      #expect(figures.chargedBytes == 4096)
      allocator.free(objects[2])
      #expect(allocator.statistics.chargedBytes == 0)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// A parent's limit counts what its children left, and it has nothing of theirs to reclaim.
  @Test func leftoversCountAgainstTheLimit() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: slabOfOne)
      try allocator.setSheafCapacity(0, of: root)
      try allocator.setMinPartial(0, of: root)
      let parent = try allocator.makeGroup("parent", max: 4 * slabOfOne)
      let child = try allocator.makeGroup("child", below: parent)
      let left = try (0..<3).map { _ in try allocator.allocate(from: root, in: child) }
      allocator.release(child)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 1)
      let own = try allocator.allocate(from: root, in: parent)
      func refuse() {
        allocator.expectError(.groupLimit(parent)) { () throws(AllocatorError) in
          try allocator.allocate(from: root, in: parent)
        }
      }
      refuse()
      allocator.free(left[0])
      let another = try allocator.allocate(from: root, in: parent)
      refuse()
      #expect(parent.currentBytes == 4 * slabOfOne && parent.peakBytes == 4 * slabOfOne)
      for object in left.dropFirst() + [own, another] { allocator.free(object) }
      allocator.release(parent)
      try allocator.destroy(root)
    }
  }

  /// A root may be destroyed when the leftovers of its last objects are free, inherited or not, and
  /// while the caches that they were in are still on their way.
  @Test func rootsOfInheritedCachesEnd() throws {
    try withAllocator { allocator in
      let parent = try allocator.makeGroup("parent")
      for round in 0..<20 {
        let root = try allocator.makeCache("cache-\(round)", size: 64)
        let groups = try (0..<40).map { try allocator.makeGroup("group-\($0)", below: parent) }
        let objects = try (groups + [parent]).map { try allocator.allocate(from: root, in: $0) }
        for group in groups { allocator.release(group) }
        if round % 2 == 0 { allocator.waitUntilIdle() }
        allocator.expectError(.cacheBusy(objects: 41)) { () throws(AllocatorError) in
          try allocator.destroy(root)
        }
        for object in objects { allocator.free(object) }
        try allocator.destroy(root)
        if round % 3 == 0 { allocator.waitUntilIdle() }
      }
      allocator.waitUntilIdle()
      #expect(allocator.statistics.rootCachesReleased == 20)
      #expect(parent.pointee.cacheCount == 0 && parent.currentBytes == 0)
      allocator.release(parent)
    }
  }

  /// `nr_descendants` and `nr_dying_descendants` at each step, at each level.
  @Test func descendants() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      func expect(
        _ group: Pointer<Group>, online: Int, dying: Int,
        sourceLocation: SourceLocation = #_sourceLocation
      ) {
        allocator.waitUntilIdle()
        let expected = GroupDescendants(online: online, dying: dying)
        #expect(allocator.descendants(of: group) == expected, sourceLocation: sourceLocation)
      }
      let top = try allocator.makeGroup("top")
      let middle = try allocator.makeGroup("middle", below: top)
      let keeper = try allocator.makeGroup("keeper", below: middle, endings: .keep)
      let leaf = try allocator.makeGroup("leaf", below: middle)
      expect(allocator.rootGroup, online: 4, dying: 0)
      expect(top, online: 3, dying: 0)
      expect(leaf, online: 0, dying: 0)
      let objects = try [keeper, leaf].map { try allocator.allocate(from: root, in: $0) }
      try allocator.close(leaf)
      // Held by its handle.
      expect(middle, online: 1, dying: 1)
      allocator.release(leaf)
      expect(middle, online: 1, dying: 0)
      allocator.release(keeper)
      // Held by its object.
      expect(middle, online: 0, dying: 1)
      expect(top, online: 1, dying: 1)
      try allocator.close(middle)
      allocator.release(middle)
      // Held by the keeper.
      expect(top, online: 0, dying: 2)
      expect(allocator.rootGroup, online: 1, dying: 2)
      #expect(allocator.statistics.groupsDying == 2)
      allocator.free(objects[0])
      expect(top, online: 0, dying: 0)
      #expect(allocator.owner(of: objects[1]) == top)
      allocator.free(objects[1])
      allocator.release(top)
      expect(allocator.rootGroup, online: 0, dying: 0)
      try allocator.destroy(root)
    }
  }

  private func expectWholeWhenIdle(_ allocator: Allocator) {
    allocator.waitUntilIdle()
    expectWhole(allocator)
  }
}
