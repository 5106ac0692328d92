internal import SlabCore
internal import SlabPlatform

/// A growable array whose elements are charged to a group, and may be such as cannot be copied.
///
/// As an `Array`, but it grows only as far as its group's limit lets it: what makes room throws
/// `SlabError`, and leaves the array as it was. Its storage is one block of the size classes
/// (`size-…` in slabinfo), at most 4 MiB. Not copyable; it holds its group's handle.
@safe
public struct SlabArray<Element: ~Copyable>: ~Copyable {
  /// Of a live block with room for `capacity` elements, the first `count` of which are initialised;
  /// `nil` while `capacity` is 0.
  var start: UnsafeMutablePointer<Element>?
  /// Elements in the array. O(1).
  public internal(set) var count = 0
  /// Elements that fit without another block. O(1).
  public internal(set) var capacity = 0
  /// The group that is charged.
  public let group: MemoryGroup

  /// Makes an empty array; nothing is charged yet.
  ///
  /// - Parameter group: who will be charged; the one in effect here by default.
  public init(in group: MemoryGroup = .inEffect) {
    self.group = group
    unsafe start = nil
  }

  /// Makes an empty array with room for some elements. As `reserveCapacity`.
  public init(
    minimumCapacity: Int, in group: MemoryGroup = .inEffect
  ) throws(SlabError) {
    self.init(in: group)
    try reserveCapacity(minimumCapacity)
  }

  deinit {
    guard let start = unsafe start else { return }
    // SAFETY: the first `count` elements are initialised and ours.
    unsafe start.deinitialize(count: count)
    SharedHeap.free(UInt(bitPattern: start))
  }

  public var isEmpty: Bool { count == 0 }

  /// Elements that can be added without another block. O(1).
  public var freeCapacity: Int { capacity - count }

  /// Makes room for so many elements in all. O(count) if that needs another block, which is charged
  /// before the old one is freed; locks and system calls as `SlabCache.allocate`.
  ///
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.allocationTooLarge`. Then nothing
  ///   has changed.
  public mutating func reserveCapacity(_ minimumCapacity: Int) throws(SlabError) {
    guard minimumCapacity > capacity else { return }
    try move(toCapacity: minimumCapacity)
  }

  /// Room for one element more, by doubling.
  mutating func growIfFull() throws(SlabError) {
    guard count == capacity else { return }
    let double = max(4, capacity * 2)
    do throws(SlabError) {
      // Dispensable: nothing of the group's is reclaimed for room that is not needed yet.
      try move(toCapacity: double, isDispensable: true)
    } catch {
      do throws(SlabError) {
        // Near the limit less may do.
        try reserveCapacity(capacity + 1)
      } catch {
        // What was reclaimed for that may do for the larger block, whose class can have smaller slabs.
        do throws(SlabError) { try move(toCapacity: double, isDispensable: true) } catch _ {
          throw error
        }
      }
    }
  }

  private mutating func move(
    toCapacity wanted: Int, isDispensable: Bool = false
  ) throws(SlabError) {
    let stride = max(1, MemoryLayout<Element>.stride)
    let (bytes, overflows) = wanted.multipliedReportingOverflow(by: stride)
    let block = unsafe try group.allocateBlock(
      bytes: overflows ? .max : bytes, alignment: max(16, MemoryLayout<Element>.alignment),
      isDispensable: isDispensable)
    let new = unsafe block.baseAddress!.bindMemory(
      to: Element.self, capacity: block.count / stride)
    if let start = unsafe start {
      // SAFETY: the new block has room for more; the old elements are moved out, then it is freed.
      unsafe new.moveInitialize(from: start, count: count)
      SharedHeap.free(UInt(bitPattern: start))
    }
    unsafe start = new
    capacity = block.count / stride
  }

  func checkIndex(_ index: Int) {
    guard index >= 0, index < count else { fatal("array: index out of range") }
  }
}

extension SlabArray: @unchecked Sendable where Element: Sendable & ~Copyable {
  // It owns its elements alone, as a value would.
}
