// SPDX-License-Identifier: Apache-2.0
// A scope that ends its task when the group passes its limit.

internal import SlabCore
internal import SlabPlatform
internal import Synchronization

extension MemoryGroup {
  /// What happens to a scope when its group passes its limit.
  @nonexhaustive
  public enum OverLimitAction: Sendable {
    /// The task that runs the scope is cancelled, and with it its child tasks; tasks that are not its children are not. It
    /// stays cancelled when the scope is over.
    case cancelTask
  }

  /// Runs a body as `withCurrent`, and does something when an allocation was refused by the group's own `max` meanwhile, or went
  /// beyond it (`LimitPolicy.overcharge`): the task that asks for too much is told, and the process lives. Limits above the
  /// group do not count, since others may have reached them.
  ///
  /// A thread of the allocator tells the task, soon afterwards, and runs its cancellation
  /// handlers, which should not wait for anything; no allocation waits for it. O(1); takes a short
  /// lock, and starts that thread if no group has been watched before. In a child of `fork` nothing is done.
  ///
  /// - Parameters:
  ///   - group: the group that is charged.
  ///   - action: what happens; `.cancelTask`.
  ///   - body: runs once; it should look at `Task.isCancelled`, as what suspends mostly does.
  /// - Returns: what the body returns.
  /// - Throws: what the body throws, and nothing else.
  public static func withCurrent<Result: ~Copyable, Failure: Error>(
    _ group: MemoryGroup, onOverLimit action: OverLimitAction,
    _ body: () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    let task = unsafe withUnsafeCurrentTask { unsafe TaskUnderLimit($0, group.handle) }
    let notifier = group.handle.allocator.notifier
    let number = notifier.watch(group.handle, .task(task))
    defer {
      notifier.unwatch(group.handle, number)
      task.end()
    }
    return try await withCurrent(group, body)
  }
}

/// A task that is cancelled when a group passes its limit.
final class TaskUnderLimit: Sendable {
  @safe
  private struct Running: @unchecked Sendable {
    // SAFETY: `cancel` may be called by any thread while the task lives, which it does until `end`.
    let task: UnsafeCurrentTask
  }

  private let running: Mutex<Running?>
  private let group: Pointer<Group>
  private let before: Int

  init(_ task: UnsafeCurrentTask?, _ handle: GroupHandle) {
    running = unsafe Mutex(task.map { unsafe Running(task: $0) })
    group = handle.core
    before = Self.count(handle.core)
  }

  /// Refusals and overcharges of the group itself.
  private static func count(_ group: Pointer<Group>) -> Int {
    let events = group.pointee.allocator.events(of: group, local: true)
    return events.oom + events.overcharge
  }

  /// The notifier's, when something about the group has changed.
  func look() {
    running.withLock { running in
      // Until the end of the scope the group is held.
      guard running != nil, Self.count(group) != before else { return }
      unsafe running?.task.cancel()
    }
  }

  /// When the scope is over.
  func end() { running.withLock { $0 = nil } }
}
