// SPDX-License-Identifier: Apache-2.0
// Taking elements out. Nothing here fails, and the block stays until the array ends or
// `removeAll`.

public import SlabCore

extension SlabArray where Element: ~Copyable {
  /// Takes the last element out; `nil` if there is none. O(1).
  @inlinable
  public mutating func popLast() -> Element? {
    guard storedCount > 0 else { return nil }
    storedCount -= 1
    // SAFETY: the element is initialised; it is behind the end now.
    return unsafe (start.unsafelyUnwrapped + storedCount).move()
  }

  /// Takes an element out; those behind it move down. O(count).
  ///
  /// - Precondition: the index is one of `indices`.
  @discardableResult @inlinable
  public mutating func remove(at index: Int) -> Element {
    checkIndex(index)
    storedCount -= 1
    // SAFETY: the element is initialised and moved out, those behind it move down by one.
    let place = unsafe start.unsafelyUnwrapped + index
    let element = unsafe place.move()
    unsafe place.moveInitialize(from: place + 1, count: storedCount - index)
    return element
  }

  /// Ends all elements. O(count); frees the block unless its capacity is to stay.
  @inlinable
  public mutating func removeAll(keepingCapacity keepsCapacity: Bool = false) {
    guard let start = unsafe start else { return }
    let removed = storedCount
    storedCount = 0
    // SAFETY: so many elements are initialised; none is counted any more.
    unsafe start.deinitialize(count: removed)
    guard !keepsCapacity else { return }
    storedCapacity = 0
    unsafe self.start = nil
    SharedHeap.free(UInt(bitPattern: start))
  }
}
