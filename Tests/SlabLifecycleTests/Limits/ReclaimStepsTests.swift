// SPDX-License-Identifier: Apache-2.0
// What a reclaim visits, what it fences, and what it remembers: counts, no times.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ReclaimStepsTests {
  private static var siblings: Int { 2_000 }

  /// A group at its limit, and many children below it with an object each and nothing to give.
  private func withFamily(
    _ body: (Allocator, Pointer<RootCache>, Pointer<Group>, [Pointer<Group>]) throws -> Void
  ) throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let small = try allocator.makeCache("small", size: 64)
      let parent = try allocator.makeGroup("parent")
      var children: [Pointer<Group>] = []
      var objects: [UInt] = []
      for index in 0..<Self.siblings {
        children.append(try allocator.makeGroup("child-\(index)", below: parent))
        objects.append(try allocator.allocate(from: small, in: children[index]))
      }
      try allocator.setMax(parent.currentBytes, of: parent)
      try body(allocator, root, parent, children)
      for object in objects { allocator.free(object) }
      for child in children { allocator.release(child) }
      allocator.release(parent)
      try allocator.destroy(root)
      try allocator.destroy(small)
    }
  }

  private func steps(_ allocator: Allocator, _ body: () throws -> Void) rethrows -> Int {
    let before = allocator.counters.pointee.reclaimSteps.value
    try body()
    return allocator.counters.pointee.reclaimSteps.value - before
  }

  private func reclaimSteps(_ allocator: Allocator, _ group: Pointer<Group>) -> Int {
    steps(allocator) { allocator.reclaim(bytes: 1, of: group) }
  }

  /// A group that has nothing is not visited, however many there are.
  @Test func aRefusalVisitsNobodyWhoHasNothing() throws {
    try withFamily { allocator, root, parent, children in
      for _ in 0..<3 {
        let visited = steps(allocator) {
          allocator.expectError(.groupLimit(parent)) { () throws(AllocatorError) in
            try allocator.allocate(from: root, in: children[7])
          }
        }
        #expect(visited == 0)
      }
    }
  }

  /// The one of many that has something is found, and left when it has nothing any more.
  @Test func theOneWhoHasSomethingIsFound() throws {
    try withFamily { allocator, root, parent, children in
      try allocator.setMax(Group.unlimited, of: parent)
      let idle = try allocator.makeCache("idle", size: slabOfOne)
      allocator.free(try allocator.allocate(from: idle, in: children[1500]))
      #expect(children[1500].currentBytes > slabOfOne)
      try allocator.setMax(parent.currentBytes, of: parent)
      var object: UInt = 0
      let visited = try steps(allocator) {
        object = try allocator.allocate(from: root, in: children[7])
      }
      #expect(children[1500].currentBytes < slabOfOne)
      // The child and its two caches.
      #expect(visited == 3)
      let again = steps(allocator) {
        allocator.expectError(.groupLimit(parent)) { () throws(AllocatorError) in
          try allocator.allocate(from: root, in: children[7])
        }
      }
      #expect(again == 0)
      expectWhole(allocator)
      allocator.free(object)
      try allocator.destroy(idle)
    }
  }

  /// A group with a shrinker is asked each time; those between it and the limit are on the way.
  @Test func aShrinkerIsFoundHoweverDeep() throws {
    try withFamily { allocator, root, parent, children in
      let middle = try allocator.makeGroup("middle", below: children[3])
      let deep = try allocator.makeGroup("deep", below: middle)
      try allocator.setMax(Group.unlimited, of: parent)
      // Groups without a charge have nothing to give.
      let object = try allocator.allocate(from: root, in: deep)
      let oracle = Oracle(freeable: 0)
      let shrinker = try oracle.register(with: allocator, for: deep)
      #expect(reclaimSteps(allocator, parent) == 3)
      #expect(reclaimSteps(allocator, parent) == 3)
      allocator.unregisterShrinker(shrinker)
      // Once more, to see that it is gone.
      #expect(reclaimSteps(allocator, parent) == 3)
      #expect(reclaimSteps(allocator, parent) == 0)
      expectWhole(allocator)
      allocator.free(object)
      allocator.release(deep)
      allocator.release(middle)
      withExtendedLifetime(oracle) {}
    }
  }

  /// A sheaf that opens again after a reclaim has been there is found by the next one.
  @Test func whatIsIdleAgainIsFoundAgain() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 512)
      let group = try allocator.makeGroup("group")
      for _ in 0..<3 {
        try allocator.warmUp(root, in: group)
        #expect(group.currentBytes > 0)
        expectWhole(allocator)
        allocator.reclaim(bytes: .max, of: group)
        #expect(group.currentBytes == 0)
        expectWhole(allocator)
      }
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// One fence for 16 caches of a group, and none if nothing is in use since.
  @Test func oneFenceForSixteenCaches() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      var roots: [Pointer<RootCache>] = []
      for index in 0..<40 {
        roots.append(try allocator.makeCache("cache-\(index)", size: 64))
        try allocator.warmUp(roots[index], in: group)
      }
      let before = allocator.statistics.sheafFences
      allocator.reclaim(bytes: .max, of: group)
      #expect(allocator.statistics.sheafFences - before == 3)
      #expect(group.currentBytes == 0)
      allocator.reclaim(bytes: .max, of: group)
      #expect(allocator.statistics.sheafFences - before == 3)
      expectWhole(allocator)
      allocator.release(group)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// A tenant that stays at its limit costs the others fences ever less often: its cache has a sheaf again after 16 slow
  /// operations, then after 32, 64, 128, and from then on after 255.
  @Test func aTenantAtItsLimitFencesSeldom() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let large = try allocator.makeChargedCache()
      let group = try allocator.makeGroup("group")
      var objects = try allocator.take(2, from: root, in: group)
      try allocator.setMax(group.currentBytes, of: group)
      let before = allocator.statistics.sheafFences
      for _ in 0..<1_000 {
        allocator.free(objects.removeLast())
        objects.append(try allocator.allocate(from: root, in: group))
        allocator.expectError(.groupLimit(group)) { () throws(AllocatorError) in
          try allocator.allocate(from: large, in: group)
        }
      }
      #expect((5...11).contains(allocator.statistics.sheafFences - before))
      expectWhole(allocator)
      for object in objects { allocator.free(object) }
      allocator.release(group)
      try allocator.destroy(large)
      try allocator.destroy(root)
    }
  }

  /// Above `high` with nothing to be had: tried once for 64 pages that are charged, and again as soon as
  /// a group can give something.
  @Test func aFruitlessReclaimIsRemembered() throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let parent = try allocator.makeGroup("parent")
      let child = try allocator.makeGroup("child", below: parent)
      var objects = try allocator.take(2, from: root, in: child)
      try allocator.setHigh(slabOfOne, of: parent)
      func events() -> Int { allocator.events(of: parent, local: true).high }
      // 256 KiB are 8 slabs of one object.
      objects += try allocator.take(8, from: root, in: child)
      #expect(events() == 1)
      objects += try allocator.take(1, from: root, in: child)
      #expect(events() == 2)
      objects += try allocator.take(3, from: root, in: child)
      #expect(events() == 2)
      let hoard = Hoard(allocator)
      let shrinker = try hoard.register(for: child)
      for object in objects { hoard.add(object) }
      let more = try allocator.take(1, from: root, in: child)
      #expect(events() == 3)
      #expect(parent.currentBytes <= 2 * slabOfOne)
      allocator.free(more[0])
      hoard.freeAll()
      allocator.unregisterShrinker(shrinker)
      allocator.release(child)
      allocator.release(parent)
      try allocator.destroy(root)
    }
  }

  /// A thread that is refused does not do all the work of the process's workers, and its own first.
  @Test func helpingTheWorkersIsBounded() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let tenant = try allocator.makeGroup("tenant")
      let strangers = try (0..<200).map { try allocator.makeGroup("stranger-\($0)") }
      let own = try (0..<2).map { try allocator.makeGroup("own-\($0)", below: tenant) }
      let early = try allocator.makeGroup("early", below: tenant)
      for group in strangers + own + [early] {
        allocator.free(try allocator.allocate(from: root, in: group))
      }
      let last = Workers.most - 1
      HeldLocks.beginFork()
      for index in 0..<last {
        unsafe allocator.lifecycle.pointee.workers.busy[index].lock().leaveLocked()
      }
      for group in [early] + strangers.dropLast(20) + own + strangers.suffix(20) {
        try allocator.close(group)
      }
      allocator.helpWorkers(below: tenant)
      #expect(own.allSatisfy { $0.state == .settled })
      #expect(strangers.allSatisfy { $0.state == .offline })
      #expect(tenant.currentBytes == early.currentBytes)
      // It ended long ago: nobody searches all that waits for it.
      #expect(early.state == .offline)
      // Everything is below the root group: some of it.
      allocator.helpWorkers(below: allocator.rootGroup)
      #expect(strangers.count { $0.state == .settled } == 16)
      for index in 0..<last {
        unsafe allocator.lifecycle.pointee.workers.busy[index].alreadyHeld().unlock()
      }
      for group in strangers + own + [early, tenant] { allocator.release(group) }
      try allocator.destroy(root)
    }
  }
}
