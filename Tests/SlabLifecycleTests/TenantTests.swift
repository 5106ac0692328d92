// SPDX-License-Identifier: Apache-2.0
// Nobody sees what another tenant left: every word of an object that is handed out is zero or the
// tenant's own.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// How a tenant's memory comes back.
private enum Return: CaseIterable {
  case freedAndClosed, closedAndFreed, discarded, shrunk, trimmed

  func giveBack(
    _ objects: [UInt], of group: Pointer<Group>, to allocator: Allocator
  ) throws {
    switch self {
    case .freedAndClosed:
      for object in objects { allocator.free(object) }
      try allocator.close(group)
    case .closedAndFreed:
      try allocator.close(group)
      for object in objects { allocator.free(object) }
    case .discarded: try allocator.discard(group)
    case .shrunk, .trimmed:
      for object in objects { allocator.free(object) }
      group.giveBackIdle()
      if self == .trimmed { allocator.trim() }
    }
    allocator.waitUntilIdle()
  }
}

@Suite(.inTurn) struct TenantTests {
  private let firstWord: UInt64 = 0x1111_1111_1111_1111
  private let secondWord: UInt64 = 0x2222_2222_2222_2222

  /// Objects of every size, which take the first tenant's memory over. Units, pages, runs of pages; a slab
  /// whose end belongs to no object is read by the last size, which uses every byte.
  @Test(arguments: Return.allCases) fileprivate func theNextTenantSeesNothing(_ way: Return) throws
  {
    let sizes = [8, 24, 48, 1000, 40_000, 64]
    try withAllocator { allocator in
      let first = try allocator.makeGroup("first")
      let second = try allocator.makeGroup("second")
      var objects: [UInt] = []
      for size in sizes + [64 << 10, 256 << 10] {
        for _ in 0..<max(1, 100_000 / size) {
          let object = try allocator.allocate(bytes: size, in: first)
          fill(object, bytes: allocator.usableBytes(of: object), with: firstWord)
          objects.append(object)
        }
      }
      try way.giveBack(objects, of: first, to: allocator)
      let recycled = allocator.statistics.freeResidentBytes
      #expect(way == .trimmed || recycled > 1 << 19)
      // Twice, so that what one size leaves over comes to another size.
      for round in 0..<2 {
        objects = []
        for size in round == 0 ? sizes : sizes.reversed() + [64 << 10, 128 << 10] {
          for _ in 0..<max(1, 50_000 / size) {
            let object = try allocator.allocate(bytes: size, in: second)
            let bytes = allocator.usableBytes(of: object)
            #expect(strange(object, bytes: bytes, own: secondWord) == 0, "\(size)")
            fill(object, bytes: bytes, with: secondWord)
            objects.append(object)
          }
        }
        for object in objects { allocator.free(object) }
        second.giveBackIdle()
      }
      for group in [first, second] { allocator.release(group) }
    }
  }

  /// Large runs that a group keeps for its next object go to another one only by the pages, which clear them.
  @Test(arguments: Return.allCases) fileprivate func largeRunsAtHand(_ way: Return) throws {
    try withAllocator { allocator in
      let first = try allocator.makeGroup("first")
      let second = try allocator.makeGroup("second")
      let bytes = 64 << 10
      var kept = 0
      try onOneCPU {
        for round in 0..<20 {
          let blocks = try (0..<2).map { _ in try allocator.allocate(bytes: bytes, in: first) }
          for block in blocks {
            #expect(strange(block, bytes: bytes, own: firstWord) == 0)
            if round > 10, Words(at: block)[0] == firstWord { kept += 1 }
            fill(block, bytes: bytes, with: firstWord)
            allocator.free(block)
          }
        }
      }
      #expect(kept == 18)
      #expect(first.currentBytes == 2 * bytes)
      // Nothing is left for the second one but by the way.
      try way.giveBack([], of: first, to: allocator)
      #expect(first.currentBytes == 0)
      let blocks = try (0..<8).map { _ in try allocator.allocate(bytes: bytes, in: second) }
      for block in blocks {
        #expect(strange(block, bytes: bytes, own: secondWord) == 0)
        allocator.free(block)
      }
      for group in [first, second] { allocator.release(group) }
    }
  }

  /// What a group gives back and takes again is as it was: nothing is cleared that need not be.
  @Test(arguments: [40, 900, 3000, 32 << 10, 64 << 10]) func oneSeesOnesOwn(_ size: Int) throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant")
      var kept = 0
      for _ in 0..<3 {
        var objects: [UInt] = []
        for _ in 0..<40 {
          let object = try allocator.allocate(bytes: size, in: group)
          let bytes = allocator.usableBytes(of: object)
          #expect(strange(object, bytes: bytes, own: firstWord) == 0)
          if Words(at: object)[0] == firstWord { kept += 1 }
          fill(object, bytes: bytes, with: firstWord)
          objects.append(object)
        }
        for object in objects { allocator.free(object) }
        group.giveBackIdle()
        #expect(group.currentBytes == 0)
      }
      #expect(kept >= 60)
      allocator.release(group)
    }
  }

  /// The root group and the core are tenants too: what the core leaves are addresses and names.
  @Test func theRootGroupAndTheCore() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 1024)
      var objects = try (0..<100).map { _ in try allocator.allocate(from: root, in: nil) }
      for object in objects { fill(object, bytes: 1024, with: firstWord) }
      for object in objects { allocator.free(object) }
      root.cache.shrink()
      // Names of a page each, and descriptors: memory of the core's that goes back.
      let name = String(repeating: "n", count: 3000)
      let groups = try (0..<60).map { _ in try allocator.makeGroup(name) }
      for group in groups { allocator.release(group) }
      allocator.waitUntilIdle()
      var roots: [Pointer<Cache>] = []
      let registry = allocator.lockRegistry()
      allocator.forEachCache(under: registry) { if $0.isRoot { roots.append($0) } }
      registry.unlock()
      // Not under the lock: a shrink walks slabs. The core's roots stay.
      for root in roots { root.shrink() }
      objects = try (0..<50).map { _ in try allocator.allocate(from: root, in: nil) }
      for object in objects {
        #expect(strange(object, bytes: 1024, own: firstWord) == 0)
        allocator.free(object)
      }
      root.cache.shrink()
      let tenant = try allocator.makeGroup("tenant")
      objects = []
      for _ in 0..<1000 {
        let object = try allocator.allocate(from: root, in: tenant)
        #expect(strange(object, bytes: 1024, own: secondWord) == 0)
        fill(object, bytes: 1024, with: secondWord)
        objects.append(object)
      }
      for object in objects { allocator.free(object) }
      allocator.release(tenant)
      allocator.waitUntilIdle()
      objects = try (0..<1000).map { _ in try allocator.allocate(from: root, in: nil) }
      for object in objects { #expect(strange(object, bytes: 1024, own: firstWord) == 0) }
      for object in objects { allocator.free(object) }
      try allocator.destroy(root)
    }
  }

  /// A parent has the pages of a group that has ended; not what stands in them.
  @Test func theHeirSeesNothing() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let parent = try allocator.makeGroup("parent")
      let child = try allocator.makeGroup("child", below: parent)
      // A unit is inherited free, one with a live object, and two are freed later.
      var inherited = try (0..<48).map { _ in try allocator.allocate(from: root, in: child) }
      for object in inherited { fill(object, bytes: 64, with: firstWord) }
      for object in inherited[1..<33] { allocator.free(object) }
      inherited.removeSubrange(1..<33)
      allocator.release(child)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 1)
      var own: [UInt] = []
      func take(_ count: Int) throws {
        for _ in 0..<count {
          let object = try allocator.allocate(from: root, in: parent)
          #expect(strange(object, bytes: 64, own: secondWord) == 0)
          fill(object, bytes: 64, with: secondWord)
          own.append(object)
        }
      }
      try take(16)
      #expect(pages(of: own) == pages(of: inherited))
      for object in inherited.dropFirst() { allocator.free(object) }
      try take(100)
      allocator.free(inherited[0])
      try take(100)
      for object in own { allocator.free(object) }
      allocator.release(parent)
      allocator.waitUntilIdle()
      try allocator.destroy(root)
    }
  }

  /// A page that was inherited with one live object, and goes back whole after the heir has had two of its
  /// four units: what the child left stands in the other two.
  @Test func theHeirsWholePageOfUnits() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let other = try allocator.makeCache("other", size: 64)
      let large = try allocator.makeCache("large", size: 4096)
      let parent = try allocator.makeGroup("parent")
      let child = try allocator.makeGroup("child", below: parent)
      let inherited = try (0..<48).map { _ in try allocator.allocate(from: root, in: child) }
      for object in inherited { fill(object, bytes: 64, with: firstWord) }
      for object in inherited.dropFirst() { allocator.free(object) }
      allocator.release(child)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 1)
      let page = pages(of: [inherited[0]])
      func take(_ count: Int, from root: Pointer<RootCache>) throws -> [UInt] {
        try (0..<count).map { _ in
          let object = try allocator.allocate(from: root, in: parent)
          #expect(strange(object, bytes: root.objectSize, own: secondWord) == 0)
          fill(object, bytes: root.objectSize, with: secondWord)
          return object
        }
      }
      // A cache's first slab has one unit.
      var own = try take(16, from: root)
      // Now its unit is free as the child's, and the next one that the heir takes and clears.
      allocator.free(inherited[0])
      own += try take(16, from: other)
      #expect(pages(of: own) == page)
      for object in own { allocator.free(object) }
      parent.giveBackIdle()
      #expect(parent.currentBytes == 0)
      // A slab of whole pages, none of which comes from the group's units.
      own = try take(8, from: large)
      #expect(pages(of: own).isSuperset(of: page))
      for object in own { allocator.free(object) }
      parent.giveBackIdle()
      // Whole pages are its own as before: nothing is cleared that need not be.
      var kept = 0
      for _ in 0..<2 {
        own = try (0..<32).map { _ in try allocator.allocate(from: large, in: parent) }
        for object in own {
          if Words(at: object)[0] == secondWord { kept += 1 }
          fill(object, bytes: 4096, with: secondWord)
          allocator.free(object)
        }
        parent.giveBackIdle()
      }
      #expect(kept >= 24)
      allocator.release(parent)
      allocator.waitUntilIdle()
      for root in [root, other, large] { try allocator.destroy(root) }
    }
  }

  /// Also while the caches of the group are on their way to the parent.
  @Test func theHeirSeesNothingMeanwhile() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let root = try allocator.makeCache("cache", size: 4096)
        let parent = try allocator.makeGroup("parent")
        let child = try allocator.makeGroup("child", below: parent)
        let objects = try (0..<32).map { _ in try allocator.allocate(from: root, in: child) }
        for object in objects { fill(object, bytes: 4096, with: 1) }
        // No worker: this thread does their work, in an order of its own.
        FaultInjection.failCall(1, of: .startThread, with: .noMemory, repeating: true)
        try allocator.close(child)
        #expect(allocator.runFenceBatch())
        allocator.release(child)
        for object in objects { allocator.free(object) }
        let own = try (0..<32).map { _ in try allocator.allocate(from: root, in: parent) }
        for object in own { #expect(strange(object, bytes: 4096, own: 2) == 0) }
        #expect(allocator.runReparentQueue())
        #expect(FaultInjection.end() >= 1)
        for object in own { allocator.free(object) }
        allocator.release(parent)
        try allocator.destroy(root)
      }
    }
  }

  /// A constructor, and a reader of a poisoned cache's first object, see nothing either.
  @Test func constructorsAndPoison() throws {
    try withAllocator { allocator in
      let first = try allocator.makeGroup("first")
      var objects = try (0..<200).map { _ in try allocator.allocate(bytes: 2048, in: first) }
      for object in objects { fill(object, bytes: 2048, with: firstWord) }
      for object in objects { allocator.free(object) }
      allocator.release(first)
      allocator.waitUntilIdle()
      // Makes the first word its own, and leaves the others.
      let made = try unsafe allocator.makeCache("made", size: 48) { object in
        // SAFETY: an object of 48 bytes.
        unsafe object.storeBytes(of: 0x2222_2222_2222_2222, as: UInt64.self)
      }
      let poisoned = try allocator.makeCache("poisoned", size: 48, options: .poison)
      let second = try allocator.makeGroup("second")
      objects = []
      for root in [made, poisoned] {
        for _ in 0..<300 {
          let object = try allocator.allocate(from: root, in: second)
          if root == made {
            #expect(strange(object, bytes: 48, own: secondWord) == 0)
            #expect(Words(at: object)[0] == secondWord)
          }
          objects.append(object)
        }
      }
      for object in objects { allocator.free(object) }
      second.giveBackIdle()
      // Every byte of those slabs, by objects that leave no rest.
      objects = []
      for _ in 0..<600 {
        let object = try allocator.allocate(bytes: 64, in: second)
        #expect((0..<8).allSatisfy { Words(at: object)[$0] != firstWord })
        objects.append(object)
      }
      for object in objects { allocator.free(object) }
      allocator.release(second)
      for root in [made, poisoned] { try allocator.destroy(root) }
    }
  }

  /// Tenants that come and go in every order, at random.
  @Test(arguments: [EndingPolicy.keep, .reparent]) func atRandom(_ endings: EndingPolicy) throws {
    var configuration = AllocatorConfiguration()
    configuration.endings = endings
    try withSeed { seed in
      try withAllocator(configuration: configuration) { allocator in
        var world = TenantWorld(allocator: allocator, seed: seed)
        for _ in 0..<6000 { try world.step() }
        #expect(world.handedOut > 2000)
        world.end()
      }
    }
  }

  /// Numbers are used once, and a group that gets none keeps nothing.
  @Test func numbersOfTenants() {
    #expect(Tenant(groupsBefore: 0) != .rootGroup && Tenant(groupsBefore: 0) != .nobody)
    #expect(Tenant(groupsBefore: 0) != .shared)
    #expect(Tenant(groupsBefore: 1) != Tenant(groupsBefore: 0))
    let last = Int(UInt32.max) - 3
    #expect(Tenant(groupsBefore: last).number == .max)
    for count in [last + 1, last + 2, last + 3, .max] {
      #expect(Tenant(groupsBefore: count) == .nobody)
    }
    #expect(Tenant.nobody.isForeign(to: .nobody))
    #expect(!Tenant.rootGroup.isForeign(to: .rootGroup))
    #expect(Tenant.rootGroup.isForeign(to: .nobody))
  }
}
