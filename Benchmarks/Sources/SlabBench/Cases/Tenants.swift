// SPDX-License-Identifier: Apache-2.0
// Groups as the cases use them: 8 objects of 3 sizes, 1,792 bytes.

import CBenchmark
import Glibc
import Slab
import Synchronization

/// Sizes and numbers of a tenant's objects.
enum TenantShape {
  /// Index of the size of each object: 3 x 64, 3 x 192, 2 x 512 bytes.
  static let kinds = [0, 0, 0, 1, 1, 1, 2, 2]
  static let sizes = [64, 192, 512]
  static var objectCount: Int { kinds.count }
}

/// The first-in-first-out ring of live groups.
struct TenantRing {
  let allocator: SlabAllocator
  private let caches: [RawSlabCache]
  private var groups: [MemoryGroup?] = []
  private var objects: [UInt]
  private let live: Int
  private let rootGroup: MemoryGroup
  /// By slot.
  private let names: [String]
  private var oldest = 0

  init(live: Int, memory: MemoryPolicy = .isolated) throws {
    var configuration = SlabAllocator.Configuration()
    configuration.memory = memory
    allocator = try SlabAllocator(configuration: configuration)
    var caches: [RawSlabCache] = []
    for size in TenantShape.sizes {
      caches.append(try RawSlabCache(named: "object-\(size)", objectSize: size, of: allocator))
    }
    self.caches = caches
    self.live = live
    rootGroup = allocator.rootGroup
    names = (0..<live).map { "tenant-\($0)" }
    objects = Array(repeating: 0, count: live * TenantShape.objectCount)
    groups.reserveCapacity(live)
  }

  /// Makes the groups.
  mutating func fill() throws {
    for slot in 0..<live {
      groups.append(try rootGroup.makeChild(named: names[slot]))
      try allocate(slot)
    }
  }

  /// Ends the oldest group and makes a new one, `count` times.
  mutating func replace(_ count: Int) throws {
    for _ in 0..<count {
      let slot = nextSlot()
      try groups[slot]!.close()
      free(slot)
      groups[slot] = nil
      groups[slot] = try rootGroup.makeChild(named: names[slot])
      try allocate(slot)
    }
  }

  /// The same, with a clock between the steps: nanoseconds of offline, free, release, create,
  /// allocate, each with one reading of the clock in it.
  mutating func replaceByStep(_ count: Int) throws -> [Double] {
    var sums = [Int](repeating: 0, count: 5)
    for _ in 0..<count {
      let slot = nextSlot()
      let start = Time.now
      try groups[slot]!.close()
      let offlined = Time.now
      free(slot)
      let freed = Time.now
      groups[slot] = nil
      let released = Time.now
      groups[slot] = try rootGroup.makeChild(named: names[slot])
      let created = Time.now
      try allocate(slot)
      let end = Time.now
      sums[0] += offlined - start
      sums[1] += freed - offlined
      sums[2] += released - freed
      sums[3] += created - released
      sums[4] += end - created
    }
    return sums.map { Double($0) / Double(count) }
  }

  private mutating func nextSlot() -> Int {
    let slot = oldest
    oldest = oldest + 1 == live ? 0 : oldest + 1
    return slot
  }

  private mutating func allocate(_ slot: Int) throws(SlabError) {
    let group = groups[slot]!
    for index in 0..<TenantShape.objectCount {
      // SAFETY: the object is ours and has at least 64 bytes.
      let object = try unsafe caches[TenantShape.kinds[index]].allocate(in: group)
      unsafe object.storeBytes(of: 1, as: UInt8.self)
      unsafe bench_sink(object)
      objects[slot * TenantShape.objectCount + index] = UInt(bitPattern: object)
    }
  }

  private func free(_ slot: Int) {
    for index in 0..<TenantShape.objectCount {
      // SAFETY: an object that `allocate` has put there; it is freed once.
      unsafe allocator.free(
        UnsafeMutableRawPointer(
          bitPattern: objects[slot * TenantShape.objectCount + index])!)
    }
  }
}

extension SlabAllocator {
  /// A group below the root group, with a number behind its name: names are unique.
  func makeTenant(_ name: String) throws(SlabError) -> MemoryGroup {
    let number = Numbers.last.add(1, ordering: .relaxed).newValue
    return try rootGroup.makeChild(named: "\(name)-\(number)")
  }
}

private enum Numbers {
  static let last = Atomic(0)
}

/// The same with malloc: a block for the group, and its objects in a list behind it.
struct ListedTenants {
  private var heads: [UInt]
  private let live: Int
  private var oldest = 0

  init(live: Int) {
    self.live = live
    heads = Array(repeating: 0, count: live)
  }

  mutating func fill() { for slot in 0..<live { heads[slot] = Self.make() } }

  mutating func replace(_ count: Int) {
    for _ in 0..<count {
      let slot = oldest
      oldest = oldest + 1 == live ? 0 : oldest + 1
      Self.end(heads[slot])
      heads[slot] = Self.make()
    }
  }

  private static func make() -> UInt {
    // SAFETY: each block has at least 64 bytes, and its first word is the address of the next.
    let head = unsafe malloc(64)!
    var first: UInt = 0
    for kind in TenantShape.kinds {
      let object = unsafe malloc(TenantShape.sizes[kind])!
      unsafe object.storeBytes(of: first, as: UInt.self)
      unsafe bench_sink(object)
      first = UInt(bitPattern: object)
    }
    unsafe head.storeBytes(of: first, as: UInt.self)
    return UInt(bitPattern: head)
  }

  private static func end(_ head: UInt) {
    var next = head
    while next != 0 {
      // SAFETY: a block that `make` has made; it is freed once.
      let block = unsafe UnsafeMutableRawPointer(bitPattern: next)!
      next = unsafe block.load(as: UInt.self)
      unsafe Glibc.free(block)
    }
  }
}
