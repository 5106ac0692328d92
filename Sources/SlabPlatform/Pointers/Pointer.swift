// SPDX-License-Identifier: Apache-2.0
// A pointer to a descriptor of the allocator: a cache, a slab, a group, a list node.
//
// Descriptors live in memory that the allocator manages itself, so no owner in the sense of the
// language can keep them alive; the life cycle does (docs/life-cycle.md says for each state which
// threads may still touch what). This type states that once, so that the code of the core does not repeat
// it at every field.

/// The address of a descriptor that the life cycle keeps alive while it may be used.
///
/// One word wide; `Optional<Pointer>` as well. Copying it keeps nothing alive.
@usableFromInline @safe @frozen
package struct Pointer<Pointee: ~Copyable>: Equatable {
  @usableFromInline package let unsafePointer: UnsafeMutablePointer<Pointee>

  @inlinable @inline(__always)
  package init(_ unsafePointer: UnsafeMutablePointer<Pointee>) {
    unsafe self.unsafePointer = unsafePointer
  }

  /// The descriptor at an address, or `nil` at 0. Unsafe: the caller says why there is one.
  @unsafe @inlinable @inline(__always)
  package init?(address: UInt) {
    guard let pointer = unsafe UnsafeMutablePointer<Pointee>(bitPattern: address) else {
      return nil
    }
    unsafe self.unsafePointer = pointer
  }

  /// The descriptor at an address that is known not to be 0. Unsafe: the caller says why there is one.
  @unsafe @inlinable @inline(__always)
  package init(nonzeroAddress address: UInt) {
    unsafe unsafePointer = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  @inlinable @inline(__always)
  package var address: UInt { unsafe UInt(bitPattern: unsafePointer) }

  @inlinable @inline(__always)
  package var pointee: Pointee {
    // SAFETY: in bounds, initialised and aligned since only the allocator makes these from
    // descriptors that it has initialised; alive by the rules of docs/life-cycle.md; exclusive
    // where it is not atomic by the lock that the field's comment names.
    unsafeAddress { unsafe UnsafePointer(unsafePointer) }
    nonmutating unsafeMutableAddress { unsafe unsafePointer }
  }

  @inlinable @inline(__always)
  package static func == (left: Self, right: Self) -> Bool {
    unsafe left.unsafePointer == right.unsafePointer
  }
}

extension Pointer: @unchecked Sendable where Pointee: ~Copyable {
  // An address; what it points to is guarded field by field.
}

extension Pointer where Pointee: ~Copyable {
  /// The address of a field of a descriptor. Only for stored fields, whose address is stable.
  @inlinable @inline(__always)
  package init(of field: inout Pointee) {
    // SAFETY: the caller passes a stored field of a descriptor in mapped memory; such an argument
    // is passed by its address, as no copy of a noncopyable descriptor can exist.
    self = unsafe withUnsafeMutablePointer(to: &field) { unsafe Pointer($0) }
  }
}
