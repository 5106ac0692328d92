// Adding elements. What fails leaves the array as it was.

extension SlabArray where Element: ~Copyable {
  /// Adds an element at the end. O(1) on average; else as `reserveCapacity`.
  ///
  /// - Throws: what `reserveCapacity` throws; the element is gone then. `appendIfPossible` keeps it.
  public mutating func append(_ element: consuming Element) throws(SlabError) {
    try growIfFull()
    // SAFETY: there is room for one more.
    unsafe (start.unsafelyUnwrapped + count).initialize(to: element)
    count += 1
  }

  /// Adds an element at the end, or gives it back where `append` would throw.
  public mutating func appendIfPossible(_ element: consuming Element) -> Element? {
    do throws(SlabError) { try growIfFull() } catch { return element }
    // SAFETY: as above.
    unsafe (start.unsafelyUnwrapped + count).initialize(to: element)
    count += 1
    return nil
  }

  /// Makes room for some elements and lets a body add them. As `reserveCapacity`, and the body.
  ///
  /// - Parameters:
  ///   - addedCapacity: for how many elements; the span has exactly as much room.
  ///   - body: appends to the span. What it has appended when it throws stays.
  public mutating func append(
    addingCapacity addedCapacity: Int,
    initializingWith body: (inout OutputSpan<Element>) throws(SlabError) -> Void
  ) throws(SlabError) {
    guard addedCapacity > 0 else { return }
    if addedCapacity > freeCapacity {
      try reserveCapacity(max(count + addedCapacity, capacity * 2))
    }
    // SAFETY: there is as much room behind the elements, and `self` is exclusive.
    let room = unsafe UnsafeMutableBufferPointer(
      start: start.unsafelyUnwrapped + count, count: addedCapacity)
    var span = unsafe OutputSpan(buffer: room, initializedCount: 0)
    var failure: SlabError?
    do throws(SlabError) { try body(&span) } catch { failure = error }
    count += unsafe span.finalize(for: room)
    if let failure { throw failure }
  }

  /// Puts an element before another one, or at the end. O(count).
  ///
  /// - Precondition: the index is one of `indices`, or `count`.
  public mutating func insert(_ element: consuming Element, at index: Int) throws(SlabError) {
    if index != count { checkIndex(index) }
    try growIfFull()
    // SAFETY: there is room for one more; the elements from the index on move up by one.
    let place = unsafe start.unsafelyUnwrapped + index
    unsafe (place + 1).moveInitialize(from: place, count: count - index)
    unsafe place.initialize(to: element)
    count += 1
  }
}

extension SlabArray {
  /// Adds copies of all elements of a sequence. If it throws, those before are there.
  public mutating func append(contentsOf elements: some Sequence<Element>) throws(SlabError) {
    try reserveCapacity(count + elements.underestimatedCount)
    for element in elements { try append(element) }
  }
}
