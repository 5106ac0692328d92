// SPDX-License-Identifier: Apache-2.0
// Names of groups: unique among the children that are online, found however many there are.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct GroupNameTests {
  @Test(arguments: [
    ("a", true), ("tenant-1", true), ("...", true), (".hidden", true), ("é", true),
    (String(repeating: "n", count: 255), true), (String(repeating: "n", count: 256), false),
    ("", false), (".", false), ("..", false), ("a/b", false), ("a b", false), ("a\tb", false),
    ("a\n", false), ("a\u{7f}", false), ("\u{0}", false),
  ])
  func rules(name: String, isValid: Bool) throws {
    #expect(Group.isValidName(Array(name.utf8).span) == isValid)
    try withAllocator { allocator in
      if isValid {
        allocator.release(try allocator.makeGroup(name, isUnique: true))
      } else {
        #expect(throws: AllocatorError.invalidName) {
          try allocator.makeGroup(name, isUnique: true)
        }
      }
    }
  }

  @Test func aNameIsTakenUntilItsGroupEnds() throws {
    try withAllocator { allocator in
      let first = try allocator.makeGroup("tenant", isUnique: true)
      #expect(throws: AllocatorError.groupNameInUse) {
        try allocator.makeGroup("tenant", isUnique: true)
      }
      // Elsewhere it is free, and for reports it always is.
      let below = try allocator.makeGroup("tenant", below: first, isUnique: true)
      let label = try allocator.makeGroup("tenant")
      #expect(allocator.child("tenant", of: allocator.rootGroup) == first)
      allocator.release(first)
      #expect(allocator.child("tenant", of: first) == below)
      allocator.release(below)
      #expect(allocator.child("other", of: first) == nil)
      try allocator.close(below)
      #expect(allocator.child("tenant", of: first) == nil)
      try allocator.close(first)
      let second = try allocator.makeGroup("tenant", isUnique: true)
      #expect(second != first)
      for group in [below, first, second, label] { allocator.release(group) }
    }
  }

  /// Buckets split one by one, under names that come and go.
  @Test func manyNames() throws {
    try withAllocator { allocator in
      let parent = try allocator.makeGroup("parent")
      let count = 5000
      var groups: [Pointer<Group>] = []
      for index in 0..<count {
        groups.append(try allocator.makeGroup("g\(index)", below: parent, isUnique: true))
      }
      expectWhole(allocator)
      // A bucket for each, so the chains are short.
      #expect(allocator.groupsState.pointee.tables.names.usedBytes >= count * 8)
      for index in stride(from: 0, to: count, by: 3) { try allocator.close(groups[index]) }
      for index in 0..<count {
        let found = allocator.child("g\(index)", of: parent)
        #expect(found == (index % 3 == 0 ? nil : groups[index]))
        if let found { allocator.release(found) }
      }
      expectWhole(allocator)
      var seen: Set<UInt> = []
      allocator.forEachChild(of: parent) {
        seen.insert($0.address)
        allocator.release($0)
      }
      #expect(seen.count == count - (count + 2) / 3)
      for group in groups { allocator.release(group) }
      allocator.release(parent)
      allocator.waitUntilIdle()
      allocator.trim()
      #expect(allocator.groupsState.pointee.tables.names.usedBytes == 4096)
      let again = try allocator.makeGroup("again", isUnique: true)
      expectWhole(allocator)
      allocator.release(again)
    }
  }

  @Test func withoutMemoryForTheIndexNoGroupIsMade() async {
    await #expect(processExitsWith: .success) {
      let allocator = try Allocator()
      // Descriptors and memory for names are there: only the index needs memory.
      let plain = try allocator.makeGroup("plain")
      let runs = try failEachCall(
        of: .protect, repeating: false, setUp: {},
        operate: { _ in
          guard let named = try? allocator.makeGroup("named", isUnique: true) else { return }
          allocator.release(named)
        },
        check: { _, _ in
          allocator.waitUntilIdle()
          expectWhole(allocator)
          #expect(allocator.child("named", of: allocator.rootGroup) == nil)
        })
      #expect(runs == 1)
      allocator.release(plain)
    }
  }
}

@Suite(.inTurn) struct CloseTests {
  @Test func closesTheSubtree() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let top = try allocator.makeGroup("top")
      var groups = [top]
      // A tree of three children each, five levels deep, and an object in each.
      var level = [top]
      for _ in 0..<4 {
        level = try level.flatMap { parent in
          try (0..<3).map { try allocator.makeGroup("g\($0)", below: parent, isUnique: true) }
        }
        groups += level
      }
      let objects = try groups.map { try allocator.allocate(from: root, in: $0) }
      try allocator.close(top)
      for group in groups {
        #expect(!group.isOnline)
        #expect(throws: AllocatorError.groupOffline) {
          try allocator.allocate(from: root, in: group)
        }
        #expect(throws: AllocatorError.groupOffline) {
          try allocator.makeGroup("late", below: group)
        }
      }
      #expect(throws: AllocatorError.groupOffline) { try allocator.close(top) }
      #expect(throws: AllocatorError.rootGroup) { try allocator.close(allocator.rootGroup) }
      #expect(allocator.descendants(of: top) == GroupDescendants(online: 0, dying: 120))
      for object in objects { allocator.free(object) }
      for group in groups.reversed() { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  @Test func zombiesDoNotStandInTheWay() throws {
    var configuration = AllocatorConfiguration()
    configuration.endings = .keep
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let top = try allocator.makeGroup("top")
      var objects: [UInt] = []
      for index in 0..<100 {
        let child = try allocator.makeGroup("g", below: top, isUnique: true)
        objects.append(try allocator.allocate(from: root, in: child))
        if index % 2 == 0 { try allocator.close(child) }
        allocator.release(child)
      }
      // Released without their handles, every group is a zombie.
      #expect(allocator.descendants(of: top) == GroupDescendants(online: 0, dying: 100))
      let last = try allocator.makeGroup("g", below: top, isUnique: true)
      try allocator.close(top)
      #expect(!last.isOnline)
      for object in objects { allocator.free(object) }
      allocator.release(last)
      allocator.release(top)
      try allocator.destroy(root)
    }
  }

  #if DEBUG
    /// In the middle of a close: neither the group nor one that the close has come to gets a child, and
    /// one that it has not come to ends like the others.
    @Test func halfClosed() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let top = try allocator.makeGroup("top")
          let other = try allocator.makeGroup("other", below: top)
          // The last one that was made is the first that the close comes to.
          let middle = try allocator.makeGroup("middle", below: top)
          let groups = try (0..<40).map { _ in try allocator.makeGroup("one", below: middle) }
          PausePoints.arm(.beforeClosingMore)
          let closing = TestThread { try! allocator.close(top) }
          #expect(PausePoints.waitUntilReached(.beforeClosingMore))
          #expect(groups.count(where: \.isOnline) == 8)
          for group in [top, middle] {
            #expect(group.isOnline)
            #expect(throws: AllocatorError.groupOffline) {
              try allocator.makeGroup("late", below: group)
            }
          }
          let late = try allocator.makeGroup("late", below: other)
          PausePoints.resume(.beforeClosingMore)
          closing.join()
          for group in groups + [late, middle, other, top] {
            #expect(!group.isOnline)
            allocator.release(group)
          }
        }
      }
    }
  #endif

  /// Groups are made below a tree while it is closed, by every thread that can: none is left online.
  @Test func whileOthersMakeAndCloseGroups() throws {
    try withAllocator { allocator in
      for round in 0..<30 {
        let top = try allocator.makeGroup("top-\(round)", isUnique: true)
        let middle = try (0..<4).map {
          try allocator.makeGroup("m\($0)", below: top, isUnique: true)
        }
        onThreads(4) { thread in
          if thread == 0 {
            try! allocator.close(top)
            return
          }
          for index in 0..<200 {
            guard
              let child = try? allocator.makeGroup(
                "c\(thread)-\(index)", below: middle[(thread + index) % 4], isUnique: true)
            else { continue }
            if index % 3 == 0 { try? allocator.close(child) }
            // The last handle: it ends here at the latest.
            allocator.release(child)
          }
        }
        #expect(!top.isOnline)
        for group in middle { #expect(!group.isOnline) }
        for group in middle { allocator.release(group) }
        allocator.release(top)
      }
    }
  }
}
