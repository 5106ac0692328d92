// SPDX-License-Identifier: Apache-2.0
// What stands in front of an entry's key and value: the words that readers may look at without a
// reference. The entry may be another one by then, or free, but never anything else than an entry
// of this table: its cache is type-safe.
//
//   next     the next entry of the chain, or the chain's end mark (BucketArray.swift)
//   count    references: one of the table's while the entry is linked, and those of `Entry` owners;
//            0 for an object that is free, or on its way to it, or not linked yet
//   hash     of the key
//   key      only for holders of a reference
//   value    likewise
//
// Invariants: the constructor makes the count 0, and it is 0 again whenever the object is freed. It
// leaves 0 only in `link`, when everything else is written, and readers do not raise it from 0; so
// key and value are initialised while it is above 0, and are ended by the thread that takes it back to 0.

public import SlabPlatform
public import Synchronization

@usableFromInline
struct TableEntry: ~Copyable {
  @usableFromInline let next: Atomic<UInt>
  @usableFromInline let count: Atomic<Int>
  @usableFromInline let hash: Atomic<Int>

  /// Once per object, when its slab is made.
  static func construct(_ object: UnsafeMutableRawPointer) {
    // SAFETY: the memory of an object, large enough and aligned, that no other thread knows yet.
    unsafe object.bindMemory(to: TableEntry.self, capacity: 1)
      .initialize(to: TableEntry(next: Atomic(0), count: Atomic(0), hash: Atomic(0)))
  }
}

extension Pointer where Pointee == TableEntry {
  /// A reader's reference. False if the count is 0: then the entry is not linked any more.
  @inlinable @inline(__always)
  func takeReference() -> Bool {
    var count = pointee.count.load(ordering: .relaxed)
    while count != 0 {
      // Acquiring: pairs with the releasing store in `TableCore.link`: what follows sees the whole
      // entry.
      let (done, now) = pointee.count.weakCompareExchange(
        expected: count, desired: count + 1, successOrdering: .acquiring,
        failureOrdering: .relaxed)
      if done { return true }
      count = now
    }
    return false
  }

  /// One reference more of an entry that is kept by another one, or by its bucket's lock.
  func addReference() {
    // Relaxed: the lock has ordered all that matters.
    pointee.count.add(1, ordering: .relaxed)
  }

  /// Gives a reference back. True for the last: key and value are the caller's to end, and so
  /// is the object to free.
  @inlinable @inline(__always)
  func dropReference() -> Bool {
    // Releasing, and acquiring for the last: what all holders did comes before the entry's end.
    pointee.count.subtract(1, ordering: .acquiringAndReleasing).newValue == 0
  }

  /// The next entry, or an end mark.
  @inlinable @inline(__always)
  var next: UInt {
    // Acquiring: pairs with the releasing stores of writers; what a reader goes on to is filled in.
    get { pointee.next.load(ordering: .acquiring) }
    // Releasing, for `get`.
    nonmutating set { pointee.next.store(newValue, ordering: .releasing) }
  }
}

/// Where key and value stand in an entry.
@usableFromInline @frozen
enum EntryLayout<Key, Value: ~Copyable> {
  @inlinable @inline(__always)
  static func roundUp(_ bytes: Int, to alignment: Int) -> Int {
    (bytes + alignment - 1) & ~(alignment - 1)
  }

  @inlinable @inline(__always)
  static var keyOffset: Int {
    roundUp(MemoryLayout<TableEntry>.size, to: MemoryLayout<Key>.alignment)
  }

  @inlinable @inline(__always)
  static var valueOffset: Int {
    roundUp(keyOffset + MemoryLayout<Key>.size, to: MemoryLayout<Value>.alignment)
  }

  static var bytes: Int { valueOffset + MemoryLayout<Value>.size }

  static var alignment: Int {
    max(
      MemoryLayout<TableEntry>.alignment, MemoryLayout<Key>.alignment,
      MemoryLayout<Value>.alignment)
  }

  @inlinable @inline(__always)
  static func key(of entry: Pointer<TableEntry>) -> UnsafeMutablePointer<Key> {
    // SAFETY: the entry's object has room for a key there, aligned for it.
    unsafe UnsafeMutableRawPointer(entry.unsafePointer).advanced(by: keyOffset)
      .assumingMemoryBound(to: Key.self)
  }

  @inlinable @inline(__always)
  static func value(of entry: Pointer<TableEntry>) -> UnsafeMutablePointer<Value> {
    // SAFETY: as for the key.
    unsafe UnsafeMutableRawPointer(entry.unsafePointer).advanced(by: valueOffset)
      .assumingMemoryBound(to: Value.self)
  }

  /// Key and value of an entry whose last reference is gone.
  @inlinable @inline(__always)
  static func deinitialize(_ entry: Pointer<TableEntry>) {
    // SAFETY: both are initialised, and cannot be reached any more.
    unsafe key(of: entry).deinitialize(count: 1)
    unsafe value(of: entry).deinitialize(count: 1)
  }
}
