// SPDX-License-Identifier: Apache-2.0
// The buckets of a table: a power of two of them, in memory that is mapped for them alone and
// charged to no group. Mapped memory is zero, and a bucket of zeros is an empty one, so making an
// array touches none of them, however many there are.
//
//   bucket    first     the first entry of the chain, or its end mark; 0 stands for the end mark
//             lock      the writers'; for a few loads and stores, and a comparison of keys
//             version   changed whenever a key's entry is replaced by another one; its lowest bit
//                       says that the bucket has been moved to the future array, and stays set
//
// The end mark of bucket i of n is 2 (n + i) + 1. Arrays only become larger, so no two buckets that
// a table ever has share a mark, and no mark is the address of an entry.
//
// What a reader sees of a chain rests on this:
//   1. entries are linked only at the beginning of a chain
//   2. an entry that is unlinked keeps its next link until its next life
//   3. an array gets its future once, before the first of its buckets moves
//   4. a bucket moves from its last entry to its first, each entry to the beginning of the chain in
//      the future array that its hash belongs to; only then the bucket is marked as moved
//   5. nothing is linked in an array that has a future, except in a bucket that a writer had locked
//      before; and nothing is linked in a bucket of the future before the bucket that it comes from
//      has been moved, except by that move
//
// So a thread that has come to the end mark of a bucket, and has not met an entry that was linked all the
// while, finds it behind: it has been moved before (4). Every detour shows: an entry that has
// become another one leads to the end of its new chain, and if that is the one that the reader is
// in, then to its beginning (1, 2), or it was moved, and leads to the end of a future chain, behind
// which the reader finds what it has not seen (4, 5). The version covers what 1 does not: a key
// whose new entry is linked behind a reader before the old one is unlinked in front of it.

internal import SlabCore
public import SlabPlatform
public import Synchronization

@usableFromInline
struct Bucket: ~Copyable {
  @usableFromInline let first: Atomic<UInt>
  let lock: Lock
  @usableFromInline let version: Atomic<UInt32>

  static var isMoved: UInt32 { 1 }
  static var oneVersion: UInt32 { 2 }

  @usableFromInline static var bytes: UInt { 16 }
}

@usableFromInline
struct BucketArray: ~Copyable {
  /// First: its address is the array's.
  private var callback = GracePeriodCallback()
  /// A power of two.
  @usableFromInline let bucketCount: Int
  /// The array that this one's entries move to; 0 while there is none.
  @usableFromInline let future = Atomic<UInt>(0)
  /// The writers' line begins here.
  private let padding = InlineArray<32, UInt8>(repeating: 0)
  /// The first bucket that no writer has undertaken to move.
  let nextToMove = Atomic<Int>(0)
  /// Buckets that have been moved.
  let movedCount = Atomic<Int>(0)

  @usableFromInline static var headerBytes: UInt { 128 }
  static var fewestBuckets: Int { 128 }
  static var mostBuckets: Int { 1 << 40 }

  /// Arrays of the process that are mapped; for tests.
  static let mappedCount = Atomic<Int>(0)

  private init(bucketCount: Int) { self.bucketCount = bucketCount }

  /// An array of empty buckets; `nil` if the system refuses the memory. Two system calls.
  static func make(bucketCount: Int) -> Pointer<BucketArray>? {
    guard let address = try? SystemCall.reserve(bytes: bytes(bucketCount)) else { return nil }
    do throws(Errno) {
      try SystemCall.protectReadWrite(at: address, bytes: bytes(bucketCount))
    } catch {
      try? SystemCall.unmap(at: address, bytes: bytes(bucketCount))
      return nil
    }
    // SAFETY: the memory is the array's own.
    let array = unsafe Pointer<BucketArray>(nonzeroAddress: address)
    // SAFETY: the memory is ours, zero, and larger than the header, which ends before the buckets.
    unsafe array.unsafePointer.initialize(to: BucketArray(bucketCount: bucketCount))
    mappedCount.add(1, ordering: .relaxed)
    return array
  }

  static func bytes(_ bucketCount: Int) -> Int {
    (Int(headerBytes) + bucketCount * Int(Bucket.bytes) + 4095) & ~4095
  }

  /// Whether a link is an end mark, and no entry.
  @inlinable @inline(__always)
  static func isEnd(_ link: UInt) -> Bool { link & 1 != 0 }
}

extension Pointer where Pointee == BucketArray {
  @inlinable @inline(__always)
  var bucketCount: Int { pointee.bucketCount }

  /// The array that this one's entries move to.
  @inlinable @inline(__always)
  var future: Pointer<BucketArray>? {
    // Acquiring: pairs with the releasing store in `TableCore.grow`.
    // SAFETY: the array belongs to the table, or to readers that a grace period protects.
    unsafe Pointer(address: pointee.future.load(ordering: .acquiring))
  }

  @inlinable @inline(__always)
  func index(of hash: Int) -> Int { hash & (bucketCount - 1) }

  @inlinable @inline(__always)
  subscript(_ index: Int) -> Pointer<Bucket> {
    // Unchecked: within the array, whose size has been checked when it was made.
    // SAFETY: the array belongs to the table, or to readers that a grace period protects.
    unsafe Pointer<Bucket>(
      nonzeroAddress: address &+ BucketArray.headerBytes &+ UInt(bitPattern: index) &* Bucket.bytes)
  }

  /// The end mark of a bucket.
  @inlinable @inline(__always)
  func end(of index: Int) -> UInt { UInt(bitPattern: bucketCount | index) << 1 | 1 }

  /// The first entry of a bucket, or its end mark.
  @inlinable @inline(__always)
  func first(of index: Int) -> UInt {
    // Acquiring: pairs with the releasing stores of writers.
    let first = self[index].pointee.first.load(ordering: .acquiring)
    return first == 0 ? end(of: index) : first
  }

  /// Whether a mark ends one of the two chains of an array twice as large that a bucket moves to.
  @inlinable
  func isEnd(_ mark: UInt, ofFutureOf index: Int) -> Bool {
    let bucket = Int(bitPattern: mark >> 1)
    return bucket & ~bucketCount == 2 * bucketCount | index
  }

  /// Gives the memory back. The array must not be in use any more.
  func unmap() {
    BucketArray.mappedCount.subtract(1, ordering: .relaxed)
    try? SystemCall.unmap(at: address, bytes: BucketArray.bytes(bucketCount))
  }

  /// The same after a grace period. Never waits for it.
  func unmapAfterGracePeriod(of allocator: Allocator) {
    unsafe allocator.call(Pointer<GracePeriodCallback>(nonzeroAddress: address)) { head in
      // SAFETY: the head is the first field of its array.
      unsafe Pointer<BucketArray>(nonzeroAddress: UInt(bitPattern: head)).unmap()
    }
  }
}

extension Pointer where Pointee == Bucket {
  /// Under the lock. Whether the entries are in the future array.
  var isMoved: Bool { pointee.version.load(ordering: .relaxed) & Bucket.isMoved != 0 }

  /// Under the lock.
  func setFirst(_ link: UInt) {
    // Releasing: pairs with the acquiring load in `first(of:)`: a reader that finds an entry finds it filled
    // in.
    pointee.first.store(link, ordering: .releasing)
  }

  /// Under the lock: readers that come to the end of the chain and began before this start over.
  func addToVersion(_ bits: UInt32) {
    let version = pointee.version.load(ordering: .relaxed)
    // Releasing: pairs with the acquiring loads in `SlabTable.search`.
    pointee.version.store(version &+ bits, ordering: .releasing)
  }
}
