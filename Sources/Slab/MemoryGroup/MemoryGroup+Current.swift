// SPDX-License-Identifier: Apache-2.0
// The current group: the one that is charged where an allocation names none.
//
// It is a task-local: it follows a task from thread to thread and into its children, which nothing
// that is tied to a thread or an executor does (a shared actor runs the jobs of many tenants on one
// thread). Outside tasks the language keeps task-locals per thread, so the same serves there.
//
// Two task-locals are bound together: an integer, which is what allocations read, and the handle,
// which is never read: tasks that inherit the one inherit the other, and so the group is there for as
// long as a task can come upon its address, however long it outlives the scope.

public import CSlabTasks
public import SlabCore
public import SlabPlatform

@usableFromInline
enum CurrentGroup {
  /// The address of the group.
  @TaskLocal static var address: UInt = 0
  @TaskLocal static var handle: GroupHandle?

  /// The current group; `nil` where there is no scope and no shared allocator.
  // SAFETY: a handle on the group stands in the task-local beside it.
  @inlinable @inline(__always)
  static var core: Pointer<Group>? { unsafe Pointer(address: slab_current_group()) }

  /// Before the first scope: from now on allocations look for one.
  static let isInUse: Bool = {
    let key = unsafe Unmanaged.passUnretained($address).toOpaque()
    slab_current_group_set_key(UInt(bitPattern: key))
    return true
  }()

  /// Binds both task-locals while a body runs. The integer last: it is found first.
  static func bind(_ group: MemoryGroup, _ body: () -> Void) {
    _ = isInUse
    $handle.withValue(group.handle) { $address.withValue(group.core.address, operation: body) }
  }

  static func bind(_ group: MemoryGroup, _ body: () async -> Void) async {
    _ = isInUse
    await $handle.withValue(group.handle) {
      await $address.withValue(group.core.address, operation: body)
    }
  }
}

extension MemoryGroup {
  /// The current group: that of the innermost `withCurrent`, else the root group of the shared
  /// allocator. It may have gone offline in the meantime. O(task-locals that are bound here); takes no lock,
  /// charges no group.
  public static var current: MemoryGroup { CurrentGroup.handle.map { MemoryGroup($0) } ?? .root }

  /// Runs a body in which allocations that name no group are charged to this one, in a task or on a
  /// thread.
  ///
  /// Tasks that the body makes inherit it, and hold the group; `Task.detached` and blocks for Dispatch or
  /// other threads do not. O(1), no lock; two small allocations of the runtime's where it has no task.
  ///
  /// The group need not be online: if it goes offline, before or while the body runs, allocations that name no
  /// group throw `.groupOffline` or return `nil`, and no other group is charged for them. If it is a group of
  /// another allocator than a cache's, allocations from that cache are charged to no group.
  ///
  /// - Parameters:
  ///   - group: the group that is charged.
  ///   - body: runs once, on this thread.
  /// - Returns: what the body returns.
  /// - Throws: what the body throws, and nothing else.
  public static func withCurrent<Result: ~Copyable, Failure: Error>(
    _ group: MemoryGroup, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var result: Swift.Result<Result, Failure>?
    CurrentGroup.bind(group) {
      do throws(Failure) { result = .success(try body()) } catch { result = .failure(error) }
    }
    return try result.take()!.get()
  }

  /// The same for a body that suspends: the group is the current one on whichever thread it goes on. O(1), no
  /// lock; waits for nothing but the body.
  public static func withCurrent<Result: ~Copyable, Failure: Error>(
    _ group: MemoryGroup, _ body: () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    var result: Swift.Result<Result, Failure>?
    await CurrentGroup.bind(group) {
      do throws(Failure) { result = .success(try await body()) } catch { result = .failure(error) }
    }
    return try result.take()!.get()
  }
}
