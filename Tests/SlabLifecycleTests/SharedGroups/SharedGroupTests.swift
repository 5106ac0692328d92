// SPDX-License-Identifier: Apache-2.0
// Groups that share slabs: what they are charged, what they are refused, and what they see.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

extension Allocator {
  func makeShared(
    _ name: String = "tenant", below parent: Pointer<Group>? = nil, max: Int = Group.unlimited,
    endings: EndingPolicy? = nil
  ) throws(AllocatorError) -> Pointer<Group> {
    try makeGroup(name, below: parent, max: max, endings: endings, memory: .shared)
  }

  /// What a group's objects are charged, without what is in stock.
  func objectBytes(of group: Pointer<Group>) -> Int { charge(of: group).objects }
}

@Suite(.inTurn) struct SharedGroupTests {
  /// Eight objects in three caches, in 1,000 groups.
  @Test func groupsShareSlabs() throws {
    try withAllocator { allocator in
      let roots = try [64, 200, 432].map { try allocator.makeCache("cache-\($0)", size: $0) }
      var objects: [UInt] = []
      var groups: [Pointer<Group>] = []
      for _ in 0..<1000 {
        let group = try allocator.makeShared()
        for (root, count) in zip(roots, [3, 2, 3]) {
          objects += try allocator.take(count, from: root, in: group)
        }
        groups.append(group)
      }
      for group in groups {
        let charge = allocator.charge(of: group)
        #expect(charge.objects == 3 * 64 + 2 * 200 + 3 * 432)
        #expect(charge.current == group.currentBytes && charge.unused == 0 && charge.inherited == 0)
        #expect(group.pointee.cacheCount == 0)
      }
      expectWhole(allocator)
      #expect(allocator.sharedCacheCount == 3)
      let pages = allocator.shared.pointee.group!.currentBytes
      #expect(pages < 1000 * (3 * 64 + 2 * 200 + 3 * 432) * 11 / 10)
      for object in objects { allocator.free(object) }
      for group in groups { #expect(allocator.objectBytes(of: group) == 0) }
      for group in groups { allocator.release(group) }
      allocator.waitUntilIdle()
      #expect(allocator.rootGroup.currentBytes == 0)
      for root in roots {
        root.shrink()
        try allocator.destroy(root)
      }
      allocator.waitUntilIdle()
      #expect(allocator.sharedCacheCount == 0)
    }
  }

  /// A limit is exact to the byte, and what is freed can be allocated at once.
  @Test(arguments: [0, 1, 7, 100]) func limitsAreExact(_ count: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let parent = try allocator.makeGroup("parent")
      let group = try allocator.makeShared(below: parent, max: count * 64 + 63)
      for _ in 0..<3 {
        var objects = try allocator.take(count, from: root, in: group)
        allocator.expectError(.groupLimit(group)) { () throws(AllocatorError) in
          try allocator.allocate(from: root, in: group)
        }
        #expect(group.currentBytes == count * 64)
        if let object = objects.popLast() {
          allocator.free(object)
          objects.append(try allocator.allocate(from: root, in: group))
        }
        for object in objects { allocator.free(object) }
      }
      #expect(counts(allocator.events(of: group, local: true)) == [0, 0, 3, 3])
      allocator.release(group)
      allocator.release(parent)
      try allocator.destroy(root)
    }
  }

  /// A group that goes on is charged for four pages at a time, near its limit for one, and at last for the object.
  @Test func stocksGrow() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 432)
      let free = try allocator.makeShared()
      let limited = try allocator.makeShared(max: 10_000)
      try onOneCPU {
        for (group, charges) in [(free, [4096, 20_480, 20_480]), (limited, [4096, 8192, 8624])] {
          var objects: [UInt] = []
          for (count, charge) in zip([9, 18, 19], charges) {
            objects += try allocator.take(count - objects.count, from: root, in: group)
            #expect(group.currentBytes == charge)
          }
          for object in objects { allocator.free(object) }
          #expect(group.currentBytes == charges[2])
        }
      }
      expectWhole(allocator)
      for group in [free, limited] { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// What CPUs have in stock for one group makes room for another one below the same limit, whatever this is.
  @Test(arguments: [MemoryPolicy.isolated, .shared]) func stocksMakeRoom(_ other: MemoryPolicy)
    throws
  {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 1024)
      let parent = try allocator.makeGroup("parent", max: 4 * 4096)
      let outside = try allocator.makeShared()
      try onOneCPU { allocator.free(try allocator.allocate(from: root, in: outside)) }
      let idle = try (0..<3).map { _ in try allocator.makeShared(below: parent) }
      onThreads(3) { thread in
        guard let object = try? allocator.allocate(from: root, in: idle[thread]) else {
          Issue.record("refused")
          return
        }
        allocator.free(object)
      }
      #expect(parent.currentBytes > 0)
      let group = try allocator.makeGroup("group", below: parent, memory: other)
      let objects = try allocator.take(16, from: root, in: group)
      #expect(parent.currentBytes == 4 * 4096)
      for group in idle { #expect(group.currentBytes == 0) }
      // What other tenants have is theirs.
      #expect(outside.currentBytes == 4096)
      #expect(counts(allocator.events(of: parent, local: true))[3] == 0)
      expectWhole(allocator)
      for object in objects { allocator.free(object) }
      for group in idle + [group, parent, outside] { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// What one group frees another one sees as zeros, also what it never wrote itself.
  @Test func objectsAreCleared() throws {
    try withAllocator { allocator in
      let groups = try (0..<2).map { _ in try allocator.makeShared() }
      for size in [8, 48, 700, 5000] {
        for round in 0..<6 {
          let objects = try (0..<200).map { _ in
            try allocator.allocate(bytes: size, in: groups[round % 2])
          }
          for object in objects {
            let bytes = allocator.usableBytes(of: object)
            #expect(strange(object, bytes: bytes, own: 0) == 0)
            fill(object, bytes: bytes, with: ~0)
          }
          if round == 3 {
            unsafe objects.withUnsafeBufferPointer {
              unsafe SharedHeap.free(bulk: UnsafeMutableBufferPointer(mutating: $0))
            }
          } else {
            for object in objects { allocator.free(object) }
          }
          if round == 4 { allocator.trim() }
        }
      }
      for group in groups { allocator.release(group) }
    }
  }

  /// What a shared slab cannot hold is in slabs of the group's own, and ends with it.
  @Test func whatCannotBeShared() throws {
    try withAllocator { allocator in
      let roots = [
        try allocator.makeCache("large", size: 9000),
        try allocator.makeCache("poisoned", size: 64, options: .poison),
        try allocator.makeCache("type-safe", size: 64, options: .typeSafe),
        try unsafe allocator.makeCache("constructed", size: 64, constructor: { _ in }),
      ]
      let group = try allocator.makeShared()
      var objects = try roots.map { try allocator.allocate(from: $0, in: group) }
      objects.append(try allocator.allocate(bytes: 100_000, in: group))
      #expect(allocator.sharedCacheCount == 0 && group.pointee.cacheCount == 5)
      objects += try [16, 2000].map { try allocator.allocate(bytes: $0, in: group) }
      #expect(allocator.sharedCacheCount == 2 && group.pointee.cacheCount == 5)
      let charge = allocator.charge(of: group)
      #expect(charge.objects == 9000 + 3 * 64 + 25 * 4096 + 16 + 2048)
      expectWhole(allocator)
      allocator.release(group)
      allocator.waitUntilIdle()
      expectWhole(allocator)
      #expect(allocator.rootGroup.currentBytes > 0)
      for object in objects { allocator.free(object) }
      allocator.waitUntilIdle()
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// Many at once: all, or none and nothing charged.
  @Test func inBulk() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 200)
      let group = try allocator.makeShared(max: 100 * 200)
      var objects = [UInt](repeating: 0, count: 100)
      for count in [1, 60, 100, 101] {
        if count == 101 { objects.append(0) }
        unsafe objects.withUnsafeMutableBufferPointer { buffer in
          let part = unsafe UnsafeMutableBufferPointer(rebasing: buffer[..<count])
          do throws(AllocatorError) {
            unsafe try allocator.allocate(bulk: part, from: root, in: group)
          } catch {
            #expect(error == .groupLimit(group) && count == 101)
            return
          }
          let found = unsafe Set(part)
          #expect(found.count == count && count < 101)
          #expect(allocator.objectBytes(of: group) == count * 200)
          unsafe SharedHeap.free(bulk: part)
        }
        #expect(allocator.objectBytes(of: group) == 0)
      }
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// A group that overcharges goes beyond its limit, by the byte, up to its stop.
  @Test func overcharging() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeShared(max: 640)
      try allocator.setPolicy(.overcharge, of: group)
      try allocator.setStop(1280, of: group)
      let objects = try allocator.take(20, from: root, in: group)
      #expect(group.currentBytes == 1280)
      #expect(allocator.events(of: group, local: true).overcharge == 10)
      allocator.expectError(.groupLimit(group)) { () throws(AllocatorError) in
        try allocator.allocate(from: root, in: group)
      }
      for object in objects { allocator.free(object) }
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// Only a group in which nothing was allocated becomes a shared one.
  @Test func becomingShared() throws {
    try withAllocator { allocator in
      allocator.expectError(.rootGroup) { () throws(AllocatorError) in
        try allocator.share(allocator.rootGroup)
      }
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(bytes: 16, in: group)
      allocator.expectError(.groupInUse) { () throws(AllocatorError) in try allocator.share(group) }
      #expect(!group.isShared)
      allocator.free(object)
      try allocator.close(group)
      allocator.waitUntilIdle()
      allocator.expectError(.groupOffline) { () throws(AllocatorError) in
        try allocator.share(group)
      }
      allocator.release(group)
      let parent = try allocator.makeShared()
      let isolated = try allocator.makeGroup("isolated", below: parent)
      #expect(parent.isShared && !isolated.isShared)
      allocator.release(isolated)
      allocator.release(parent)
    }
    var configuration = AllocatorConfiguration()
    configuration.memory = .shared
    try withAllocator(configuration: configuration) { allocator in
      let group = try allocator.makeGroup("group")
      #expect(group.isShared)
      let other = try allocator.makeGroup("other", memory: .isolated)
      #expect(!other.isShared)
      allocator.release(group)
      allocator.release(other)
    }
    // There were no such groups.
    configuration.design = .linux410
    try withAllocator(configuration: configuration) { allocator in
      let group = try allocator.makeGroup("group")
      #expect(!group.isShared)
      allocator.release(group)
    }
  }

  /// Where the heap is used up an allocation is refused, and charged to nobody.
  @Test func withoutMemory() throws {
    var configuration = AllocatorConfiguration()
    configuration.addressSpaceBytes = 16 << 20
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makeCache("cache", size: 512)
      let group = try allocator.makeShared()
      var objects: [UInt] = []
      allocator.expectError(.outOfMemory) { () throws(AllocatorError) in
        while true { objects.append(try allocator.allocate(from: root, in: group)) }
      }
      #expect(objects.count > 10_000)
      #expect(allocator.objectBytes(of: group) == 512 * objects.count)
      expectWhole(allocator)
      for object in objects { allocator.free(object) }
      allocator.release(group)
      allocator.waitUntilIdle()
      try allocator.destroy(root)
    }
  }
}
