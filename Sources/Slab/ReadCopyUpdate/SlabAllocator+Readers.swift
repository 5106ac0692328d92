// SPDX-License-Identifier: Apache-2.0
// Read-side sections and grace periods of an allocator.

public import SlabCore
public import SlabPlatform

// Of two overloads the compiler takes the one that suspends, where it can.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension SlabAllocator {
  /// Runs a read-side section of this allocator: see `RCU.read`. With
  /// `SlabAllocator.Configuration.tracksReaders` it is known by its file and line.
  @inlinable @inline(__always)
  public func read<Result: ~Copyable, Failure: Error>(
    file: StaticString = #fileID, line: UInt32 = #line,
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // The allocator is there until the section has ended.
    defer { extendLifetime(handle) }
    return try Self.read(in: core, file: file, line: line, body)
  }

  /// The same for a body that suspends.
  @inlinable
  public func read<Result: ~Copyable, Failure: Error>(
    file: StaticString = #fileID, line: UInt32 = #line,
    _ body: () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    defer { extendLifetime(handle) }
    return try await Self.read(in: core, file: file, line: line, body)
  }

  @inlinable @inline(__always)
  static func read<Result: ~Copyable, Failure: Error>(
    in core: Allocator, file: StaticString, line: UInt32,
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let section = core.beginReading(file: file, line: line)
    defer { core.endReading(section) }
    return try body()
  }

  @inlinable
  static func read<Result: ~Copyable, Failure: Error>(
    in core: Allocator, file: StaticString, line: UInt32,
    _ body: () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    let section = core.beginReading(suspends: true, file: file, line: line)
    defer { core.endReading(section) }
    return try await body()
  }

  /// Waits until every section that is open now has ended. One membarrier, and as long as the sections
  /// last. O(CPUs). Blocks the thread; not inside a section.
  public func synchronize() { core.synchronize() }

  /// The same without blocking the thread: a worker of the allocator's resumes the task. As
  /// `RCU.synchronize`.
  public func synchronize() async {
    await unsafe withUnsafeContinuation { continuation in
      unsafe DeferredRecord.resume(continuation, after: core)
      core.hurryCallbacks()
    }
  }

  /// Waits until every deferred free that was queued before is done. Blocks the thread; neither inside
  /// a section nor in what is called after a grace period.
  public func barrier() { core.barrier() }

  /// The same without blocking the thread: the thread that does the last of them resumes the task. Not inside a
  /// section.
  public func barrier() async {
    await unsafe withUnsafeContinuation { continuation in
      unsafe DeferredRecord.resume(continuation, afterBarrierOf: core)
    }
  }
}
