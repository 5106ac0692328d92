// SPDX-License-Identifier: Apache-2.0
// The worked example of docs/type-safe-caches.md: a hash table whose readers take no lock, of objects
// that are freed by a plain `free` and used again at once, perhaps in another chain. That they stay
// objects of the cache while a thread reads is all that the readers rely on.
//
//   object      next     the next object of the chain, or the chain's end: its bucket's number << 1 | 1
//               count    references; 0 for an object that is free or on its way to it
//               key
//               check    made from the key; stands for what an object is there for
//
// All four are atomic words: a reader may look at an object while its next life is being filled in.

import SlabPlatform
import SlabTestSupport
import Synchronization

@testable import SlabCore

struct TypeSafeTable: Sendable {
  let allocator: Allocator
  let root: Pointer<RootCache>
  let buckets: [Bucket]
  /// Called where other threads may do most: tests let them go first there.
  var disturb: @Sendable () -> Void = {}

  final class Bucket: Sendable {
    /// The writers'.
    let lock = Lock(outsideOfTheOrder: ())
    let first: Atomic<UInt>

    init(index: Int) { first = Atomic(TypeSafeTable.end(of: index)) }
  }

  struct Object: Equatable, Sendable {
    let address: UInt

    var next: AtomicWord { AtomicWord(at: address) }
    var count: Pointer<Atomic<Int>> { unsafe Pointer(nonzeroAddress: address + 8) }
    var key: AtomicWord { AtomicWord(at: address + 16) }
    var check: AtomicWord { AtomicWord(at: address + 24) }
  }

  init(_ allocator: Allocator, name: String, bucketCount: Int) throws(AllocatorError) {
    self.allocator = allocator
    root = try allocator.makeCache(name, size: 64, options: .typeSafe)
    buckets = (0..<bucketCount).map { Bucket(index: $0) }
  }

  static func end(of bucket: Int) -> UInt { UInt(bucket) << 1 | 1 }
  static func isEnd(_ link: UInt) -> Bool { link & 1 == 1 }
  static func check(of key: UInt64) -> UInt64 { key &* 0x9E37_79B9_7F4A_7C15 | 1 }

  private func bucketIndex(of key: UInt64) -> Int { Int(key % UInt64(buckets.count)) }
}

// MARK: - Readers

extension TypeSafeTable {
  /// The object of a key, with a reference that the caller gives back by `release`; `nil` if there is
  /// none. Takes no lock.
  func find(_ key: UInt64) -> Object? {
    let section = allocator.beginReading()
    defer { allocator.endReading(section) }
    while true {
      switch search(key) {
      case .found(let object): return object
      case .missing: return nil
      case .disturbed: Threads.pause()
      }
    }
  }

  private enum Search {
    case found(Object)
    case missing, disturbed
  }

  private func search(_ key: UInt64) -> Search {
    let index = bucketIndex(of: key)
    // Acquiring, here and at `next`: pairs with the releasing stores in `insert`.
    var link = buckets[index].first.load(ordering: .acquiring)
    while !Self.isEnd(link) {
      let object = Object(address: link)
      // Before the key is looked at: afterwards the object may be in another chain.
      link = UInt(object.next.load())
      disturb()
      guard object.key.load() == key else { continue }
      disturb()
      guard acquire(object) else { return .disturbed }
      // Only now it cannot change any more. It may have become another one before.
      guard object.key.load() == key else {
        release(object)
        return .disturbed
      }
      return .found(object)
    }
    // The end of another chain: an object on the way was moved there.
    return link == Self.end(of: index) ? .missing : .disturbed
  }

  /// Takes a reference unless there is none: then the object is free, or will be.
  private func acquire(_ object: Object) -> Bool {
    var count = object.count.pointee.load(ordering: .relaxed)
    while count != 0 {
      // Acquiring: pairs with the releasing store in `insert`: what follows sees the whole object.
      let (done, now) = object.count.pointee.weakCompareExchange(
        expected: count, desired: count + 1, successOrdering: .acquiring,
        failureOrdering: .relaxed)
      if done { return true }
      count = now
    }
    return false
  }

  /// Gives a reference back; the last one frees the object, at once.
  func release(_ object: Object) {
    // Acquiring and releasing: what all holders did comes before the next life.
    let left = object.count.pointee.subtract(1, ordering: .acquiringAndReleasing).newValue
    if left == 0 { allocator.free(object.address) }
  }
}

// MARK: - Writers

extension TypeSafeTable {
  /// Puts an object for a key into the table; false if there is one already.
  func insert(_ key: UInt64, in group: Pointer<Group>?) throws(AllocatorError) -> Bool {
    let object = Object(address: try allocator.allocate(from: root, in: group))
    let index = bucketIndex(of: key)
    let bucket = buckets[index]
    bucket.lock.lock()
    guard position(of: key, in: index) == nil else {
      bucket.lock.unlock()
      // Nobody can have taken a reference: its count is 0 still.
      allocator.free(object.address)
      return false
    }
    // The whole object,
    object.key.store(key)
    object.check.store(Self.check(of: key))
    object.next.store(UInt64(bucket.first.load(ordering: .relaxed)))
    // then the table's own reference, from which on readers of the last life may take one,
    object.count.pointee.store(1, ordering: .releasing)
    // then the way to it.
    bucket.first.store(object.address, ordering: .releasing)
    bucket.lock.unlock()
    return true
  }

  /// Takes the object of a key out of the table; false if there is none.
  func remove(_ key: UInt64) -> Bool {
    let index = bucketIndex(of: key)
    buckets[index].lock.lock()
    guard let (object, before) = position(of: key, in: index) else {
      buckets[index].lock.unlock()
      return false
    }
    // Its own `next` stays: a reader that stands on it finds the way.
    let next = object.next.load()
    if let before {
      before.next.store(next)
    } else {
      buckets[index].first.store(UInt(next), ordering: .releasing)
    }
    buckets[index].lock.unlock()
    release(object)
    return true
  }

  /// Under the bucket's lock.
  private func position(of key: UInt64, in index: Int) -> (object: Object, before: Object?)? {
    var before: Object?
    var link = buckets[index].first.load(ordering: .relaxed)
    while !Self.isEnd(link) {
      let object = Object(address: link)
      if object.key.load() == key { return (object, before) }
      before = object
      link = UInt(object.next.load())
    }
    return nil
  }
}
