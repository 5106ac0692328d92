// SPDX-License-Identifier: Apache-2.0
// The object of a slot as a span, and as bytes where it is nothing else.

extension Slot where Object: ~Copyable {
  /// The object as a span of one element. O(1).
  @inlinable
  public var span: Span<Object> {
    @_lifetime(borrow self)
    get {
      // SAFETY: one initialised object, which lives and does not change as long as `self` is borrowed.
      let span = unsafe Span(_unsafeStart: pointer, count: 1)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The same for changes. O(1).
  @inlinable
  public var mutableSpan: MutableSpan<Object> {
    @_lifetime(&self)
    mutating get {
      // SAFETY: as above; no other code sees it while `self` is exclusive.
      let span = unsafe MutableSpan(_unsafeStart: pointer, count: 1)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }
}

extension Slot where Object: BitwiseCopyable {
  /// The object's bytes, its padding included. O(1). In the padding may stand what the object's group has left
  /// there, and nothing of another one's.
  @inlinable
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      // SAFETY: as in `span`; a bitwise copyable object is its bytes.
      let bytes = unsafe RawSpan(
        _unsafeStart: UnsafeRawPointer(pointer), byteCount: MemoryLayout<Object>.size)
      return unsafe _overrideLifetime(bytes, borrowing: self)
    }
  }

  /// The same for changes. O(1).
  ///
  /// - Safety: what is written must be a value of the type again: not every pattern of bits is a `Bool`,
  ///   an enum or a pointer.
  @unsafe @inlinable
  public var mutableBytes: MutableRawSpan {
    @_lifetime(&self)
    mutating get {
      // SAFETY: as above.
      let bytes = unsafe MutableRawSpan(
        _unsafeStart: UnsafeMutableRawPointer(pointer), byteCount: MemoryLayout<Object>.size)
      return unsafe _overrideLifetime(bytes, mutating: &self)
    }
  }
}
