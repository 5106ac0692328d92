// SPDX-License-Identifier: Apache-2.0
// The elements that are there: one by one, and as spans.

extension SlabArray where Element: ~Copyable {
  /// The indices of the elements: from 0 up to `count`. O(1).
  @inlinable
  public var indices: Range<Int> { unsafe Range(uncheckedBounds: (0, storedCount)) }

  /// An element. O(1).
  ///
  /// - Precondition: the index is one of `indices`; else the process ends.
  @inlinable
  public subscript(_ index: Int) -> Element {
    @inline(__always) _read {
      checkIndex(index)
      // SAFETY: the index is below `count`, so there is a block and the element is initialised.
      yield unsafe start.unsafelyUnwrapped[index]
    }
    @inline(__always) _modify {
      checkIndex(index)
      // SAFETY: as above; `self` is exclusive.
      yield unsafe &start.unsafelyUnwrapped[index]
    }
  }

  /// Exchanges two elements. O(1).
  ///
  /// - Precondition: both are of `indices`.
  @inlinable
  public mutating func swapAt(_ first: Int, _ second: Int) {
    checkIndex(first)
    checkIndex(second)
    guard first != second else { return }
    // SAFETY: both are initialised, and not the same.
    unsafe swap(&start.unsafelyUnwrapped[first], &start.unsafelyUnwrapped[second])
  }

  /// The elements. O(1).
  @inlinable
  public var span: Span<Element> {
    @_lifetime(borrow self)
    get {
      // SAFETY: initialised elements that live and do not change as long as `self` is borrowed.
      let span = unsafe Span(_unsafeElements: UnsafeBufferPointer(start: start, count: storedCount))
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The same for changes. O(1).
  @inlinable
  public var mutableSpan: MutableSpan<Element> {
    @_lifetime(&self)
    mutating get {
      // SAFETY: as above; no other code sees them while `self` is exclusive.
      let span = unsafe MutableSpan(
        _unsafeElements: UnsafeMutableBufferPointer(start: start, count: storedCount))
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }
}
