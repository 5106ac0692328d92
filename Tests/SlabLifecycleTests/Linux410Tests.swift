// SPDX-License-Identifier: Apache-2.0
// The rules of Linux 4.10 beside ours: the same books at the end, another number of steps, and the
// faults that the reference names.

import SlabTestSupport
import Testing

@testable import SlabCore
@testable import SlabPlatform

private func withLinux410(_ body: (Allocator) throws -> Void) throws {
  var configuration = AllocatorConfiguration()
  configuration.design = .linux410
  try withAllocator(configuration: configuration, body)
}

extension Allocator {
  /// How many caches are on the list of all.
  fileprivate var cacheCount: Int {
    let registry = lockRegistry()
    var count = 0
    forEachCache(under: registry) { _ in count += 1 }
    return count
  }

  /// The steps of a body and of what it leaves to the workers.
  fileprivate func steps(of body: () throws -> Void) rethrows -> Int {
    let before = statistics.listSteps
    try body()
    waitUntilIdle()
    return statistics.listSteps - before
  }

  fileprivate func free(all objects: [UInt]) {
    for object in objects { free(object) }
  }

  fileprivate func makeRoots(_ count: Int) throws -> [Pointer<RootCache>] {
    try (0..<count).map { try makeCache("cache-\($0)", size: 64 << ($0 % 3)) }
  }

  /// A group with an object in its child of each root.
  fileprivate func makeTenant(
    _ name: String, _ roots: [Pointer<RootCache>], below parent: Pointer<Group>? = nil
  ) throws -> (group: Pointer<Group>, objects: [UInt]) {
    let group = try makeGroup(name, below: parent)
    return (group, try roots.map { try allocate(from: $0, in: group) })
  }
}

@Suite(.inTurn) struct Linux410StepTests {
  /// Two walks and a fence when a group goes offline, one walk when it is freed, each of all caches.
  @Test func endingOfAGroup() throws {
    try withLinux410 { allocator in
      let roots = try allocator.makeRoots(3)
      let tenants = try (0..<6).map { try allocator.makeTenant("group-\($0)", roots) }
      for (index, tenant) in tenants.enumerated() {
        let all = allocator.cacheCount
        let before = allocator.statistics
        #expect(try allocator.steps { try allocator.close(tenant.group) } == 2 * all)
        #expect(allocator.statistics.fences == before.fences + 1)
        #expect(allocator.statistics.fenceBatches == before.fenceBatches + 1)
        #expect(allocator.steps { allocator.free(all: tenant.objects) } == 0)
        // Without slabs, and still there: it is shut down with its group.
        #expect(allocator.cacheCount == all)
        #expect(allocator.steps { allocator.release(tenant.group) } == all)
        #expect(allocator.cacheCount == all - 3)
        #expect(allocator.statistics.groupsReleased == index + 1)
        expectWhole(allocator)
      }
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// Ours: one step for the group, and two for each of its caches, whatever else there is.
  @Test(arguments: [0, 40]) func endingOfAGroupNow(others: Int) throws {
    try withAllocator { allocator in
      let roots = try allocator.makeRoots(3)
      let tenants = try (0...others).map { try allocator.makeTenant("group-\($0)", roots) }
      for tenant in tenants {
        let steps = try allocator.steps {
          try allocator.close(tenant.group)
          allocator.free(all: tenant.objects)
          allocator.release(tenant.group)
        }
        #expect(steps == 1 + 2 * 3)
      }
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// The arrays of the roots' children grow with the first, the 5th, the 11th and the 23rd group.
  @Test func makingOfGroups() throws {
    try withLinux410 { allocator in
      let all = allocator.cacheCount
      var groups: [Pointer<Group>] = []
      for number in 1...30 {
        let steps = try allocator.steps { groups.append(try allocator.makeGroup("group")) }
        #expect(steps == ([1, 5, 11, 23].contains(number) ? all : 0), "group \(number)")
      }
      // Ids are used again.
      for group in groups { allocator.release(group) }
      allocator.waitUntilIdle()
      #expect(try allocator.steps { groups = [try allocator.makeGroup("group")] } == 0)
      allocator.release(groups[0])
    }
  }

  @Test func makingAndDestroyingOfRoots() throws {
    try withLinux410 { allocator in
      let roots = try allocator.makeRoots(3)
      let tenants = try (0..<6).map { try allocator.makeTenant("group-\($0)", roots) }
      let all = allocator.cacheCount
      var another: Pointer<RootCache>!
      #expect(try allocator.steps { another = try allocator.makeCache("another", size: 64) } == all)
      allocator.expectError(.nameInUse) { () throws(AllocatorError) in
        try allocator.makeCache("cache-0", size: 64)
      }
      // Six groups: the arrays have 10 entries. All children are found in them.
      #expect(try allocator.steps { try allocator.destroy(another) } == 10)
      for tenant in tenants { allocator.free(all: tenant.objects) }
      #expect(try allocator.steps { try allocator.destroy(roots[0]) } == 10)
      // Of groups that are offline they are not: one step more for each.
      try allocator.close(tenants[0].group)
      try allocator.close(tenants[1].group)
      #expect(try allocator.steps { try allocator.destroy(roots[1]) } == 10 + 2)
      for tenant in tenants { allocator.release(tenant.group) }
      try allocator.destroy(roots[2])
    }
  }
}

@Suite(.inTurn) struct Linux410Tests {
  /// A group waits for its objects, and a parent for its child groups.
  @Test func groupsWaitForTheirReferences() throws {
    try withLinux410 { allocator in
      let roots = try allocator.makeRoots(2)
      let parent = try allocator.makeTenant("parent", roots)
      let child = try allocator.makeTenant("child", roots, below: parent.group)
      try allocator.close(child.group)
      allocator.expectError(.groupOffline) { () throws(AllocatorError) in
        try allocator.close(child.group)
      }
      allocator.expectError(.groupOffline) { () throws(AllocatorError) in
        try allocator.allocate(from: roots[0], in: child.group)
      }
      allocator.release(child.group)
      // Goes offline by that.
      allocator.release(parent.group)
      allocator.free(all: parent.objects)
      allocator.free(child.objects[0])
      allocator.waitUntilIdle()
      expectWhole(allocator)
      #expect(allocator.statistics.groupsReleased == 0)
      #expect(allocator.statistics.childCachesShutDown == 0)
      allocator.free(child.objects[1])
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 2)
      #expect(allocator.statistics.childCachesReleased == 4)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// One barrier for each group with a type-safe cache, and one for each root: nothing is shared.
  @Test func aBarrierForEachGroup() throws {
    try withLinux410 { allocator in
      let root = try allocator.makeCache("cache", size: 1024, options: .typeSafe)
      let plain = try allocator.makeCache("plain", size: 1024)
      for index in 0..<20 {
        let group = try allocator.makeGroup("group")
        allocator.free(try allocator.allocate(from: plain, in: group))
        if index % 2 == 0 { allocator.free(try allocator.allocate(from: root, in: group)) }
        allocator.release(group)
      }
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 20)
      #expect(allocator.statistics.barrierBatches == 10)
      allocator.free(try allocator.allocate(from: root, in: nil))
      try allocator.destroy(root)
      // Synchronous: it is gone when destroy returns.
      #expect(allocator.statistics.rootCachesReleased == 1)
      #expect(allocator.statistics.barrierBatches == 11)
      try allocator.destroy(plain)
    }
  }

  /// What is in sheaves is nobody's: it goes back at offline, and holds nothing.
  @Test func sheavesAreFlushedAtOffline() throws {
    try withLinux410 { allocator in
      let roots = try allocator.makeRoots(3)
      let group = try allocator.makeGroup("group")
      for root in roots { try allocator.warmUp(root, in: group) }
      #expect(group.currentBytes > 0)
      try allocator.close(group)
      #expect(group.currentBytes == 0)
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 1)
      // And in children of a root that is destroyed.
      let online = try allocator.makeGroup("online")
      for root in roots {
        try allocator.warmUp(root, in: online)
        try allocator.warmUp(root, in: nil)
        try allocator.destroy(root)
      }
      #expect(online.currentBytes == 0)
      allocator.release(online)
    }
  }

  #if DEBUG
    /// A root is destroyed while its child's last free is under way. The child ends with its group then, and
    /// the root with the child, in the middle of the walk over all caches, which stands before the root.
    @Test func theRootGoesWithItsLastChild() async {
      await #expect(processExitsWith: .success) {
        try withLinux410 { allocator in
          let root = try allocator.makeCache("cache", size: 1000)
          let group = try allocator.makeGroup("group")
          let object = try allocator.allocate(from: root, in: group)
          let child = try #require(allocator.cache(of: object))
          #expect(child.allNode.successor(in: allocator.allCachesList) == root.cache.allNode)
          try allocator.close(group)
          allocator.release(group)
          PausePoints.arm(.beforeReleasingSlabs)
          let thread = TestThread { allocator.free(object) }
          #expect(PausePoints.waitUntilReached(.beforeReleasingSlabs))
          try allocator.destroy(root)
          #expect(allocator.statistics.rootCachesReleased == 0)
          PausePoints.resume(.beforeReleasingSlabs)
          thread.join()
          allocator.waitUntilIdle()
          #expect(allocator.statistics.rootCachesReleased == 1)
        }
      }
    }
  #endif

  /// What only the group lock orders: while one group goes offline, no other can begin or end.
  @Test func groupsWaitForTheLock() throws {
    try withLinux410 { allocator in
      let group = try allocator.makeGroup("group")
      let id = Shared(0)
      allocator.lockGroups()
      let thread = TestThread {
        id.with { $0 = threadID() }
        try? allocator.close(group)
      }
      #expect(eventually { id.with { $0 } != 0 })
      #expect(waitUntilAsleep(threadID: id.with { $0 }))
      #expect(group.isOnline)
      allocator.unlockGroups()
      thread.join()
      #expect(!group.isOnline)
      allocator.release(group)
    }
  }
}

/// Reading slabinfo while groups come and go between two pieces.
@Suite(.inTurn) struct SlabinfoByPositionTests {
  /// Reads some lines, lets the body change the caches, reads the rest; the names of the test's
  /// caches in the order in which they appear.
  private func names(
    of allocator: Allocator, afterLines lines: Int, _ body: () throws -> Void
  ) throws -> [String] {
    var reader = try SlabinfoReader(of: allocator)
    defer { reader.close() }
    var text: [UInt8] = []
    func read(_ bytes: Int) -> [UInt8] {
      [UInt8](capacity: bytes) { buffer in _ = reader.read(into: &buffer) }
    }
    while text.count(where: { $0 == UInt8(ascii: "\n") }) < lines + 2 { text += read(1) }
    try body()
    while true {
      let piece = read(64)
      if piece.isEmpty { break }
      text += piece
    }
    let all = SlabinfoLine.all(in: String(decoding: text, as: UTF8.self)).map(\.name)
    return all.filter { $0.hasPrefix("cache-") }
  }

  private func withReading(
    _ design: LifecycleDesign,
    _ body: (Allocator, [Pointer<RootCache>]) throws -> Void
  ) throws {
    var configuration = AllocatorConfiguration()
    configuration.design = design
    try withAllocator(configuration: configuration) { allocator in
      let roots = try allocator.makeRoots(8)
      try body(allocator, roots)
      for root in roots { try allocator.destroy(root) }
    }
  }

  private let expected = (0..<8).reversed().map { "cache-\($0)" }

  @Test(arguments: [LifecycleDesign.current, .linux410])
  func aGroupThatComes(design: LifecycleDesign) throws {
    try withReading(design) { allocator, roots in
      var tenant: (group: Pointer<Group>, objects: [UInt])!
      let found = try names(of: allocator, afterLines: 3) {
        tenant = try allocator.makeTenant("group", Array(roots[..<2]))
      }
      switch design {
      case .current: #expect(found == expected)
      // Two new caches at the head: the last two lines appear again.
      case .linux410: #expect(found == Array(expected[..<3]) + expected[1...])
      }
      allocator.free(all: tenant.objects)
      allocator.release(tenant.group)
    }
  }

  @Test(arguments: [LifecycleDesign.current, .linux410])
  func aGroupThatGoes(design: LifecycleDesign) throws {
    try withReading(design) { allocator, roots in
      let tenant = try allocator.makeTenant("group", Array(roots[..<2]))
      let found = try names(of: allocator, afterLines: 3) {
        allocator.free(all: tenant.objects)
        allocator.release(tenant.group)
        allocator.waitUntilIdle()
      }
      switch design {
      case .current: #expect(found == expected)
      // Two caches fewer before the position: two lines are lost.
      case .linux410: #expect(found == Array(expected[..<3]) + expected[5...])
      }
    }
  }

  /// Undisturbed the text is the same, in pieces of any size, and each piece walks from the head.
  @Test(arguments: [1, 7, 100, 4096]) func theSameText(pieceBytes: Int) throws {
    var texts: [[String]] = []
    for design in [LifecycleDesign.current, .linux410] {
      try withReading(design) { allocator, roots in
        let tenants = try (0..<5).map { try allocator.makeTenant("group-\($0)", roots) }
        texts.append([
          try allocator.slabinfo(pieceBytes: pieceBytes),
          try allocator.slabinfo(of: tenants[2].group, pieceBytes: pieceBytes),
        ])
        if design == .linux410, pieceBytes == 1 {
          let all = allocator.cacheCount
          let steps = try allocator.steps { _ = try allocator.slabinfo(pieceBytes: 1 << 16) }
          // One walk, with the children of the roots for the sums, and once more to the end.
          #expect(steps == all + 40 + all)
        }
        for tenant in tenants {
          allocator.free(all: tenant.objects)
          allocator.release(tenant.group)
        }
      }
    }
    // The core's own caches differ with what the designs have allocated.
    let own = texts.map {
      $0.map { SlabinfoLine.all(in: $0).filter { $0.name.contains("cache-") } }
    }
    #expect(own[0] == own[1])
    #expect(own[0][0].count == 8 && own[0][1].count == 8)
  }
}
