// SPDX-License-Identifier: Apache-2.0
// A hash table whose readers take no lock. Its entries are objects of a type-safe cache: freed by a
// plain free and used again at once, so a reader must expect that what it has found is another
// entry by now. docs/type-safe-caches.md has the rules in general; here they are
//
//   TableEntry      an entry's words, and when each may be read
//   BucketArray     chains, end marks, and the rules by which writers change them
//   TableCore       the writers, growth, and walks over all entries
//   +Lookup         the readers
//   +Changes, +All  what users do to the table
//
// An entry is, in this order,
//
//   free        count 0; its words are those of its last life
//   filled in   key and value initialised, count 0, known to the writer alone
//   linked      count 1 for the table, and 1 for each `Entry`
//   unlinked    count 1 for each `Entry`; its next link stays
//   free        the thread that took the count to 0 has ended key and value
//
// Locks: a writer holds one bucket's lock, in a read-side section, for the loads and stores that
// change the chain, for `==` of keys, and when the table grows for moving the chain; while all
// entries are visited, for a piece of the language's heap to remember a chain's entries. Nothing is
// allocated from the cache, freed or ended under it, and no lock of the allocator is taken; what
// `==` does is its own. `growing` is held while an array is mapped, and never waited for. The
// buckets of the future array that a bucket moves to are not locked: its own lock keeps all others
// from them.
//
// Sections: readers and writers are in one while they use an array or are on their way to a
// reference. No code of a user's runs in one but `==` of keys.
//
// fork: bucket locks are not taken by fork, so a child may look up, hold entries, and give them
// back; what changes the table, and what visits all entries, may wait there for a thread that does
// not exist. A reader never waits: wherever a writer stopped, the chains lead it on.

public import SlabCore
public import SlabPlatform

/// A hash table with lookups that take no lock, for values that belong to tenants: each entry is
/// charged to a memory group, and lives in a slab cache of the table's own.
///
///     let sessions = try SlabTable<String, Session>(named: "session")
///     try sessions.insert(Session(user: 42), forKey: token, in: tenant)
///     let user = sessions.withValue(forKey: token) { $0.user }
///
/// Any number of threads and tasks may use it at once. A lookup always finds a key that is there
/// all the while, whatever happens to other keys, while its value is replaced, and while the table
/// grows. A value cannot be changed in place, since others look at it: replace it, or let it bring
/// its own lock or atomics.
///
/// An entry stays in the table when its group ends, until it is removed. The table grows by itself
/// and does not shrink. It ends with its last reference; entries that are still held live on.
///
/// `==` of keys must neither use the table nor wait for a grace period. In a child of `fork` only
/// lookups are safe.
///
/// Not for a handful of entries, for which a table costs a page or two, nor for values that one
/// thread alone uses: a `Dictionary` of `Slot`s is faster there.
public final class SlabTable<Key: Hashable & Sendable, Value: ~Copyable & Sendable>: Sendable {
  @usableFromInline let core: TableCore

  /// Makes a table, and a cache for its entries. O(1) expected; makes system calls; no group is
  /// charged for the buckets, 16 bytes each.
  ///
  /// - Parameters:
  ///   - name: the cache's: 1 to 63 bytes without blanks and control characters, new among the
  ///     caches of the allocator.
  ///   - namespace: stands ahead of the name, as for `SlabCache`.
  ///   - minimumCapacity: entries that the table holds before it grows.
  ///   - allocator: whose memory the entries are.
  /// - Throws: `.invalidName`, `.nameInUse`, `.invalidObjectSize` if key and value have more than
  ///   32 KiB less 24 bytes, `.invalidLimit` for a negative capacity, `.tooManyCaches`, `.outOfMemory`.
  public init(
    named name: String, namespace: String? = nil, minimumCapacity: Int = 0,
    of allocator: SlabAllocator = .shared
  ) throws(SlabError) {
    core = try TableCore(
      named: name, namespace: namespace, entryBytes: EntryLayout<Key, Value>.bytes,
      alignment: EntryLayout<Key, Value>.alignment, minimumCapacity: minimumCapacity,
      of: allocator)
  }

  deinit {
    // Entries of an allocator that has been unmapped are gone already.
    core.cache.allocator.ifMapped { _ in
      core.forEachEntry(unlinking: true) { entries in
        for entry in entries { Self.giveBack(entry) }
      }
    }
    core.unmapArrays()
  }

  /// The name that it was made with, behind its name space if there is one: `namespace:name`. O(1).
  public var name: String { core.cache.name }

  /// Entries of the table. Exact while it does not change. O(1), no lock.
  public var count: Int { core.count }

  /// Whether there is no entry. As `count`.
  public var isEmpty: Bool { count == 0 }
}

extension SlabTable where Value: ~Copyable {
  /// Gives a reference back. The last one ends key and value, and frees the object.
  @inlinable @inline(__always)
  static func giveBack(_ entry: Pointer<TableEntry>) {
    if entry.dropReference() { end(entry) }
  }

  /// Ends an entry whose last reference is gone, or that never had one. In no section, under no
  /// lock.
  @inlinable @inline(__always)
  static func end(_ entry: Pointer<TableEntry>) {
    EntryLayout<Key, Value>.deinitialize(entry)
    SharedHeap.free(entry.address)
  }
}
