// SPDX-License-Identifier: Apache-2.0
// All entries: a chain at a time, whose entries are kept by references while a body looks at them,
// so that the body runs under no lock and may use the table.

internal import SlabCore
internal import SlabPlatform
internal import Synchronization

extension SlabTable where Value: ~Copyable {
  /// Calls a body with each entry, in no order. O(entries + buckets); a short lock for each bucket.
  /// The body may use the table; it runs in no read-side section.
  ///
  /// An entry that is in the table from beginning to end is seen exactly once, also while the table
  /// grows; one that comes or goes meanwhile at most once; of a value that is replaced either the
  /// old one, or the new one.
  public func forEachEntry<Failure: Error>(
    _ body: (Key, borrowing Value) throws(Failure) -> Void
  ) throws(Failure) {
    try core.forEachEntry { entries throws(Failure) in
      var next = 0
      // Also those that the body has not seen when it throws.
      defer { for entry in entries[next...] { Self.giveBack(entry) } }
      while next < entries.count {
        let entry = Entry(owning: entries[next])
        next += 1
        try body(entry.key, entry.value)
      }
    }
  }

  /// Removes all entries, and lets go of them. O(entries + buckets); a short lock for each bucket.
  /// An entry that is inserted meanwhile may stay. The table keeps its buckets.
  public func removeAll() {
    core.forEachEntry(unlinking: true) { entries in
      for entry in entries { Self.giveBack(entry) }
    }
  }

  /// Removes the entries that a body picks, and lets go of them: those of a tenant that ends, for
  /// example. Looks at all entries, as `forEachEntry`; O(entries + buckets).
  ///
  /// A value that is replaced after the body has picked it stays.
  ///
  /// - Returns: how many entries have been removed.
  @discardableResult
  public func removeAll<Failure: Error>(
    where isUnwanted: (Key, borrowing Value) throws(Failure) -> Bool
  ) throws(Failure) -> Int {
    var removed = 0
    try core.forEachEntry { entries throws(Failure) in
      var next = 0
      defer { for entry in entries[next...] { Self.giveBack(entry) } }
      while next < entries.count {
        let entry = entries[next]
        if try remove(entry, where: isUnwanted) { removed += 1 }
        next += 1
        Self.giveBack(entry)
      }
    }
    return removed
  }

  /// The caller has a reference: by its address the entry is known to be the same.
  private func remove<Failure: Error>(
    _ entry: Pointer<TableEntry>, where isUnwanted: (Key, borrowing Value) throws(Failure) -> Bool
  ) throws(Failure) -> Bool {
    // SAFETY: initialised and constant while there is a reference.
    guard
      try isUnwanted(
        unsafe EntryLayout<Key, Value>.key(of: entry).pointee,
        unsafe EntryLayout<Key, Value>.value(of: entry).pointee)
    else { return false }
    // Relaxed: constant while there is a reference.
    let hash = entry.pointee.hash.load(ordering: .relaxed)
    guard core.unlink(hash: hash, where: { $0 == entry }) != nil else { return false }
    // The table's reference; the caller's is still there.
    Self.giveBack(entry)
    return true
  }
}
