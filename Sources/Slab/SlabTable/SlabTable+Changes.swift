// SPDX-License-Identifier: Apache-2.0
// One entry at a time. The memory comes before the bucket's lock and goes after it.

internal import SlabCore
internal import SlabPlatform

extension SlabTable where Value: ~Copyable {
  /// Inserts a value for a key that has none, charged to a group, and above it up to the root
  /// group.
  ///
  /// Costs an allocation (see `SlabCache.allocate`) and a short lock that only writers of a few
  /// other keys take. Expected O(1), also while the table grows: each insertion moves a few
  /// buckets, and one in many maps memory for twice as many, without which the table goes on with
  /// longer chains. May be called in a read-side section.
  ///
  /// - Parameters:
  ///   - value: the value; it ends here if the key has one already, or if the call throws.
  ///   - key: the key.
  ///   - group: the group that is charged for the entry: 24 bytes, key and value. Not for what these refer to.
  /// - Returns: whether the key had no value. If it had one, nothing has changed.
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`; the table has not changed.
  @discardableResult
  public func insert(
    _ value: consuming Value, forKey key: Key, in group: MemoryGroup
  ) throws(SlabError) -> Bool {
    insert(value, key, at: try allocate(in: group))
  }

  /// The same, charged to the current group: see `MemoryGroup.withCurrent`.
  @discardableResult
  public func insert(_ value: consuming Value, forKey key: Key) throws(SlabError) -> Bool {
    insert(value, key, at: try allocate())
  }

  /// Inserts a value for a key, or replaces the one that is there: lookups find one of them at any
  /// moment. As `insert`; the new entry is charged to the group, whichever the old one is charged to.
  ///
  /// - Returns: the old entry; `nil` if the key had none.
  /// - Throws: as `insert`; the table has not changed.
  @discardableResult
  public func updateValue(
    _ value: consuming Value, forKey key: Key, in group: MemoryGroup
  ) throws(SlabError) -> Entry? {
    update(value, key, at: try allocate(in: group))
  }

  /// The same, charged to the current group.
  @discardableResult
  public func updateValue(
    _ value: consuming Value, forKey key: Key
  ) throws(SlabError) -> Entry? {
    update(value, key, at: try allocate())
  }

  /// Removes a key. Expected O(1); a short lock. What its entry was charged is uncharged when the
  /// entry that is returned has ended, and all other holders of it have let go. May be called in a
  /// read-side section.
  ///
  /// - Returns: the entry that has been removed; `nil` if there was none.
  @discardableResult
  public func remove(forKey key: Key) -> Entry? {
    let entry = core.unlink(hash: key.hashValue) { entry in
      // SAFETY: a linked entry, under its bucket's lock.
      unsafe EntryLayout<Key, Value>.key(of: entry).pointee == key
    }
    guard let entry else { return nil }
    return Entry(owning: entry)
  }

  // MARK: - Steps

  private func allocate(in group: MemoryGroup) throws(SlabError) -> Pointer<TableEntry> {
    defer { extendLifetime(group.handle) }
    do throws(AllocatorError) {
      // SAFETY: the object is ours, of the cache of entries.
      return unsafe Pointer(nonzeroAddress: try Allocator.allocate(from: core.root, in: group.core))
    } catch { throw SlabError(error, allocatingFrom: core.root, in: group) }
  }

  private func allocate() throws(SlabError) -> Pointer<TableEntry> {
    do throws(AllocatorError) {
      // SAFETY: the object is ours, of the cache of entries.
      return unsafe Pointer(
        nonzeroAddress: try Allocator.allocate(from: core.root, ifPossibleIn: CurrentGroup.core))
    } catch { throw SlabError(error, allocatingFrom: core.root) }
  }

  private func insert(
    _ value: consuming Value, _ key: Key, at entry: Pointer<TableEntry>
  ) -> Bool {
    guard link(value, key, at: entry, replacing: false) == nil else {
      // No reference can have been taken: its count is 0 still.
      Self.end(entry)
      return false
    }
    return true
  }

  private func update(
    _ value: consuming Value, _ key: Key, at entry: Pointer<TableEntry>
  ) -> Entry? {
    guard let old = link(value, key, at: entry, replacing: true) else { return nil }
    return Entry(owning: old)
  }

  /// The entry that the key has already: see `TableCore.link`.
  private func link(
    _ value: consuming Value, _ key: Key, at entry: Pointer<TableEntry>, replacing: Bool
  ) -> Pointer<TableEntry>? {
    // SAFETY: the object is ours, with room for both, and neither is initialised. Readers of its
    // last life look at its words alone: its count is 0.
    unsafe EntryLayout<Key, Value>.key(of: entry).initialize(to: key)
    unsafe EntryLayout<Key, Value>.value(of: entry).initialize(to: value)
    return core.link(entry, hash: key.hashValue, replacing: replacing) { other in
      // SAFETY: a linked entry, under its bucket's lock.
      unsafe EntryLayout<Key, Value>.key(of: other).pointee == key
    }
  }
}
