// SPDX-License-Identifier: Apache-2.0
// The lines of a group's slabinfo: one for each name. A group can have many caches of one root, its own one and
// those of groups below that have ended, and a cache that was destroyed may be there still under a name that is
// another one's by now. Tools take a name for a key: Prometheus' collector refuses a text that has one twice.
//
// The sums stand in the core's memory: an entry for each name, in the order in which they were found and in
// chains by the hash of the name.

internal import SlabPlatform

struct GroupLines {
  /// Addresses of entries, or 0.
  private let buckets: Words
  private let mask: Int
  private var first: Pointer<Entry>? = nil
  private var last: Pointer<Entry>? = nil
  /// The line that comes next.
  private var position: Pointer<Entry>? = nil

  fileprivate struct Entry {
    var usage: CacheUsage
    let hash: UInt32
    var next: Pointer<Entry>? = nil
    var nextInBucket: Pointer<Entry>?
  }

  /// The buckets of the largest table: 32 KiB.
  private static var mostBuckets: Int { 4096 }

  /// Reads the caches of a group, on which the caller holds a handle. O(caches) expected for as many as there
  /// are buckets.
  init(of group: Pointer<Group>, in allocator: Allocator) throws(AllocatorError) {
    var count = 4
    while count < Self.mostBuckets, count < Int(group.pointee.cacheCount) { count *= 2 }
    buckets = Words(at: try allocator.allocateInternal(bytes: count * 8))
    mask = count - 1
    zeroMemory(at: buckets.address, bytes: count * 8)
    var refusal: AllocatorError?
    allocator.forEachCache(of: group) { usage in
      allocator.counters.pointee.listSteps += 1
      guard refusal == nil else { return }
      do throws(AllocatorError) { try add(usage, from: allocator) } catch {
        refusal = error
      }
    }
    if let refusal {
      free(to: allocator)
      throw refusal
    }
    position = first
  }

  private mutating func add(
    _ usage: CacheUsage, from allocator: Allocator
  ) throws(AllocatorError) {
    let hash = usage.name.hash
    let bucket = Int(hash) & mask
    // SAFETY: a bucket has an entry's address or 0; entries live until `free`.
    let start = unsafe Pointer<Entry>(address: UInt(buckets[bucket]))
    var chain = start
    while let entry = chain {
      if entry.pointee.hash == hash, entry.pointee.usage.name == usage.name {
        return entry.pointee.usage.add(usage)
      }
      chain = entry.pointee.nextInBucket
    }
    // SAFETY: the object is ours and large enough.
    let entry = unsafe Pointer<Entry>(
      nonzeroAddress: try allocator.allocateInternal(bytes: MemoryLayout<Entry>.size))
    unsafe entry.unsafePointer.initialize(
      to: Entry(
        usage: usage, hash: hash, nextInBucket: start))
    buckets[bucket] = UInt64(entry.address)
    if let last { last.pointee.next = entry } else { first = entry }
    last = entry
  }

  /// The sums of the next line; `nil` behind the last one.
  mutating func next() -> CacheUsage? {
    guard let entry = position else { return nil }
    position = entry.pointee.next
    return entry.pointee.usage
  }

  /// Ends the use of it.
  func free(to allocator: Allocator) {
    var next = first
    while let entry = next {
      next = entry.pointee.next
      allocator.freeInternal(entry.address)
    }
    allocator.freeInternal(buckets.address)
  }
}

extension CacheUsage {
  /// Adds what another cache of the same name has.
  mutating func add(_ other: CacheUsage) {
    objectsInUse += other.objectsInUse
    objectsInSheaves += other.objectsInSheaves
    objectsTotal += other.objectsTotal
    slabBytes += other.slabBytes
  }
}
