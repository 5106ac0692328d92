// SPDX-License-Identifier: Apache-2.0
// The end of a group.

internal import SlabCore

extension MemoryGroup {
  /// Takes the group and all groups below it offline: they allocate no more, their names can be used again at
  /// once, frees go on working, and their memory goes back as their objects are freed. What objects
  /// that outlive them do to the groups is their `EndingPolicy`. A group that is offline already stays as
  /// it is.
  ///
  /// Returns at once: O(groups below), under short locks; waits for no object and no worker.
  ///
  /// - Throws: `.rootGroup`.
  public func close() throws(SlabError) {
    do { try allocator.close(core) } catch {
      if error != .groupOffline { throw SlabError(error, of: self) }
    }
  }

  /// Takes the group offline as `close`, and gives back every object that is charged to it or below it at once,
  /// without a look at the objects: nothing is deinitialised. O(groups below); a worker gives the slabs
  /// back soon afterwards, and a group that was offline before may be discarded too. Objects that await a grace period
  /// already keep the group until it is over.
  ///
  /// For objects that need no end of their own and whose owners are gone: what a request has allocated
  /// and leaked (`Slot.leak`).
  ///
  /// - Precondition: no thread uses any object of these groups any more, now or later, and no slot owns one.
  ///   To free one afterwards, deferred or not, ends the process at best.
  /// A shared group cannot be discarded, nor one above it: its objects are among those of others, and to find them would take
  /// a link in each object or a walk over everybody's. The same holds above one that has ended, until its last object is free.
  ///
  /// - Throws: `.rootGroup`, `.groupShared`; then nothing has changed.
  @unsafe
  public func discard() throws(SlabError) {
    do { try allocator.discard(core) } catch { throw SlabError(error, of: self) }
  }

  /// Whether the group allocates: it has not been closed. O(1).
  public var isOnline: Bool { core.isOnline }

  /// Waits until the group is drained: it is offline, and everything that was charged to it and below it has
  /// gone back with its last object. Does not take the group offline: see `close`.
  ///
  /// Suspends the task and blocks no thread; O(1) for each change of the group meanwhile; takes a short
  /// lock of the control plane. The first task that watches a group of the allocator starts a thread. In a child
  /// of `fork` it may never return.
  ///
  /// - Throws: `CancellationError` if the task is cancelled before the group is drained.
  public func waitUntilDrained() async throws(CancellationError) {
    let changes = handle.allocator.notifier.changes(of: handle)
    if isDrained { return }
    for await _ in changes where isDrained { return }
    guard isDrained else { throw CancellationError() }
  }

  /// Whether the group is offline and nothing is charged to it or below it. O(1).
  public var isDrained: Bool { allocator.isDrained(core) }
}
