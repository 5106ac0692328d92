// Nobody sees what another tenant left: every word of an object that is handed out is zero or the
// tenant's own.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// Words of an object that are neither zero nor the tenant's own.
private func strange(_ object: UInt, bytes: Int, own: UInt64) -> Int {
  let words = Words(at: object)
  return (0..<bytes / 8).count { words[$0] != 0 && words[$0] != own }
}

private func fill(_ object: UInt, bytes: Int, with word: UInt64) {
  let words = Words(at: object)
  for index in 0..<bytes / 8 { words[index] = word }
}

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
    allocator.waitUntilDrained()
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
      allocator.waitUntilDrained()
      var roots: [Pointer<Cache>] = []
      allocator.state.pointee.registry.lock.lock()
      allocator.state.forEachCache { if $0.isRoot { roots.append($0) } }
      allocator.state.pointee.registry.lock.unlock()
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
      allocator.waitUntilDrained()
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
      allocator.waitUntilDrained()
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
      allocator.waitUntilDrained()
      try allocator.destroy(root)
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
        try allocator.offline(child)
        #expect(allocator.state.runFenceBatch())
        allocator.release(child)
        for object in objects { allocator.free(object) }
        let own = try (0..<32).map { _ in try allocator.allocate(from: root, in: parent) }
        for object in own { #expect(strange(object, bytes: 4096, own: 2) == 0) }
        #expect(allocator.state.runReparentQueue())
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
      allocator.waitUntilDrained()
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
        var world = World(allocator: allocator, seed: seed)
        for _ in 0..<6000 { try world.step() }
        #expect(world.handedOut > 2000)
        world.end()
      }
    }
  }

  /// Numbers are used once, and who gets none keeps nothing.
  @Test func numbersOfTenants() {
    #expect(Tenant(groupsBefore: 0) != .rootGroup && Tenant(groupsBefore: 0) != .nobody)
    #expect(Tenant(groupsBefore: 1) != Tenant(groupsBefore: 0))
    let last = Int(UInt32.max) - 2
    #expect(Tenant(groupsBefore: last).number == .max)
    for count in [last + 1, last + 2, last + 3, .max] {
      #expect(Tenant(groupsBefore: count) == .nobody)
    }
    #expect(Tenant.nobody.isForeign(to: .nobody))
    #expect(!Tenant.rootGroup.isForeign(to: .rootGroup))
    #expect(Tenant.rootGroup.isForeign(to: .nobody))
  }
}

/// Groups and their objects, each of which is full of its group's word.
private struct World {
  private struct Member {
    let group: Pointer<Group>
    let word: UInt64
  }

  let allocator: Allocator
  private var random: SeededGenerator
  private var members: [Member] = []
  private var objects: [(address: UInt, word: UInt64)] = []
  private var groupsMade: UInt64 = 0
  private(set) var handedOut = 0

  init(allocator: Allocator, seed: UInt64) {
    self.allocator = allocator
    random = SeededGenerator(seed: seed)
  }

  mutating func step() throws {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<4: try makeGroup()
    case 4..<7: try endGroup()
    case 7..<30: freeSome()
    case 30..<33: members.randomElement(using: &random)?.group.giveBackIdle()
    case 33 where Bool.random(using: &random): allocator.trim()
    default: try allocateSome()
    }
  }

  private mutating func makeGroup() throws {
    guard members.count < 12 else { return }
    let parent = Bool.random(using: &random) ? members.randomElement(using: &random)?.group : nil
    groupsMade += 1
    let group = try allocator.makeGroup("tenant", below: parent)
    members.append(Member(group: group, word: groupsMade << 32 | 0xabcd))
  }

  private mutating func endGroup() throws {
    guard let index = members.indices.randomElement(using: &random) else { return }
    let (group, word) = (members[index].group, members[index].word)
    guard group.pointee.onlineChildGroupCount == 0 else { return }
    members.remove(at: index)
    // Child groups that have ended would be discarded too, with objects that are to be freed.
    if Int.random(in: 0..<3, using: &random) == 0, group.pointee.childGroupCount == 0,
      !group.pointee.hasInheritedUnits
    {
      objects.removeAll { $0.word == word }
      try allocator.discard(group)
    }
    allocator.release(group)
    if Bool.random(using: &random) { allocator.waitUntilDrained() }
  }

  private mutating func freeSome() {
    for _ in 0..<Int.random(in: 1...20, using: &random) where !objects.isEmpty {
      objects.swapAt(Int.random(in: 0..<objects.count, using: &random), objects.count - 1)
      allocator.free(objects.removeLast().address)
    }
  }

  private mutating func allocateSome() throws {
    guard objects.count < 2000, let member = members.randomElement(using: &random) else { return }
    let sizes = [16, 40, 96, 200, 500, 1000, 2000, 6000, 70_000]
    let size = sizes.randomElement(using: &random)!
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      let object = try allocator.allocate(bytes: size, in: member.group)
      let bytes = allocator.usableBytes(of: object)
      #expect(strange(object, bytes: bytes, own: member.word) == 0)
      fill(object, bytes: bytes, with: member.word)
      objects.append((object, member.word))
      handedOut += 1
    }
  }

  mutating func end() {
    for member in members.reversed() { try? allocator.close(member.group) }
    for object in objects { allocator.free(object.address) }
    for member in members { allocator.release(member.group) }
  }
}
