// SPDX-License-Identifier: Apache-2.0
// Groups by id and number, and lists that go on behind one: also when it has gone.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct NumberedGroupTests {
  private func names(
    below parent: Pointer<Group>, olderThan place: (id: Int, number: UInt32)? = nil,
    atMost count: Int = .max, in allocator: Allocator
  ) -> [String] {
    var names: [String] = []
    allocator.forEachChild(of: parent, olderThan: place) { child, childCount in
      #expect(childCount == allocator.childCount(of: child))
      names.append(
        child.withName { name in String(decoding: name.indices.map { name[$0] }, as: UTF8.self) })
      return names.count < count
    }
    return names
  }

  @Test func anIDIsAGroupsWhileItIsOnline() throws {
    try withAllocator { allocator in
      let top = try allocator.makeGroup("top", isUnique: true)
      let group = try allocator.makeGroup("group", below: top, isUnique: true)
      #expect(allocator.group(withID: 0) == allocator.rootGroup)
      #expect(allocator.group(withID: group.id) == group)
      // The handles on it and above it are ours by now.
      allocator.release(group)
      let (id, number) = (group.id, group.number)
      #expect(number > top.number)
      allocator.release(group)
      allocator.release(top)
      #expect(allocator.group(withID: id) == nil)
      #expect(allocator.group(withID: 1 << 23) == nil)
      let next = try allocator.makeGroup("next", below: top, isUnique: true)
      #expect(next.id == id && next.number > number)
      allocator.release(next)
      allocator.release(top)
    }
  }

  @Test func aListGoesOnBehindAnyPlace() throws {
    try withAllocator { allocator in
      let groups = try (0..<100).map { try allocator.makeGroup("\($0)", isUnique: true) }
      let root = allocator.rootGroup
      let newestFirst = (0..<100).reversed().map { "\($0)" }
      #expect(names(below: root, in: allocator) == newestFirst)
      #expect(names(below: root, atMost: 20, in: allocator) == Array(newestFirst.prefix(20)))
      for index in [99, 50, 16, 1, 0] {
        let place = (groups[index].id, groups[index].number)
        #expect(
          names(below: root, olderThan: place, in: allocator)
            == (0..<index).reversed().map { "\($0)" })
      }
      // Its place is left, and its id another one's.
      let place = (groups[50].id, groups[50].number)
      allocator.release(groups[50])
      let new = try allocator.makeGroup("new", isUnique: true)
      #expect(new.id == place.0)
      #expect(
        names(below: root, olderThan: place, in: allocator) == (0..<50).reversed().map { "\($0)" })
      #expect(names(below: new, in: allocator) == [])
      allocator.release(new)
      for index in 0..<100 where index != 50 { allocator.release(groups[index]) }
    }
  }

  @Test func theRecentPeakBeginsAgain() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      let charge = try allocator.charge(bytes: 1 << 20, to: group)
      allocator.endCharge(charge)
      let small = try allocator.charge(bytes: 1 << 14, to: group)
      #expect(group.recentPeak >= 1 << 20)
      #expect(group.resetRecentPeak() == group.pointee.peak.load(ordering: .relaxed))
      #expect(
        group.recentPeak
          == group.pointee.current.load(ordering: .relaxed))
      let more = try allocator.charge(bytes: 1 << 14, to: group)
      #expect(
        group.recentPeak
          == group.pointee.current.load(ordering: .relaxed))
      allocator.endCharge(more)
      allocator.endCharge(small)
      allocator.release(group)
    }
  }
}
