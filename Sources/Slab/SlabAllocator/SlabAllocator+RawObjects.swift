// SPDX-License-Identifier: Apache-2.0
// Objects of raw caches, by their address alone.

public import SlabCore
internal import SlabPlatform

extension SlabAllocator {
  /// Frees an object of any raw cache of this allocator, as `RawSlabCache.free`.
  ///
  /// - Precondition: the object is live and no thread uses it. What is no object of this allocator, or is
  ///   free already, ends the process.
  @unsafe @inlinable @inline(__always)
  public func free(_ object: UnsafeMutableRawPointer) { core.free(UInt(bitPattern: object)) }

  /// Frees an object of any raw cache after a grace period: to readers it stays what it is until their
  /// sections end. A restartable sequence; it stays charged until it is free.
  ///
  /// - Precondition: the object is live, and only readers use it. In a section only while the
  ///   system has memory: see `Slot.freeAfterGracePeriod`.
  @unsafe
  public func freeAfterGracePeriod(_ object: UnsafeMutableRawPointer) {
    core.freeAfterGracePeriod(UInt(bitPattern: object))
  }

  /// Calls a function after a grace period, on a thread of the allocator's, with the head that it was
  /// queued by (`call_rcu`). Never waits for one; a flood of calls is slowed.
  ///
  /// - Precondition: `head` is aligned to 8 and has 16 bytes, which are the allocator's until the
  ///   function is called with it.
  @unsafe
  public func callAfterGracePeriod(
    _ head: UnsafeMutableRawPointer,
    _ function: @escaping @convention(c) (UnsafeMutableRawPointer) -> Void
  ) {
    unsafe core.call(Pointer<GracePeriodCallback>(nonzeroAddress: UInt(bitPattern: head)), function)
  }
}
