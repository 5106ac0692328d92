// Groups by their parent and their name: names are unique among the children of a group that are
// online, and found in O(1) however many there are.
//
// A table of buckets with chains through the groups (`nextNamed`), which grows by linear hashing
// (Litwin, 1980): with each entry that is one too many one bucket is split in two. So no operation ever
// pays for all entries, and there is no table to be copied: the buckets stand in a reservation of
// their own. Everything here is under the registry lock.
//
//   split   the next bucket to be split; those before it have been in this round
//   level   buckets at the beginning of the round: a power of two
//   bucket of a hash: hash mod level, or mod 2 * level if that bucket has been split

package import SlabPlatform

struct GroupNames: ~Copyable {
  private let buckets: Words
  private let limit: Int
  private var level = Self.firstLevel
  private var split = 0
  private var count = 0
  private var committed = 0

  private static var firstLevel: Int { 512 }
  private static var step: Int { 4096 / 8 }

  /// Reserves room for a bucket per group.
  init(bucketLimit: Int) throws(Errno) {
    buckets = Words(at: try SystemCall.reserve(bytes: bucketLimit * 8))
    limit = bucketLimit
  }

  func unmap() { try? SystemCall.unmap(at: buckets.address, bytes: limit * 8) }

  private func bucket(of hash: UInt32) -> Int {
    let index = Int(hash) & (level - 1)
    return index < split ? Int(hash) & (2 * level - 1) : index
  }

  /// The first group in the chain of a hash.
  func first(hash: UInt32) -> Pointer<Group>? {
    guard committed > 0 else { return nil }
    return Pointer(address: UInt(buckets[bucket(of: hash)]))
  }

  /// Whether there is a bucket to insert into: there is, from the first time on.
  mutating func prepare() -> Bool { committed > 0 || commit() }

  /// Adds a group, whose name is new, after `prepare`. O(1) expected; a system call per 512 buckets.
  mutating func insert(_ group: Pointer<Group>) {
    put(group)
    count += 1
    // Where no bucket can be had the chains become longer.
    if count > level + split { splitOne() }
  }

  private mutating func put(_ group: Pointer<Group>) {
    let index = bucket(of: group.pointee.nameHash)
    group.pointee.nextNamed = Pointer(address: UInt(buckets[index]))
    buckets[index] = UInt64(group.address)
  }

  /// Takes a group out. O(1) expected.
  mutating func remove(_ group: Pointer<Group>) {
    let index = bucket(of: group.pointee.nameHash)
    var before: Pointer<Group>?
    var next = Pointer<Group>(address: UInt(buckets[index]))
    while let current = next, current != group {
      before = current
      next = current.pointee.nextNamed
    }
    invariant(next == group, "groups: a name that is not in the index")
    if let before {
      before.pointee.nextNamed = group.pointee.nextNamed
    } else {
      buckets[index] = UInt64(group.pointee.nextNamed?.address ?? 0)
    }
    group.pointee.nextNamed = nil
    count -= 1
  }

  private mutating func splitOne() {
    let new = level + split
    guard new < committed || commit() else { return }
    var next = Pointer<Group>(address: UInt(buckets[split]))
    buckets[split] = 0
    buckets[new] = 0
    split += 1
    // From here on both buckets count as split.
    while let group = next {
      next = group.pointee.nextNamed
      put(group)
    }
    if split == level {
      level *= 2
      split = 0
    }
  }

  private mutating func commit() -> Bool {
    guard committed + Self.step <= limit,
      (try? SystemCall.protectReadWrite(
        at: buckets.address + UInt(committed) * 8, bytes: Self.step * 8)) != nil
    else { return false }
    committed += Self.step
    return true
  }

  /// Gives the memory of the buckets back if there is no name. Where the kernel refuses, they are empty
  /// all the same.
  mutating func trim() {
    guard count == 0, committed > Self.firstLevel else { return }
    try? SystemCall.giveBack(
      at: buckets.address + UInt(Self.firstLevel) * 8, bytes: (committed - Self.firstLevel) * 8)
    level = Self.firstLevel
    split = 0
  }

  /// Bytes that have been touched, in pages.
  var usedBytes: Int { committed == 0 ? 0 : ((level + split) * 8 + 4095) & ~4095 }

  /// For checks: whether every chain's groups belong there, and how many there are in all.
  func countEntries() -> Int? {
    guard committed > 0 else { return 0 }
    var entries = 0
    for index in 0..<level + split {
      var next = Pointer<Group>(address: UInt(buckets[index]))
      while let group = next {
        guard bucket(of: group.pointee.nameHash) == index, group.isOnline else { return nil }
        entries += 1
        next = group.pointee.nextNamed
      }
    }
    return entries == count ? entries : nil
  }
}

extension Group {
  /// Whether a name can be one component of a path and a column of a report: 1 to 255 bytes without
  /// blanks, control characters and slashes, and neither `.` nor `..`.
  package static func isValidName(_ utf8: borrowing Span<UInt8>) -> Bool {
    guard !utf8.isEmpty, utf8.count <= 255 else { return false }
    var dots = 0
    for index in utf8.indices {
      let byte = utf8[index]
      guard byte > 0x20, byte != 0x7f, byte != UInt8(ascii: "/") else { return false }
      if byte == UInt8(ascii: ".") { dots += 1 }
    }
    return dots != utf8.count || dots > 2
  }

  /// FNV-1a over the parent's address and the name.
  static func nameHash(_ utf8: borrowing Span<UInt8>, below parent: Pointer<Group>) -> UInt32 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ UInt64(parent.address)
    for index in utf8.indices { hash = (hash ^ UInt64(utf8[index])) &* 0x100_0000_01b3 }
    hash ^= hash >> 32
    return UInt32(truncatingIfNeeded: hash &* 0x9e37_79b9_7f4a_7c15 >> 32)
  }
}

extension Allocator {
  /// The online child of a group that has a name, with a handle for the caller; `nil` if there is none.
  /// O(1) expected; takes the registry lock.
  package func child(
    named utf8: borrowing Span<UInt8>, of parent: Pointer<Group>
  ) -> Pointer<Group>? {
    state.pointee.registry.lock.lock()
    defer { state.pointee.registry.lock.unlock() }
    guard let child = findChild(named: utf8, of: parent) else { return nil }
    retain(child)
    return child
  }

  /// Under the registry lock.
  func findChild(
    named utf8: borrowing Span<UInt8>, of parent: Pointer<Group>
  ) -> Pointer<Group>? {
    let hash = Group.nameHash(utf8, below: parent)
    var next = state.pointee.registry.groupNames.first(hash: hash)
    while let group = next {
      if group.pointee.nameHash == hash, group.pointee.parent == parent, group.hasName(utf8) {
        return group
      }
      next = group.pointee.nextNamed
    }
    return nil
  }

  /// Visits the children of a group that are online, each with a handle that becomes the body's. One
  /// that is there all the while is visited exactly once. Takes the registry lock for 16 children at a
  /// time, and runs the body without it. With `endedToo` also those that have ended and still exist,
  /// though perhaps twice, but for those whose caches are on their way to the parent.
  package func forEachChild(
    of parent: Pointer<Group>, endedToo: Bool = false, _ body: (Pointer<Group>) -> Void
  ) {
    var found = InlineArray<16, Pointer<Group>?>(repeating: nil)
    state.pointee.registry.lock.lock()
    // The cursor stands on this thread's stack.
    state.takeInHand()
    withCursor(in: parent.childGroups) { cursor in
      var count = 16
      while count == 16 {
        count = 0
        while count < 16, let node = cursor.advance(in: parent.childGroups) {
          let child = Pointer<Group>(siblingNode: node)
          // Those that have ended stand behind.
          if !child.isOnline {
            guard endedToo else { break }
            if child.state.hasHandedOver { continue }
          }
          retain(child)
          found[count] = child
          count += 1
        }
        state.pointee.registry.lock.unlock()
        for index in 0..<count { body(found[index]!) }
        state.pointee.registry.lock.lock()
      }
    }
    state.putDown()
    state.pointee.registry.lock.unlock()
  }
}

extension Pointer where Pointee == Group {
  fileprivate func hasName(_ utf8: borrowing Span<UInt8>) -> Bool {
    guard utf8.count == Int(pointee.nameCount) else { return false }
    return withName { name in
      for index in utf8.indices where name[index] != utf8[index] { return false }
      return true
    }
  }
}
