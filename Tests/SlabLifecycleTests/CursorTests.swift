// SPDX-License-Identifier: Apache-2.0
// Cursors that stand in the tree of groups while others change it, and the allocator that a process shares.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct CursorTests {
  /// Three groups below the root, with 0, 1 and 2 below each of these and so on.
  private func makeTree(
    in allocator: Allocator, below parent: Pointer<Group>, levels: Int
  ) throws -> [Pointer<Group>] {
    guard levels > 0 else { return [] }
    var groups: [Pointer<Group>] = []
    for index in 0..<3 {
      let group = try allocator.makeGroup("", below: parent)
      groups.append(group)
      groups += try makeTree(in: allocator, below: group, levels: min(levels - 1, index))
    }
    return groups
  }

  private func visits(
    of allocator: Allocator, atAndBelow top: Pointer<Group>, _ body: (Int) throws -> Void = { _ in }
  ) throws -> [Pointer<Group>] {
    var cursor = try GroupCursor(atAndBelow: top, in: allocator)
    defer { cursor.free(to: allocator) }
    var met: [Pointer<Group>] = []
    while let group = cursor.group {
      met.append(group)
      try body(met.count)
      cursor.advance(in: allocator)
    }
    return met
  }

  @Test func eachGroupOnceAndAheadOfThoseBelow() throws {
    try withAllocator { allocator in
      let groups = try makeTree(in: allocator, below: allocator.rootGroup, levels: 3)
      let met = try visits(of: allocator, atAndBelow: allocator.rootGroup)
      #expect(met.count == groups.count + 1 && met.first == allocator.rootGroup)
      #expect(Set(met.map(\.address)) == Set(groups.map(\.address) + [allocator.rootGroup.address]))
      for (place, group) in met.enumerated() {
        if let parent = group.parent { #expect(met[..<place].contains(parent)) }
      }
      let below = try visits(of: allocator, atAndBelow: groups[0])
      #expect(below == [groups[0]])
      for group in groups.reversed() { allocator.release(group) }
    }
  }

  /// Wherever the cursor stands, all groups end: it goes on through what is left, and keeps none of them. The state
  /// is checked by `withAllocator`.
  @Test(arguments: 1...12) func groupsThatEndMeanwhile(place: Int) throws {
    try withAllocator { allocator in
      let top = try allocator.makeGroup("top")
      let groups = try makeTree(in: allocator, below: top, levels: 3)
      let root = try allocator.makeCache("object", size: 100)
      let objects = try groups.map { try allocator.allocate(from: root, in: $0) }
      let met = try visits(of: allocator, atAndBelow: top) { count in
        guard count == place else { return }
        try allocator.close(top)
        for group in groups.reversed() { allocator.release(group) }
        allocator.release(top)
        allocator.waitUntilIdle()
        expectWhole(allocator)
      }
      #expect(met.count >= place)
      for object in objects { allocator.free(object) }
      try allocator.destroy(root)
    }
  }

  @Test func cursorsThatAreLeftEarly() throws {
    try withAllocator { allocator in
      let groups = try makeTree(in: allocator, below: allocator.rootGroup, levels: 3)
      for steps in 0...groups.count + 2 {
        var cursor = try GroupCursor(atAndBelow: allocator.rootGroup, in: allocator)
        for _ in 0..<steps { cursor.advance(in: allocator) }
        #expect((cursor.group == nil) == (steps > groups.count))
        cursor.free(to: allocator)
      }
      let roots = try RootCursor(in: allocator)
      #expect(roots.next(in: allocator) != nil)
      roots.free(to: allocator)
      for group in groups.reversed() { allocator.release(group) }
    }
  }

  /// Whichever thread comes first: there is one shared allocator, and one thread has made it.
  @Test func manyMakeTheSharedAllocator() async {
    await #expect(processExitsWith: .success) {
      let found = Found()
      onThreads(8) { _ in
        // Whatever else an error is: none is expected.
        let (allocator, isNew) = try! SharedHeap.makeAllocator()
        if isNew { found.made.add(1, ordering: .relaxed) }
        found.addresses.withLock { _ = $0.insert(allocator.address) }
      }
      let allocator = try #require(SharedHeap.allocator)
      #expect(found.made.load(ordering: .relaxed) == 1)
      #expect(found.addresses.withLock { $0 } == [allocator.address])
      // Its objects are found by their addresses.
      let object = try allocator.allocate(bytes: 100, in: allocator.rootGroup)
      #expect(SharedHeap.cache(of: object) != nil)
      SharedHeap.free(object)
    }
  }
}

/// What threads have found.
private final class Found: Sendable {
  let made = Atomic<Int>(0)
  let addresses = Mutex<Set<UInt>>([])
}
