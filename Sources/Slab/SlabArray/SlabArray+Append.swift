// SPDX-License-Identifier: Apache-2.0
// Adding elements. What fails to make room leaves the array as it was.

extension SlabArray where Element: ~Copyable {
  /// Adds an element at the end. O(1) on average; else as `reserveCapacity`.
  ///
  /// - Throws: what `reserveCapacity` throws; the element is gone then. `appendIfPossible` makes it only
  /// where there is room.
  @inlinable @inline(__always)
  public mutating func append(_ element: consuming Element) throws(SlabError) {
    if storedCount == storedCapacity { try grow() }
    // SAFETY: there is room for one more.
    unsafe (start.unsafelyUnwrapped + storedCount).initialize(to: element)
    storedCount &+= 1
  }

  /// Adds an element at the end if there is room for it or can be had within the limits, and makes it only
  /// then. Costs as `append`.
  ///
  /// - Parameter make: makes the element; called at most once. If it throws, nothing has been added.
  /// - Returns: false where `append` would throw; `make` has not been called then.
  @inlinable
  public mutating func appendIfPossible<Failure: Error>(
    _ make: () throws(Failure) -> Element
  ) throws(Failure) -> Bool {
    if storedCount == storedCapacity {
      do throws(SlabError) { try grow() } catch { return false }
    }
    // SAFETY: as above.
    unsafe (start.unsafelyUnwrapped + storedCount).initialize(to: try make())
    storedCount &+= 1
    return true
  }

  /// Lets a body add elements within the capacity that there is (`reserveCapacity`). O(count).
  ///
  /// - Parameters:
  ///   - addedCount: for how many elements the span has room.
  ///   - body: appends to the span. What it has appended when it throws stays.
  /// - Precondition: 0 to `freeCapacity` elements; else the process ends.
  @inlinable
  public mutating func append<Failure: Error>(
    addingCount addedCount: Int,
    initializingWith body: (inout OutputSpan<Element>) throws(Failure) -> Void
  ) throws(Failure) {
    guard addedCount >= 0, addedCount <= freeCapacity else { SlabArrayContract.reportCapacity() }
    // SAFETY: there is as much room behind the elements, and `self` is exclusive.
    let room = unsafe UnsafeMutableBufferPointer(
      start: start.map { unsafe $0 + storedCount }, count: addedCount)
    var span = unsafe OutputSpan(buffer: room, initializedCount: 0)
    var failure: Failure?
    do throws(Failure) { try body(&span) } catch { failure = error }
    storedCount += unsafe span.finalize(for: room)
    if let failure { throw failure }
  }

  /// Puts an element before another one, or at the end. O(count).
  ///
  /// - Precondition: the index is one of `indices`, or `count`.
  /// - Throws: what `reserveCapacity` throws; the array is as it was, the element is gone.
  @inlinable
  public mutating func insert(_ element: consuming Element, at index: Int) throws(SlabError) {
    if index != storedCount { checkIndex(index) }
    if storedCount == storedCapacity { try grow() }
    // SAFETY: there is room for one more; the elements from the index on move up by one.
    let place = unsafe start.unsafelyUnwrapped + index
    unsafe (place + 1).moveInitialize(from: place, count: storedCount - index)
    unsafe place.initialize(to: element)
    storedCount &+= 1
  }
}

extension SlabArray {
  /// Adds copies of all elements of a sequence. O(their number), as `append`; what lies in one piece is
  /// copied as one. If it throws, those before are there.
  @inlinable
  public mutating func append(copying elements: some Sequence<Element>) throws(SlabError) {
    // Room first, outside of the closure: an error that leaves it in an optional is not nil in release builds
    // of Swift 6.3.1 where nothing was thrown.
    if let count = elements.withContiguousStorageIfAvailable({ $0.count }) {
      try makeRoom(forMore: count)
      let isCopied = elements.withContiguousStorageIfAvailable { piece in
        guard piece.count <= freeCapacity else { return false }
        unsafe copy(piece)
        return true
      }
      if isCopied == true { return }
    }
    try makeRoom(forMore: elements.underestimatedCount)
    for element in elements { try append(element) }
  }

  /// Adds copies of all elements of a span. O(their number), as `append`.
  ///
  /// - Throws: what `reserveCapacity` throws; the array is as it was.
  @inlinable
  public mutating func append(copying elements: Span<Element>) throws(SlabError) {
    try makeRoom(forMore: elements.count)
    unsafe elements.withUnsafeBufferPointer { unsafe copy($0) }
  }

  @inlinable @inline(__always)
  mutating func makeRoom(forMore added: Int) throws(SlabError) {
    if added > freeCapacity { try growToHold(added) }
  }

  /// Twice the room that there is, if that is enough and can be had without effort: with less, an array
  /// that grows little by little would be copied each time.
  @inlinable @inline(never)
  mutating func growToHold(_ added: Int) throws(SlabError) {
    let (wanted, overflows) = storedCount.addingReportingOverflow(added)
    let double = storedCapacity * 2
    if !overflows, double > wanted {
      do throws(SlabError) { return try move(toCapacity: double, isDispensable: true) } catch {}
    }
    try reserveCapacity(overflows ? .max : wanted)
  }

  /// Adds copies of initialised elements for which there is room.
  @inlinable @inline(__always)
  mutating func copy(_ elements: UnsafeBufferPointer<Element>) {
    guard let source = elements.baseAddress, elements.count > 0 else { return }
    // SAFETY: there is room for them behind those that are there, which no source overlaps.
    unsafe (start.unsafelyUnwrapped + storedCount).initialize(from: source, count: elements.count)
    storedCount &+= elements.count
  }
}
