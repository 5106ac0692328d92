// SPDX-License-Identifier: Apache-2.0
// What a lookup that keeps something gives out.

public import SlabPlatform

extension SlabTable where Value: ~Copyable {
  /// An entry that is held: one pointer wide, not copyable. Key and value stay what they are
  /// until it ends, though the entry may have left the table, and the table may be gone.
  ///
  /// It stays charged to its group, or to the groups above it, for as long. If it is the last to
  /// hold the entry, key and value end with it.
  @frozen @safe
  public struct Entry: ~Copyable {
    /// Of an entry that one reference of is ours.
    @usableFromInline let unsafePointer: UnsafeMutablePointer<TableEntry>

    @inlinable @inline(__always)
    init(owning entry: Pointer<TableEntry>) { unsafe unsafePointer = entry.unsafePointer }

    @inlinable @inline(__always)
    deinit { SlabTable.giveBack(unsafe Pointer(unsafePointer)) }

    /// The key that it was inserted for. O(1), no lock.
    @inlinable
    public var key: Key {
      // SAFETY: initialised, and constant, while there is a reference: ours.
      @inline(__always) _read {
        yield unsafe EntryLayout<Key, Value>.key(of: Pointer(unsafePointer)).pointee
      }
    }

    /// The value. O(1), no lock.
    @inlinable
    public var value: Value {
      // SAFETY: as for the key.
      @inline(__always) _read {
        yield unsafe EntryLayout<Key, Value>.value(of: Pointer(unsafePointer)).pointee
      }
    }
  }
}

extension SlabTable.Entry: @unchecked Sendable where Value: ~Copyable {
  // Holders on several threads only look, at what is sendable; the last one ends it.
}
