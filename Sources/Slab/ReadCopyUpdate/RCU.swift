// Read-copy-update with the shared allocator: readers that take no lock and wait for nobody.

public import SlabCore

/// Reader grace periods: who changes something that readers look at without a lock, waits for those who
/// may still look at what it was.
///
/// A section costs two restartable additions. It may suspend, nest, and end on another thread; no
/// thread is registered. These are the sections of the shared allocator; others have their own.
// Of two overloads the compiler takes the one that suspends, where it can.
// swift-format-ignore: AmbiguousTrailingClosureOverload
public enum RCU {
  /// Runs a read-side section: until the body ends, no grace period that begins from now on is over.
  /// What was freed by `freeAfterGracePeriod` after it began stays what it is, and objects of type-safe
  /// caches stay objects of their cache. Takes no lock.
  @inlinable @inline(__always)
  public static func read<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try SlabAllocator.read(in: core, body)
  }

  /// The same for a body that suspends. Grace periods wait for it as long as it takes.
  @inlinable
  public static func read<Result: ~Copyable, Failure: Error>(
    _ body: () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    try await SlabAllocator.read(in: core, body)
  }

  /// The shared allocator, without a call but the first time.
  @inlinable @inline(__always)
  static var core: Allocator { SharedHeap.allocator ?? makeShared() }

  @usableFromInline @inline(never)
  static func makeShared() -> Allocator { SlabAllocator.shared.core }

  /// Waits until every section that is open now has ended. Blocks the thread; not inside a section.
  public static func synchronize() { SlabAllocator.shared.synchronize() }

  /// The same without blocking the thread.
  public static func synchronize() async { await SlabAllocator.shared.synchronize() }

  /// Waits until every deferred free that was queued before is done. Not a grace period. Blocks the
  /// thread; neither inside a section nor in what is called after a grace period.
  public static func barrier() { SlabAllocator.shared.barrier() }

  /// The same without blocking the thread; not inside a section.
  public static func barrier() async { await SlabAllocator.shared.barrier() }
}
