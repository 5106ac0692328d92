// Adding elements. What fails to make room leaves the array as it was.

internal import SlabPlatform

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

  /// Lets a body add elements within the capacity that there is (`reserveCapacity`). O(count).
  ///
  /// - Parameters:
  ///   - addedCount: for how many elements the span has room.
  ///   - body: appends to the span. What it has appended when it throws stays.
  /// - Precondition: 0 to `freeCapacity` elements; else the process ends.
  public mutating func append<Failure: Error>(
    count addedCount: Int,
    initializingWith body: (inout OutputSpan<Element>) throws(Failure) -> Void
  ) throws(Failure) {
    guard addedCount >= 0, addedCount <= freeCapacity else {
      fatal("array: appended beyond its capacity")
    }
    // SAFETY: there is as much room behind the elements, and `self` is exclusive.
    let room = unsafe UnsafeMutableBufferPointer(
      start: start.map { unsafe $0 + count }, count: addedCount)
    var span = unsafe OutputSpan(buffer: room, initializedCount: 0)
    var failure: Failure?
    do throws(Failure) { try body(&span) } catch { failure = error }
    count += unsafe span.finalize(for: room)
    if let failure { throw failure }
  }

  /// Puts an element before another one, or at the end. O(count).
  ///
  /// - Precondition: the index is one of `indices`, or `count`.
  /// - Throws: what `reserveCapacity` throws; the array is as it was, the element is gone.
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
  /// Adds copies of all elements of a sequence. O(their number), as `append`. If it throws, those before
  /// are there.
  public mutating func append(contentsOf elements: some Sequence<Element>) throws(SlabError) {
    let (wanted, overflows) = count.addingReportingOverflow(elements.underestimatedCount)
    try reserveCapacity(overflows ? .max : wanted)
    for element in elements { try append(element) }
  }
}
