// SPDX-License-Identifier: Apache-2.0
// Finding, without a lock.

public import SlabCore
public import SlabPlatform
public import Synchronization

extension SlabTable where Value: ~Copyable {
  /// The entry of a key, held until the owner ends; `nil` if there is none.
  ///
  /// Takes no lock and waits for no other thread. Expected O(1); three restartable sequences or atomic
  /// operations, one of which other holders of the same entry do as well. Charges no group. May be
  /// called in a read-side section.
  @inlinable
  public func entry(forKey key: Key) -> Entry? {
    let hash = key.hashValue
    var tries = 0
    while true {
      let section = core.allocator.beginReading()
      let result = search(key, hash)
      core.allocator.endReading(section)
      switch result {
      case .found(let entry): return Entry(owning: entry)
      case .missing: return nil
      case .disturbed(let last):
        // Only out of the section: a value may do anything when it ends.
        if let last { Self.end(last) }
        core.pause(after: tries)
        tries += 1
      }
    }
  }

  /// Runs a body with the value of a key, which stays what it is meanwhile, even if it is removed.
  /// As `entry(forKey:)`; the body runs in no read-side section and under no lock.
  ///
  /// - Returns: what the body returns, or `nil` without a call if there is no such key.
  @inlinable
  public func withValue<Result: ~Copyable, Failure: Error>(
    forKey key: Key, _ body: (borrowing Value) throws(Failure) -> Result
  ) throws(Failure) -> Result? {
    guard let entry = entry(forKey: key) else { return nil }
    return try body(entry.value)
  }

  /// The same for a body that suspends.
  @inlinable
  public func withValue<Result: ~Copyable, Failure: Error>(
    forKey key: Key, _ body: (borrowing Value) async throws(Failure) -> Result
  ) async throws(Failure) -> Result? {
    guard let entry = entry(forKey: key) else { return nil }
    return try await body(entry.value)
  }

  /// Whether there is an entry for a key. As `entry(forKey:)`.
  @inlinable
  public func contains(_ key: Key) -> Bool {
    guard let entry = entry(forKey: key) else { return false }
    _ = consume entry
    return true
  }
}

extension SlabTable {
  /// A copy of the value of a key; `nil` if there is none. As `entry(forKey:)`.
  @inlinable
  public subscript(key: Key) -> Value? { withValue(forKey: key) { $0 } }
}

// MARK: - The search

@usableFromInline @frozen
enum TableSearch {
  /// With a reference.
  case found(Pointer<TableEntry>)
  case missing
  /// Writers were at work: start over. With an entry whose last reference the search gave back.
  case disturbed(Pointer<TableEntry>?)
}

extension SlabTable where Value: ~Copyable {
  /// In a section.
  @inlinable
  func search(_ key: Key, _ hash: Int) -> TableSearch {
    var array = core.currentArray
    while true {
      let index = array.index(of: hash)
      // Acquiring, here and below: pairs with the releasing store in `addToVersion`.
      let version = array[index].pointee.version.load(ordering: .acquiring)
      var link = array.first(of: index)
      while !BucketArray.isEnd(link) {
        // SAFETY: a link is an entry's address, which lives until a grace period after it is taken out.
        let entry = unsafe Pointer<TableEntry>(nonzeroAddress: link)
        core.step(.readerBeforeNext)
        // Before the hash is looked at: afterwards the entry may be in another chain.
        link = entry.next
        guard entry.pointee.hash.load(ordering: .relaxed) == hash else { continue }
        core.step(.readerBeforeReference)
        guard entry.takeReference() else { return .disturbed(nil) }
        // Only now it cannot change any more. It may have become another one before: this look at
        // the key is the second one, as that at the hash was the first.
        // SAFETY: initialised and constant while we have the reference.
        if unsafe EntryLayout<Key, Value>.key(of: entry).pointee == key { return .found(entry) }
        if entry.dropReference() { return .disturbed(entry) }
      }
      core.step(.readerAtEnd)
      // The end of another chain: an entry on the way was moved there. If it is one that this
      // bucket moves to, an entry of ours was: those before it we have seen, those behind it are
      // there already.
      guard link == array.end(of: index) || array.isEnd(link, ofFutureOf: index) else {
        return .disturbed(nil)
      }
      // The old entry of a key may have been unlinked before us, and the new one linked behind us.
      guard array[index].pointee.version.load(ordering: .acquiring) == version else {
        return .disturbed(nil)
      }
      guard let future = array.future else { return .missing }
      array = future
    }
  }
}
