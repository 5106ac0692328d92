// Read-side sections and grace periods of an allocator.

public import SlabCore
internal import SlabPlatform

// Of two overloads the compiler takes the one that suspends, where it can.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension SlabAllocator {
  /// Runs a read-side section of this allocator: see `RCU.read`.
  @inlinable @inline(__always)
  public func read<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try Self.read(in: core, body)
  }

  /// The same for a body that suspends.
  @inlinable
  public func read<Result: ~Copyable, Failure: Error>(
    _ body: () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    try await Self.read(in: core, body)
  }

  @inlinable @inline(__always)
  static func read<Result: ~Copyable, Failure: Error>(
    in core: Allocator, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let section = core.beginReading()
    defer { core.endReading(section) }
    return try body()
  }

  @inlinable
  static func read<Result: ~Copyable, Failure: Error>(
    in core: Allocator, _ body: () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    let section = core.beginReading(suspends: true)
    defer { core.endReading(section) }
    return try await body()
  }

  /// Waits until every section that is open now has ended. One membarrier, and as long as the sections
  /// last. Blocks the thread; not inside a section.
  public func synchronize() { core.synchronize() }

  /// The same without blocking the thread: a worker of the allocator's resumes the task.
  public func synchronize() async {
    await unsafe withUnsafeContinuation { continuation in
      DeferredClosure.call({ unsafe continuation.resume() }, after: core)
      core.hurryCallbacks()
    }
  }

  /// Waits until every deferred free that was queued before is done. Blocks the thread; neither inside
  /// a section nor in what is called after a grace period.
  public func barrier() { core.barrier() }

  /// The same without blocking the thread: whoever does the last of them resumes the task. Not inside a
  /// section.
  public func barrier() async {
    await unsafe withUnsafeContinuation { continuation in
      DeferredClosure.call({ unsafe continuation.resume() }, afterBarrierOf: core)
    }
  }
}
