// SPDX-License-Identifier: Apache-2.0
internal import SlabCore
internal import SlabPlatform

/// Bytes that are charged to a group: the owner of a block of any size (`size-…` and `block-pages` in
/// slabinfo), which frees it when it ends. Not copyable; does not grow.
///
/// For elements of a type there is `SlabArray`; for many objects of one type, `SlabCache`.
@safe
public struct SlabBuffer: ~Copyable, Sendable {
  /// Of a live block of `capacity` bytes, of which the first `byteCount` are initialised.
  private nonisolated(unsafe) let start: UnsafeMutableRawPointer
  /// Bytes that hold something.
  public private(set) var byteCount: Int
  /// Bytes that the block has: what was asked for, rounded up to its size class, or above 32 KiB to whole pages.
  public let capacity: Int

  /// Allocates bytes that are zero. O(byteCount), unless they are known to be zero; locks and system calls as
  /// `SlabCache.allocate`.
  ///
  /// - Parameters:
  ///   - byteCount: 0 to `MemoryGroup.largestAllocation`.
  ///   - alignment: in bytes, a power of two up to 1 GiB.
  ///   - group: the group that is charged.
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.allocationTooLarge`,
  ///   `.invalidCapacity` below 0, `.invalidAlignment`.
  public init(
    zeroed byteCount: Int, alignment: Int = 16, in group: MemoryGroup = .current
  ) throws(SlabError) {
    let block = unsafe try group.allocateBlock(
      bytes: byteCount, alignment: alignment, isZeroed: true)
    // SAFETY: the block has that many bytes, which are zero, and is ours.
    unsafe start = block.baseAddress!
    capacity = block.count
    self.byteCount = byteCount
  }

  /// Allocates room for bytes, of which there are none yet: `append` adds them. As above, but O(1). The room is
  /// zero, or what the same group has left there.
  ///
  /// - Parameters:
  ///   - capacity: in bytes, 0 to `MemoryGroup.largestAllocation`.
  ///   - alignment: in bytes, a power of two up to 1 GiB.
  ///   - group: the group that is charged.
  /// - Throws: as above.
  public init(
    capacity: Int, alignment: Int = 16, in group: MemoryGroup = .current
  ) throws(SlabError) {
    let block = unsafe try group.allocateBlock(bytes: capacity, alignment: alignment)
    // SAFETY: the block has that many bytes and is ours.
    unsafe start = block.baseAddress!
    self.capacity = block.count
    byteCount = 0
  }

  /// Lets a body add bytes behind those that are there, within the capacity.
  ///
  /// - Parameter body: gets the span to append to, with room for the rest of the block. What it has
  ///   appended when it throws stays.
  public mutating func append<Failure: Error>(
    initializingWith body: (inout OutputRawSpan) throws(Failure) -> Void
  ) throws(Failure) {
    // SAFETY: the rest of the block, which is used by no other code meanwhile.
    let room = unsafe UnsafeMutableRawBufferPointer(
      start: start + byteCount, count: capacity - byteCount)
    var span = unsafe OutputRawSpan(buffer: room, initializedCount: 0)
    var failure: Failure?
    do throws(Failure) { try body(&span) } catch { failure = error }
    byteCount += unsafe span.finalize(for: room)
    if let failure { throw failure }
  }

  deinit { SharedHeap.free(UInt(bitPattern: unsafe start)) }

  /// The bytes. O(1).
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      // SAFETY: initialised bytes that live and do not change as long as `self` is borrowed.
      let bytes = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(start), byteCount: byteCount)
      return unsafe _overrideLifetime(bytes, borrowing: self)
    }
  }

  /// The same for changes. O(1).
  public var mutableBytes: MutableRawSpan {
    @_lifetime(&self)
    mutating get {
      // SAFETY: as above; no other code sees them while `self` is exclusive.
      let bytes = unsafe MutableRawSpan(_unsafeStart: start, byteCount: byteCount)
      return unsafe _overrideLifetime(bytes, mutating: &self)
    }
  }

  /// The bytes for C, as long as the body runs. O(1).
  public borrowing func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try unsafe body(UnsafeRawBufferPointer(start: start, count: byteCount))
  }

  /// The same for changes.
  public mutating func withUnsafeMutableBytes<Result: ~Copyable, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try unsafe body(UnsafeMutableRawBufferPointer(start: start, count: byteCount))
  }
}

extension MemoryGroup {
  /// The largest block, in bytes: of a `SlabBuffer`, or of a `SlabArray`'s elements. An allocator has as much only
  /// if its addresses do: see `SlabAllocator.Configuration.addressSpaceBytes`.
  public static var largestAllocation: Int { Allocator.largestAllocation }

  /// A block, which the caller owns: all of it can be used. One that the caller can
  /// do without is refused at a limit without a reclaim and without an event.
  @usableFromInline
  func allocateBlock(
    bytes: Int, alignment: Int, isZeroed: Bool = false, isDispensable: Bool = false
  ) throws(SlabError) -> UnsafeMutableRawBufferPointer {
    guard bytes <= Allocator.largestAllocation else { throw .allocationTooLarge(bytes: bytes) }
    guard bytes >= 0 else { throw .invalidCapacity }
    do {
      let block = try allocator.allocate(
        bytes: bytes, alignment: alignment, in: core, isZeroed: isZeroed,
        isDispensable: isDispensable)
      // SAFETY: the address of a live block of as many bytes.
      return unsafe UnsafeMutableRawBufferPointer(
        start: UnsafeMutableRawPointer(bitPattern: block), count: allocator.usableBytes(of: block))
    } catch { throw SlabError(error, bytes: bytes, of: self) }
  }
}
