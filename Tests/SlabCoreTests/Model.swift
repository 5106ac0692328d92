// SPDX-License-Identifier: Apache-2.0
// A model of an allocator: plain dictionaries of what lives and whose it is, run beside the real
// one. Whatever the two disagree about is recorded as an issue.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

struct Model {
  private struct Object {
    var root: Int
    var group: Int?
    var tag: UInt64
  }

  private struct Root {
    var root: Pointer<RootCache>
    var size: Int
  }

  private struct Tenant {
    var group: Pointer<Group>
    var parent: Int?
    var max: Int
    var endings: EndingPolicy
    var isOnline = true
    /// Without a handle the group may be gone: `isGone` says whether it must be.
    var isHeld = true
  }

  private let allocator: Allocator
  private var random: SeededGenerator
  private var live: [UInt: Object] = [:]
  private var addresses: [UInt] = []
  private var roots: [Int: Root] = [:]
  private var tenants: [Int: Tenant] = [:]
  private var names = 0
  private var nextTag: UInt64 = 0
  private(set) var limitsMet = 0
  private(set) var offlineMet = 0
  private(set) var objectsDiscarded = 0
  private(set) var operations = 0

  private static let sizes = [1, 8, 24, 64, 100, 192, 336, 1016, 4096, 5888, 32768]
  private static let mostLive = 400

  init(allocator: Allocator, seed: UInt64) throws {
    self.allocator = allocator
    random = SeededGenerator(seed: seed)
    for _ in 0..<4 { try makeRoot() }
    for _ in 0..<3 { try makeGroup() }
  }

  // MARK: - Operations

  mutating func step() throws {
    operations += 1
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<42: try allocate()
    case 42..<75: freeOne()
    case 75..<76: try closeOrDiscard()
    case 76..<80: try allocateBulk()
    case 80..<84: freeBulk()
    case 84..<87: shrink()
    case 87..<90: try changeSettings()
    case 90..<93: try makeGroup()
    case 93..<95: if let number = anyHeld() { close(number) }
    case 95..<96: release()
    case 96..<97: try makeRoot()
    case 97..<98: try destroyRoot()
    case 98..<99: try changeLimit()
    default: allocator.trim()
    }
  }

  private mutating func allocate() throws {
    guard live.count < Self.mostLive, let root = anyRoot(), let owner = anyOwner() else { return }
    do throws(AllocatorError) {
      let object = try allocator.allocate(from: roots[root]!.root, in: group(of: owner))
      born(object, of: root, in: owner)
    } catch {
      expectRefusal(error, of: owner)
    }
  }

  private mutating func allocateBulk() throws {
    let count = Int.random(in: 1...60, using: &random)
    guard live.count < Self.mostLive, let root = anyRoot(), let owner = anyOwner() else { return }
    let cache = roots[root]!.root
    do throws(AllocatorError) {
      let source = try group(of: owner).map { group throws(AllocatorError) in
        try group.makeOrFindChild(of: cache)
      }
      let objects = try (source ?? cache.cache).allocateBulk(count)
      for object in objects { born(object, of: root, in: owner) }
    } catch {
      expectRefusal(error, of: owner)
    }
  }

  private mutating func freeOne() {
    guard let object = addresses.randomElement(using: &random) else { return }
    let (root, isPlain) = (roots[live[object]!.root]!.root, Bool.random(using: &random))
    died(object)
    if isPlain { allocator.free(object) } else { SharedHeap.free(object, to: root) }
  }

  /// All objects of one cache, or a part of them, at once.
  private mutating func freeBulk() {
    guard let sample = addresses.randomElement(using: &random) else { return }
    let cache = allocator.cache(of: sample)!
    let objects = addresses.filter { allocator.cache(of: $0) == cache }
      .prefix(Int.random(in: 1...100, using: &random))
    for object in objects { died(object) }
    cache.freeBulk(Array(objects))
  }

  private mutating func shrink() {
    guard let sample = addresses.randomElement(using: &random) else { return }
    let cache = allocator.cache(of: sample)!
    // It has a live object, so it has a slab.
    #expect(cache.shrink())
  }

  private mutating func changeSettings() throws {
    guard let root = anyRoot() else { return }
    let capacity = [0, 1, 3, 7, 31, 100, 511].randomElement(using: &random)!
    try allocator.setSheafCapacity(capacity, of: roots[root]!.root)
    try allocator.setMinPartial(Int.random(in: 0...6, using: &random), of: roots[root]!.root)
  }

  private mutating func makeGroup() throws {
    guard tenants.values.count(where: { $0.isHeld }) < 12 else { return }
    let parents = tenants.filter { $0.value.isOnline && $0.value.isHeld }.keys.sorted()
    let parent = Bool.random(using: &random) ? nil : parents.randomElement(using: &random)
    let max = [4096, 40960, 1 << 20, Group.unlimited].randomElement(using: &random)!
    let endings = Bool.random(using: &random) ? EndingPolicy.keep : .reparent
    names += 1
    let group = try allocator.makeGroup(
      "group-\(names)", below: parent.map { tenants[$0]!.group }, max: max, endings: endings)
    tenants[names] = Tenant(group: group, parent: parent, max: max, endings: endings)
  }

  private mutating func close(_ number: Int) {
    do throws(AllocatorError) {
      try allocator.close(tenants[number]!.group)
      #expect(tenants[number]!.isOnline)
    } catch {
      #expect(error == .groupOffline && !tenants[number]!.isOnline)
    }
    takeOffline(number)
  }

  private mutating func discard(_ number: Int) throws {
    let objects = addresses.filter { path(of: live[$0]!.group).contains(number) }
    for object in objects { died(object) }
    objectsDiscarded += objects.count
    try allocator.discard(tenants[number]!.group)
    // Else `destroy` of a busy root counts objects that are still to go.
    allocator.waitUntilIdle()
    takeOffline(number)
  }

  private mutating func takeOffline(_ number: Int) {
    for other in tenants.keys where path(of: other).contains(number) {
      tenants[other]!.isOnline = false
    }
  }

  private mutating func closeOrDiscard() throws {
    // Mostly one that has objects.
    let sample = addresses.randomElement(using: &random).flatMap { live[$0]!.group }
    guard let number = path(of: sample).randomElement(using: &random) ?? anyHeld(),
      tenants[number]!.isHeld
    else { return }
    if Bool.random(using: &random) { close(number) } else { try discard(number) }
  }

  private mutating func release() {
    guard let number = anyHeld(),
      !tenants.values.contains(where: { $0.parent == number && $0.isOnline })
    else { return }
    allocator.release(tenants[number]!.group)
    tenants[number]!.isHeld = false
    tenants[number]!.isOnline = false
  }

  private mutating func makeRoot() throws {
    guard roots.count < 8 else { return }
    names += 1
    let size = Self.sizes.randomElement(using: &random)!
    let alignment = [0, 0, 64, 512].randomElement(using: &random)!
    roots[names] = Root(
      root: try allocator.makePlainCache("cache-\(names)", size: size, alignment: alignment),
      size: size)
  }

  private mutating func destroyRoot() throws {
    guard roots.count > 2, let number = anyRoot() else { return }
    let objects = live.values.count { $0.root == number }
    do throws(AllocatorError) {
      try allocator.destroy(roots[number]!.root)
      #expect(objects == 0)
      roots[number] = nil
    } catch {
      #expect(error == .cacheBusy(objects: objects))
      #expect(objects > 0)
    }
  }

  private mutating func changeLimit() throws {
    guard let number = anyHeld() else { return }
    let max = [0, 8192, 1 << 20, Group.unlimited].randomElement(using: &random)!
    try allocator.setMax(max, of: tenants[number]!.group)
    tenants[number]!.max = max
  }

  // MARK: - Bookkeeping

  private mutating func born(_ object: UInt, of root: Int, in owner: Int?) {
    #expect(live[object] == nil)
    nextTag += 1
    live[object] = Object(root: root, group: owner, tag: nextTag)
    addresses.append(object)
    fillObject(object, size: checkedBytes(root), tag: nextTag)
  }

  private mutating func died(_ object: UInt) {
    let known = live.removeValue(forKey: object)!
    addresses.remove(at: addresses.firstIndex(of: object)!)
    #expect(isFilled(object, size: checkedBytes(known.root), tag: known.tag))
  }

  /// Large objects are written at their start only, for the time it takes.
  private func checkedBytes(_ root: Int) -> Int { min(roots[root]!.size, 128) }

  private mutating func anyRoot() -> Int? { roots.keys.sorted().randomElement(using: &random) }

  private mutating func anyHeld() -> Int? {
    tenants.filter { $0.value.isHeld }.keys.sorted().randomElement(using: &random)
  }

  /// A group, or nobody (the inner optional); `nil` if there is none.
  private mutating func anyOwner() -> Int?? {
    Int.random(in: 0..<4, using: &random) == 0 ? .some(nil) : .some(anyHeld())
  }

  private func group(of owner: Int?) -> Pointer<Group>? { owner.map { tenants[$0]!.group } }

  // MARK: - What becomes of groups when the workers are through

  private func children(of number: Int) -> [Int] {
    tenants.keys.filter { tenants[$0]!.parent == number }
  }

  /// Whether a group has been released: nothing holds it, or objects alone which its parent takes.
  private func isGone(_ number: Int) -> Bool {
    let tenant = tenants[number]!
    guard !tenant.isOnline, !tenant.isHeld, children(of: number).allSatisfy({ isGone($0) }) else {
      return false
    }
    // Only objects below it can have come to it; to ask about others could come back to this question.
    return tenant.endings == .reparent
      || !live.values.contains {
        path(of: $0.group).contains(number) && heir(of: $0.group) == number
      }
  }

  /// The group that an object of a group is charged to directly; `nil` for the root group.
  private func heir(of owner: Int?) -> Int? {
    guard let number = owner, tenants[number]!.endings == .reparent, isGone(number) else {
      return owner
    }
    return heir(of: tenants[number]!.parent)
  }

  /// The groups above a number's, and itself.
  private func path(of owner: Int?) -> [Int] {
    owner.map { [$0] + path(of: tenants[$0]!.parent) } ?? []
  }

  private func descendants(of number: Int) -> GroupDescendants {
    let below = tenants.keys.filter { $0 != number && path(of: $0).contains(number) }
    return GroupDescendants(
      online: below.count { tenants[$0]!.isOnline },
      dying: below.count { !tenants[$0]!.isOnline && !isGone($0) })
  }

  private mutating func expectRefusal(_ error: AllocatorError, of owner: Int?) {
    guard let owner else {
      Issue.record("an allocation for nobody was refused: \(error)")
      return
    }
    switch error {
    case .groupOffline:
      #expect(!tenants[owner]!.isOnline)
      offlineMet += 1
    case .groupLimit(let refusing):
      limitsMet += 1
      var number: Int? = owner
      while let current = number, tenants[current]!.group != refusing.group {
        number = tenants[current]!.parent
      }
      #expect(number != nil)
      if let number { #expect(tenants[number]!.max != Group.unlimited) }
    default:
      Issue.record("an unexpected error: \(error)")
    }
  }

  // MARK: - Checking

  /// Compares everything. Waits for the workers, since the invariants are those of a quiet state.
  func check() throws {
    allocator.waitUntilIdle()
    expectWhole(allocator)
    for (object, known) in live {
      let cache = try #require(allocator.cache(of: object))
      #expect(cache.pointee.root == roots[known.root]!.root)
      let owner = known.group.map { _ in group(of: heir(of: known.group)) ?? allocator.rootGroup }
      #expect(cache.pointee.group == owner)
      #expect(isFilled(object, size: checkedBytes(known.root), tag: known.tag))
    }
    for (number, root) in roots {
      let objects = live.values.count { $0.root == number }
      #expect(try allocator.liveObjects(of: root.root) == objects)
    }
    for (number, tenant) in tenants where tenant.isHeld {
      #expect(tenant.group.isOnline == tenant.isOnline)
      let bytes = live.values.filter { path(of: $0.group).contains(number) }
        .reduce(0) { $0 + roots[$1.root]!.size }
      #expect(tenant.group.currentBytes >= bytes)
      // What has ended keeps no idle slab.
      if bytes == 0, !tenant.isOnline { #expect(tenant.group.currentBytes == 0) }
      #expect(tenant.group.peakBytes >= tenant.group.currentBytes)
      #expect(allocator.descendants(of: tenant.group) == descendants(of: number))
    }
    let statistics = allocator.statistics
    #expect(statistics.rootCachesCreated - statistics.rootCachesReleased == roots.count)
    let left = tenants.keys.count { !isGone($0) }
    #expect(statistics.groupsCreated - statistics.groupsReleased == left)
  }

  /// Ends everything that is left.
  mutating func end() throws {
    for object in addresses {
      died(object)
      allocator.free(object)
    }
    for number in tenants.keys.sorted().reversed() where tenants[number]!.isHeld {
      allocator.release(tenants[number]!.group)
    }
    for root in roots.values { try allocator.destroy(root.root) }
  }
}
