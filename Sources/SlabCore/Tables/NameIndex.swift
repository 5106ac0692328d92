// SPDX-License-Identifier: Apache-2.0
// What has a name, by the name's hash: found in O(1) however many there are.
//
// A table of buckets with chains through what is named (`nextNamed`), which grows by linear hashing
// (Litwin, 1980): with each entry that is one too many one bucket is split in two. So no operation ever
// pays for all entries, and there is no table to be copied: the buckets stand in a reservation of
// their own. The registry lock guards everything here.
//
//   split   the next bucket to be split; those before it have been in this round
//   level   buckets at the beginning of the round: a power of two
//   bucket of a hash: hash mod level, or mod 2 * level if that bucket has been split

internal import SlabPlatform

/// What an index finds. Its hash does not change while it is there.
protocol Named: ~Copyable {
  var nameHash: UInt32 { get }
  /// The next one in the same bucket: the index's.
  var nextNamed: Pointer<Self>? { get set }
}

struct NameIndex<Entry: Named & ~Copyable>: ~Copyable {
  private let buckets: Words
  private let limit: Int
  private var level = Self.firstLevel
  private var split = 0
  private var count = 0
  private var committed = 0

  /// Buckets at first, and of a page.
  private static var firstLevel: Int { 512 }
  private static var step: Int { 4096 / 8 }

  /// Reserves room for so many buckets, or for fewer where addresses are short: chains can be longer.
  init(bucketLimit: Int) throws(Errno) {
    var count = bucketLimit
    while true {
      do throws(Errno) {
        buckets = Words(at: try SystemCall.reserve(bytes: count * 8))
        limit = count
        return
      } catch {
        guard count > IDTable.fewest else { throw error }
        count /= 4
      }
    }
  }

  func unmap() { try? SystemCall.unmap(at: buckets.address, bytes: limit * 8) }

  /// The first entry of a bucket.
  private subscript(_ bucket: Int) -> Pointer<Entry>? {
    // SAFETY: a bucket is the address of an entry that is in the index, or 0.
    get { unsafe Pointer(address: UInt(buckets[bucket])) }
    nonmutating set { buckets[bucket] = UInt64(newValue?.address ?? 0) }
  }

  private func bucket(of hash: UInt32) -> Int {
    let index = Int(hash) & (level - 1)
    return index < split ? Int(hash) & (2 * level - 1) : index
  }

  /// The first entry in the chain of a hash.
  func first(hash: UInt32) -> Pointer<Entry>? {
    guard committed > 0 else { return nil }
    return self[bucket(of: hash)]
  }

  /// Whether there is a bucket to insert into: there is, from the first time on.
  mutating func prepare() -> Bool { committed > 0 || commit() }

  /// Adds an entry, whose name is new, after `prepare`. O(1) expected; a system call per 512 buckets.
  mutating func insert(_ entry: Pointer<Entry>) {
    put(entry)
    count += 1
    // Where no bucket can be had the chains become longer.
    if count > level + split { splitOne() }
  }

  private mutating func put(_ entry: Pointer<Entry>) {
    let index = bucket(of: entry.pointee.nameHash)
    entry.pointee.nextNamed = self[index]
    self[index] = entry
  }

  /// Takes an entry out. O(1) expected.
  mutating func remove(_ entry: Pointer<Entry>) {
    let index = bucket(of: entry.pointee.nameHash)
    var before: Pointer<Entry>?
    var next = self[index]
    while let current = next, current != entry {
      before = current
      next = current.pointee.nextNamed
    }
    invariant(next == entry, "names: one that is not in its index")
    if let before {
      before.pointee.nextNamed = entry.pointee.nextNamed
    } else {
      self[index] = entry.pointee.nextNamed
    }
    entry.pointee.nextNamed = nil
    count -= 1
  }

  private mutating func splitOne() {
    let new = level + split
    guard new < committed || commit() else { return }
    var next = self[split]
    self[split] = nil
    self[new] = nil
    split += 1
    // From here on both buckets count as split.
    while let entry = next {
      next = entry.pointee.nextNamed
      put(entry)
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

  /// For checks: how many entries there are; `nil` if one is in the wrong chain, or should not be there.
  func countEntries(where isNamed: (Pointer<Entry>) -> Bool) -> Int? {
    guard committed > 0 else { return 0 }
    var entries = 0
    for index in 0..<level + split {
      var next = self[index]
      while let entry = next {
        guard bucket(of: entry.pointee.nameHash) == index, isNamed(entry) else { return nil }
        entries += 1
        next = entry.pointee.nextNamed
      }
    }
    return entries == count ? entries : nil
  }
}

/// A hash of names.
struct NameHash {
  /// FNV-1a.
  private var state: UInt64

  /// Of names that are unique in a scope, which a number tells from others.
  init(scope: UInt64 = 0) { state = 0xcbf2_9ce4_8422_2325 ^ scope }

  mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }

  var value: UInt32 {
    UInt32(truncatingIfNeeded: ((state ^ (state >> 32)) &* 0x9e37_79b9_7f4a_7c15) >> 32)
  }
}
