// SPDX-License-Identifier: Apache-2.0
// The tree of groups: its depth, the dense ids, names, and the errors of its operations.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct GroupTreeTests {
  @Test func deepestGroup() throws {
    try withAllocator { allocator in
      var path = [allocator.rootGroup]
      for depth in 1...Group.deepest {
        let group = try allocator.makeGroup("level-\(depth)", below: path.last)
        #expect(group.pointee.depth == depth)
        #expect(group.pointee.parent == path.last)
        path.append(group)
      }
      allocator.expectError(.groupTooDeep) { () throws(AllocatorError) in
        try allocator.makeGroup("too deep", below: path.last)
      }
      expectWhole(allocator)
      // A charge goes all the way up.
      let root = try allocator.makeCache("page", size: slabOfOne)
      let object = try allocator.allocate(from: root, in: path.last)
      for group in path { #expect(group.currentBytes == slabOfOne) }
      allocator.free(object)
      for group in path.dropFirst().reversed() {
        try allocator.close(group)
        allocator.release(group)
      }
      try allocator.destroy(root)
    }
  }

  @Test func idsAreDenseAndReusedAtOnce() throws {
    try withAllocator { allocator in
      var groups: [Pointer<Group>] = []
      for index in 1...2000 {
        let group = try allocator.makeGroup("")
        #expect(group.pointee.id == index)
        groups.append(group)
      }
      // Nobody works on the ends of these: the id is free as soon as `close` returns.
      try withWorkersHeldOff(of: allocator) {
        var freed: Set<UInt32> = []
        for index in stride(from: 0, to: 2000, by: 3) {
          try allocator.close(groups[index])
          freed.insert(groups[index].pointee.id)
          #expect(allocator.group(id: index + 1) == nil)
        }
        for _ in freed {
          let group = try allocator.makeGroup("")
          #expect(freed.contains(group.pointee.id))
          #expect(allocator.group(id: Int(group.pointee.id)) == group)
          groups.append(group)
        }
        let ids = groups.filter { $0.isOnline }.map { $0.pointee.id }
        #expect(Set(ids).count == 2000 && ids.max() == 2000)
      }
      for group in groups { allocator.release(group) }
    }
  }

  @Test func names() throws {
    try withAllocator { allocator in
      let good = ["", "a", "with blank", "ünïcödé", String(repeating: "n", count: 4095), "a"]
      for name in good {
        let group = try allocator.makeGroup(name)
        let found = group.withName { bytes in
          var copy: [UInt8] = []
          for index in bytes.indices { copy.append(bytes[index]) }
          return String(decoding: copy, as: UTF8.self)
        }
        #expect(found == name)
        allocator.release(group)
      }
      let bad = ["\u{1}", "a\nb", "\u{7f}", "tab\t", String(repeating: "n", count: 4096)]
      for name in bad {
        allocator.expectError(.invalidName) { () throws(AllocatorError) in
          try allocator.makeGroup(name)
        }
      }
      #expect(allocator.statistics.groupsCreated == good.count)
    }
  }

  @Test func errors() throws {
    try withAllocator { allocator in
      let rootGroup = allocator.rootGroup
      allocator.expectError(.rootGroup) { () throws(AllocatorError) in
        try allocator.close(rootGroup)
      }
      allocator.expectError(.rootGroup) { () throws(AllocatorError) in
        try allocator.setMax(1, of: rootGroup)
      }
      allocator.expectError(.invalidLimit) { () throws(AllocatorError) in
        try allocator.makeGroup("", max: -1)
      }
      let parent = try allocator.makeGroup("parent")
      let child = try allocator.makeGroup("child", below: parent)
      allocator.expectError(.invalidLimit) { () throws(AllocatorError) in
        try allocator.setMax(-1, of: parent)
      }
      try allocator.close(child)
      #expect(parent.isOnline)
      try allocator.close(parent)
      for group in [parent, child] {
        allocator.expectError(.groupOffline) { () throws(AllocatorError) in
          try allocator.close(group)
        }
        allocator.expectError(.groupOffline) { () throws(AllocatorError) in
          try allocator.makeGroup("below a dead one", below: group)
        }
      }
      #expect(allocator.statistics.groupsOfflined == 2)
      allocator.release(parent)
      allocator.release(child)
    }
  }

  @Test func treesFromManyThreads() throws {
    try withSeed { seed in
      try withAllocator { allocator in
        let top = try allocator.makeGroup("top")
        onThreads(4) { thread in
          var random = SeededGenerator(seed: seed &+ UInt64(thread))
          for _ in 0..<150 {
            var path = [top]
            for _ in 0..<Int.random(in: 1...6, using: &random) {
              guard let group = try? allocator.makeGroup("t\(thread)", below: path.last) else {
                Issue.record("no group")
                break
              }
              path.append(group)
            }
            // Leaves first; some by `offline` and `release`, some by the last handle alone.
            for group in path.dropFirst().reversed() {
              if Bool.random(using: &random) { try? allocator.close(group) }
              allocator.release(group)
            }
          }
        }
        #expect(top.pointee.onlineChildGroupCount == 0)
        allocator.release(top)
      }
    }
  }
}

extension Allocator {
  fileprivate func group(id: Int) -> Pointer<Group>? {
    let registry = lockRegistry()
    return groupWithID(id, under: registry)
  }
}
