// SPDX-License-Identifier: Apache-2.0
// Events of groups: which group counts what, and how a watcher learns of it.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct GroupEventTests {
  /// An event counts where it happened and in every group above.
  @Test func countedInTheGroupAndAbove() throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let parent = try allocator.makeGroup("parent", max: 8 * slabOfOne)
      let child = try allocator.makeGroup("child", below: parent, max: 4 * slabOfOne)
      let objects = try allocator.take(4, from: root, in: child)
      allocator.expectError(.groupLimit(child)) { () throws(AllocatorError) in
        try allocator.allocate(from: root, in: child)
      }
      for group in [child, parent, allocator.rootGroup] {
        #expect(counts(allocator.events(of: group, local: false)) == [0, 0, 1, 1])
      }
      #expect(counts(allocator.events(of: child, local: true)) == [0, 0, 1, 1])
      #expect(counts(allocator.events(of: parent, local: true)) == [0, 0, 0, 0])
      // The group that refuses has the event, not the one that allocates.
      let others = try allocator.take(4, from: root, in: parent)
      try allocator.setMax(Group.unlimited, of: child)
      allocator.expectError(.groupLimit(parent)) { () throws(AllocatorError) in
        try allocator.allocate(from: root, in: child)
      }
      #expect(counts(allocator.events(of: child, local: false)) == [0, 0, 1, 1])
      #expect(counts(allocator.events(of: parent, local: true)) == [0, 0, 1, 1])
      #expect(counts(allocator.events(of: parent, local: false)) == [0, 0, 2, 2])
      for object in objects + others { allocator.free(object) }
      allocator.release(child)
      allocator.release(parent)
      try allocator.destroy(root)
    }
  }

  /// A group that has no protection has no event of it, though 0 bytes are not more than 0.
  @Test func withoutLowThereIsNoLowEvent() throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let parent = try allocator.makeGroup("parent", max: 4 * slabOfOne)
      let busy = try allocator.makeGroup("busy", below: parent)
      let empty = try allocator.makeGroup("empty", below: parent)
      let objects = try allocator.take(4, from: root, in: busy)
      #expect(throws: AllocatorError.groupLimit(parent)) {
        try allocator.allocate(from: root, in: busy)
      }
      #expect(counts(allocator.events(of: empty, local: false)) == [0, 0, 0, 0])
      #expect(counts(allocator.events(of: parent, local: false)) == [0, 0, 1, 1])
      for object in objects { allocator.free(object) }
      allocator.release(busy)
      allocator.release(empty)
      allocator.release(parent)
      try allocator.destroy(root)
    }
  }

  /// What fits with a smaller slab than the cache wanted was never refused.
  @Test func aSmallerSlabIsNoEvent() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 1000)
      try allocator.setSheafCapacity(0, of: root)
      // The first two pages are one slab after the other, each as large as all before it.
      let group = try allocator.makeGroup("group", max: 3 * 4096)
      var objects: [UInt] = []
      while group.currentBytes < 3 * 4096 {
        objects.append(try allocator.allocate(from: root, in: group))
      }
      #expect(counts(allocator.events(of: group, local: true)) == [0, 0, 0, 0])
      for object in objects { allocator.free(object) }
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// `low` is for the neighbours of the one that is short: the group whose limit it is gives before
  /// those below it that are protected.
  @Test func theTargetIsNotProtectedByItsOwnLow() throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let parent = try allocator.makeGroup("parent", max: 8 * slabOfOne)
      let busy = try allocator.makeGroup("busy", below: parent)
      let spared = try allocator.makeGroup("spared", below: parent)
      try allocator.setLow(100 * slabOfOne, of: parent)
      try allocator.setLow(100 * slabOfOne, of: spared)
      let (own, neighbour) = (Hoard(allocator), Hoard(allocator))
      let shrinkers = [try own.register(for: parent), try neighbour.register(for: spared)]
      for object in try allocator.take(3, from: root, in: parent) { own.add(object) }
      for object in try allocator.take(3, from: root, in: spared) { neighbour.add(object) }
      let objects = try allocator.take(5, from: root, in: busy)
      #expect(own.count == 0 && neighbour.count == 3)
      #expect(counts(allocator.events(of: parent, local: false)) == [0, 0, 1, 0])
      let more = try allocator.take(1, from: root, in: busy)
      #expect(neighbour.count < 3)
      #expect(allocator.events(of: spared, local: true).low > 0)
      #expect(allocator.events(of: parent, local: true).low == 0)
      for object in objects + more { allocator.free(object) }
      for shrinker in shrinkers { allocator.unregisterShrinker(shrinker) }
      own.freeAll()
      neighbour.freeAll()
      allocator.release(busy)
      allocator.release(spared)
      allocator.release(parent)
      try allocator.destroy(root)
    }
  }

  /// What waits to be told is not in the way of threads that end groups in the right order.
  @Test(arguments: [false, true])
  func aChangedGroupEndsAsAnyOther(parentIsWatched: Bool) async {
    await #expect(processExitsWith: .success) { [parentIsWatched] in
      for design in [LifecycleDesign.current, .linux410] {
        var configuration = AllocatorConfiguration()
        configuration.design = design
        try withAllocator(configuration: configuration) { allocator in
          let parent = try allocator.makeGroup("parent")
          let child = try allocator.makeGroup("child", below: parent)
          let watched = parentIsWatched ? [child, parent] : [child]
          for group in watched { allocator.watch(group) }
          child.note(.max)
          for group in watched { allocator.unwatch(group) }
          allocator.release(child)
          allocator.release(parent)
          allocator.waitUntilIdle()
          // They are there until they are put back, and offline.
          for _ in watched {
            let group = try #require(allocator.takeChangedGroup())
            #expect(!group.isOnline)
            allocator.putBackChangedGroup(group)
          }
        }
      }
    }
  }

  /// On the stack once until it is taken; then again, even while the notifier has it in hand.
  @Test func onceUntilItIsTaken() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      group.note(.high)
      allocator.watch(group)
      for _ in 0..<5 { group.note(.high) }
      let first = try #require(allocator.takeChangedGroup())
      group.note(.high)
      let second = try #require(allocator.takeChangedGroup())
      #expect(first == group && second == group)
      #expect(allocator.events(of: group, local: false).high == 7)
      allocator.wakeForChanges()
      #expect(allocator.takeChangedGroup() == nil)
      allocator.unwatch(group)
      group.note(.high)
      allocator.wakeForChanges()
      #expect(allocator.takeChangedGroup() == nil)
      allocator.release(group)
      allocator.putBackChangedGroup(first)
      allocator.putBackChangedGroup(second)
    }
  }

  /// Offline and without a charge: told once the last object is gone, in this order and the other.
  @Test(arguments: [false, true]) func aGroupThatBecomesEmpty(freedFirst: Bool) throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let group = try allocator.makeGroup("group")
      allocator.watch(group)
      let object = try allocator.allocate(from: root, in: group)
      if freedFirst { allocator.free(object) }
      #expect(!allocator.isDrained(group))
      try allocator.close(group)
      #expect(allocator.isDrained(group) == freedFirst)
      func takeChanges() -> Int {
        allocator.wakeForChanges()
        var taken = 0
        while let changed = allocator.takeChangedGroup() {
          #expect(changed == group)
          allocator.putBackChangedGroup(changed)
          taken += 1
        }
        return taken
      }
      // Told of its end, and again when it is empty.
      #expect(takeChanges() > 0)
      if !freedFirst {
        allocator.free(object)
        #expect(takeChanges() > 0)
      }
      #expect(allocator.isDrained(group))
      allocator.unwatch(group)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// Every change is seen in the end, however the notifier and the threads that change things meet.
  @Test func noWakeUpIsLost() throws {
    try withAllocator { allocator in
      let groups = try (0..<3).map { try allocator.makeGroup("group-\($0)") }
      for group in groups { allocator.watch(group) }
      let seen = Shared([UInt: Int]())
      let notifier = TestThread {
        while let group = allocator.takeChangedGroup() {
          let count = allocator.events(of: group, local: false).high
          seen.with { $0[group.address] = max($0[group.address] ?? 0, count) }
          allocator.putBackChangedGroup(group)
        }
      }
      for round in 1...300 {
        onThreads(2) { thread in
          for step in 0..<20 { groups[(thread + step) % 3].note(.high) }
        }
        for group in groups {
          let count = allocator.events(of: group, local: false).high
          let isSeen = eventually { seen.with { $0[group.address] ?? 0 } == count }
          #expect(isSeen, "round \(round)")
          guard isSeen else { break }
        }
      }
      allocator.wakeForChanges()
      notifier.join()
      for group in groups {
        allocator.unwatch(group)
        allocator.release(group)
      }
    }
  }

  /// An allocator may end with groups that nobody was told of.
  @Test func endsWithChangedGroups() throws {
    let allocator = try Allocator()
    let group = try allocator.makeGroup("group")
    allocator.watch(group)
    allocator.watch(allocator.rootGroup)
    group.note(.oom)
    allocator.unmapEverything()
  }
}
