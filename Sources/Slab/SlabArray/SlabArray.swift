// SPDX-License-Identifier: Apache-2.0
public import SlabCore
internal import SlabPlatform

/// A growable array whose elements are charged to a group, and need not be copyable.
///
/// Like an `Array`, but it grows only as far as its group's limit allows: operations that add elements
/// throw `SlabError`. Where one element is added, the array is then as it was; `append(copying:)` keeps
/// what it had added before it failed.
///
/// Its storage is one block (`size-…` or `block-pages` in slabinfo) of at most `MemoryGroup.largestAllocation`. Not
/// copyable; it holds its group's handle.
@frozen @safe
public struct SlabArray<Element: ~Copyable>: ~Copyable {
  /// Of a live block with room for `capacity` elements, the first `count` of which are initialised;
  /// `nil` while `capacity` is 0.
  @usableFromInline var start: UnsafeMutablePointer<Element>?
  @usableFromInline var storedCount = 0
  @usableFromInline var storedCapacity = 0
  /// The group that is charged.
  public let group: MemoryGroup

  /// Makes an empty array; nothing is charged yet.
  ///
  /// - Parameter group: the group that will be charged; the current one by default.
  @inlinable
  public init(in group: MemoryGroup = .current) {
    self.group = group
    unsafe start = nil
  }

  /// Makes an empty array with room for some elements. As `reserveCapacity`.
  @inlinable
  public init(
    minimumCapacity: Int, in group: MemoryGroup = .current
  ) throws(SlabError) {
    self.init(in: group)
    try reserveCapacity(minimumCapacity)
  }

  @inlinable
  deinit {
    guard let start = unsafe start else { return }
    // SAFETY: the first `count` elements are initialised and ours.
    unsafe start.deinitialize(count: storedCount)
    SharedHeap.free(UInt(bitPattern: start))
  }

  /// Elements in the array. O(1).
  @inlinable
  public var count: Int { storedCount }

  /// Elements that fit without another block. O(1).
  @inlinable
  public var capacity: Int { storedCapacity }

  /// Whether the array has no element. O(1).
  @inlinable
  public var isEmpty: Bool { storedCount == 0 }

  /// Elements that can be added without another block. O(1).
  @inlinable
  public var freeCapacity: Int { storedCapacity - storedCount }

  /// Makes room for so many elements in all. O(count) if that needs another block, which is charged
  /// before the old one is freed; locks and system calls as `SlabCache.allocate`.
  ///
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.allocationTooLarge`. Then nothing
  ///   has changed.
  @inlinable
  public mutating func reserveCapacity(_ minimumCapacity: Int) throws(SlabError) {
    guard minimumCapacity > storedCapacity else { return }
    try move(toCapacity: minimumCapacity)
  }

  /// For a full array: room for one element more, by doubling.
  @inlinable @inline(never)
  mutating func grow() throws(SlabError) {
    let double = max(4, storedCapacity * 2)
    do throws(SlabError) {
      // Dispensable: nothing of the group's is reclaimed for room that is not needed yet.
      try move(toCapacity: double, isDispensable: true)
    } catch {
      do throws(SlabError) {
        // Near the limit less may do.
        try reserveCapacity(storedCapacity + 1)
      } catch {
        // What was reclaimed for that may do for the larger block, whose class can have smaller slabs.
        do throws(SlabError) { try move(toCapacity: double, isDispensable: true) } catch _ {
          throw error
        }
      }
    }
  }

  @inlinable @inline(never)
  mutating func move(
    toCapacity wanted: Int, isDispensable: Bool = false
  ) throws(SlabError) {
    let stride = max(1, MemoryLayout<Element>.stride)
    let (bytes, overflows) = wanted.multipliedReportingOverflow(by: stride)
    let block = unsafe try group.allocateBlock(
      bytes: overflows ? .max : bytes, alignment: max(16, MemoryLayout<Element>.alignment),
      isDispensable: isDispensable)
    let new = unsafe block.baseAddress.unsafelyUnwrapped.bindMemory(
      to: Element.self, capacity: block.count / stride)
    if let start = unsafe start {
      // SAFETY: the new block has room for more; the old elements are moved out, then it is freed.
      unsafe new.moveInitialize(from: start, count: storedCount)
      SharedHeap.free(UInt(bitPattern: start))
    }
    unsafe start = new
    storedCapacity = block.count / stride
  }

  @inlinable @inline(__always)
  func checkIndex(_ index: Int) {
    // As unsigned numbers: what is below 0 is above every count.
    guard UInt(bitPattern: index) < UInt(bitPattern: storedCount) else {
      SlabArrayContract.reportIndex()
    }
  }
}

/// What ends the process, outside of the generic type: one function for all element types.
@usableFromInline
enum SlabArrayContract {
  @usableFromInline @inline(never)
  static func reportIndex() -> Never { fatal("array: index out of range") }

  @usableFromInline @inline(never)
  static func reportCapacity() -> Never { fatal("array: appended beyond its capacity") }
}

extension SlabArray: @unchecked Sendable where Element: Sendable & ~Copyable {
  // It owns its elements alone, as a value would.
}
