// SPDX-License-Identifier: Apache-2.0
// Read-copy-update with the shared allocator: readers that take no lock and never wait.

public import SlabCore

/// Reader grace periods: a thread that changes what readers look at without a lock waits for the readers
/// that may still look at what it was.
///
/// A section costs two restartable additions. It may suspend, nest, and end on another thread; no
/// thread is registered. These are the sections of the shared allocator; others have their own.
// Of two overloads the compiler takes the one that suspends, where it can.
// swift-format-ignore: AmbiguousTrailingClosureOverload
public enum RCU {
  /// Runs a read-side section: until the body ends, no grace period that begins from now on is over.
  /// What was freed by `freeAfterGracePeriod` after it began stays what it is, and objects of type-safe
  /// caches stay objects of their cache.
  ///
  /// Two restartable sequences and the body; takes no lock, waits for no other thread, charges no group. Sections nest.
  /// What is found must not leave the section without a reference of its own, and the body must not wait
  /// for a grace period: neither `synchronize` nor `barrier`, nor a thread that waits for one. A grace period
  /// that waits for long is reported on standard error.
  ///
  /// - Returns: what the body returns.
  /// - Throws: what the body throws, and nothing else; the section has ended then.
  @inlinable @inline(__always)
  public static func read<Result: ~Copyable, Failure: Error>(
    file: StaticString = #fileID, line: UInt32 = #line,
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try SlabAllocator.read(in: core, file: file, line: line, body)
  }

  /// The same for a body that suspends; the section may end on another thread. Grace periods wait for it
  /// as long as it takes, and all deferred frees with them.
  @inlinable
  public static func read<Result: ~Copyable, Failure: Error>(
    file: StaticString = #fileID, line: UInt32 = #line,
    _ body: () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    try await SlabAllocator.read(in: core, file: file, line: line, body)
  }

  /// The shared allocator, without a call but the first time.
  @inlinable @inline(__always)
  static var core: Allocator { SharedHeap.allocator ?? makeShared() }

  @usableFromInline @inline(never)
  static func makeShared() -> Allocator { SlabAllocator.shared.core }

  /// Waits until every section that is open now has ended: one membarrier, and as long as the sections
  /// last. O(CPUs). Blocks the thread. Not inside a section, which would wait for itself.
  public static func synchronize() { SlabAllocator.shared.synchronize() }

  /// The same without blocking the thread: it suspends the task, which a worker of the allocator resumes
  /// after a grace period, perhaps a shared one. O(1) and a small allocation; may wake a worker by a system
  /// call. Cancellation does not end it. Not inside a section.
  public static func synchronize() async { await SlabAllocator.shared.synchronize() }

  /// Waits until every deferred free that was queued before is done, and for the grace periods that they
  /// need. No grace period by itself: if nothing is queued it returns at once. O(CPUs); a fence. Blocks the
  /// thread.
  ///
  /// Neither inside a section nor in what is called after a grace period, where it ends the process.
  public static func barrier() { SlabAllocator.shared.barrier() }

  /// The same without blocking the thread; not inside a section.
  public static func barrier() async { await SlabAllocator.shared.barrier() }
}
