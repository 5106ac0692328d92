// SPDX-License-Identifier: Apache-2.0
// Plain and atomic words at computed addresses: tables and bitmaps in memory that the allocator
// has mapped, whose length no type can carry.

internal import CSlabPlatform
public import Synchronization

/// A table of machine words in mapped memory.
///
/// Indices are not checked: every user derives them from an address or an index that it has
/// checked before.
@usableFromInline @safe @frozen
package struct Words {
  @usableFromInline let base: UnsafeMutablePointer<UInt64>

  /// The table that begins at a mapped address, which must be a multiple of 8.
  @inlinable @inline(__always)
  package init(at address: UInt) {
    // SAFETY: callers pass addresses of memory that they have mapped and own.
    unsafe base = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  @inlinable @inline(__always)
  package var address: UInt { unsafe UInt(bitPattern: base) }

  @inlinable @inline(__always)
  package subscript(_ index: Int) -> UInt64 {
    // SAFETY: the index is within the table, see the type's comment.
    get { unsafe base[index] }
    nonmutating set { unsafe base[index] = newValue }
  }

  /// The lower half of a word, with its sign: one load that extends.
  @inlinable @inline(__always)
  package func lowerHalf(_ index: Int) -> Int {
    // SAFETY: as in the subscript; the lower half comes first on the machines that we have.
    Int(unsafe UnsafeRawPointer(base + index).load(as: Int32.self))
  }
}

/// One atomic word at an address in mapped memory.
@usableFromInline @safe @frozen
package struct AtomicWord {
  @usableFromInline let word: UnsafeMutablePointer<Atomic<UInt64>>

  @inlinable @inline(__always)
  package init(at address: UInt) {
    // SAFETY: callers pass the address of a mapped, aligned word that is only used atomically
    // while it is shared.
    unsafe word = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  @inlinable @inline(__always)
  package func load() -> UInt64 { unsafe word.pointee.load(ordering: .acquiring) }

  @inlinable @inline(__always)
  package func store(_ value: UInt64) { unsafe word.pointee.store(value, ordering: .releasing) }

  @inlinable @inline(__always)
  package func add(_ delta: Int64) {
    unsafe word.pointee.wrappingAdd(UInt64(bitPattern: delta), ordering: .relaxed)
  }

  package func addReleasing(_ delta: Int64) {
    unsafe word.pointee.wrappingAdd(UInt64(bitPattern: delta), ordering: .releasing)
  }
}

/// Sets mapped memory to zero.
package func zeroMemory(at address: UInt, bytes: Int) {
  // SAFETY: callers own the memory.
  guard let start = unsafe UnsafeMutableRawPointer(bitPattern: address) else { return }
  unsafe start.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
}

/// Copies mapped memory to other memory.
package func copyMemory(from source: UInt, to target: UInt, bytes: Int) {
  // SAFETY: callers own both.
  guard let start = unsafe UnsafeMutableRawPointer(bitPattern: target),
    let source = unsafe UnsafeRawPointer(bitPattern: source)
  else { return }
  unsafe start.copyMemory(from: source, byteCount: bytes)
}

/// Brings the cache line at an address nearer; any address will do.
@inline(__always)
package func prefetch(_ address: UInt) { slab_prefetch(address) }
