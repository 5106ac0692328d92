// Reader grace periods for the benchmarks, which are a package of their own and cannot see the core.
// Not yet an interface for users: hence the SPI.

public import SlabCore
internal import SlabPlatform

/// A read-side section that is open; passed to `endReading` exactly once, on any thread.
@_spi(GracePeriods) @frozen
public struct SlabReaderSection: Sendable {
  @usableFromInline let core: ReaderSection

  @inlinable @inline(__always)
  init(core: ReaderSection) { self.core = core }
}

@_spi(GracePeriods)
extension SlabAllocator {
  /// Begins a read-side section: no grace period that begins from now on is over before it ends. One
  /// restartable sequence, or with locked slots a short lock. Charged to nobody.
  @inlinable @inline(__always)
  public func beginReading() -> SlabReaderSection {
    SlabReaderSection(core: core.beginReading())
  }

  /// Ends a read-side section. As cheap as its beginning.
  @inlinable @inline(__always)
  public func endReading(_ section: SlabReaderSection) { core.endReading(section.core) }

  /// Waits until every read-side section that is open now has ended. One membarrier, and as long as
  /// the sections last. Not inside a section.
  public func synchronize() { core.synchronize() }

  /// Waits until every callback and deferred free that was queued before has run. Neither in a
  /// callback nor inside a section.
  public func barrier() { core.barrier() }

  /// Calls a function after a grace period, on a thread of the allocator's. Never waits for one; a
  /// flood of calls is slowed.
  ///
  /// - Precondition: `head` is aligned to 8 and has 16 bytes, which are the allocator's until the
  ///   function is called with it.
  @unsafe
  public func call(
    _ head: UnsafeMutableRawPointer,
    _ function: @escaping @convention(c) (UnsafeMutableRawPointer) -> Void
  ) {
    unsafe core.call(Pointer<GracePeriodCallback>(nonzeroAddress: UInt(bitPattern: head)), function)
  }

  /// Frees an object after a grace period: to readers it stays what it is until their sections end.
  /// A restartable sequence; it stays charged until it is free.
  ///
  /// - Precondition: the object is live, and nobody uses it but readers. Not inside a section.
  @unsafe
  public func freeAfterGracePeriod(_ object: UnsafeMutableRawPointer) {
    core.freeAfterGracePeriod(UInt(bitPattern: object))
  }
}
