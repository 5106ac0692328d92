// The end of a group.

internal import SlabCore

extension MemoryGroup {
  /// Ends the group and all groups below it: they allocate no more, their names can be used again at
  /// once, frees go on working, and their memory goes back as their objects are freed. What objects
  /// that outlive them do to the groups is their `EndingPolicy`. A group that has ended already stays as
  /// it is.
  ///
  /// Returns at once: O(groups below), under short locks; waits for no object and no worker.
  ///
  /// - Throws: `.rootGroup`.
  public func close() throws(SlabError) {
    do { try allocator.close(core) } catch {
      if error != .groupOffline { throw SlabError(error) }
    }
  }

  /// Ends the group as `close`, and gives back every object that is charged to it or below it at once,
  /// without a look at the objects: nothing is deinitialised. O(groups below); a worker gives the slabs
  /// back soon afterwards, and a group that ended before may be discarded too. Objects that await a grace period
  /// already keep the group until it is over.
  ///
  /// For objects that need no end of their own and whose owners are gone: what a request has allocated
  /// and leaked (`Slot.leak`).
  ///
  /// - Precondition: nobody uses any object of these groups any more, now or later, and no slot owns one.
  ///   To free one afterwards, deferred or not, ends the process at best.
  /// - Throws: `.rootGroup`.
  @unsafe
  public func discard() throws(SlabError) {
    do { try allocator.discard(core) } catch { throw SlabError(error) }
  }

  /// Whether the group has not ended. O(1).
  public var isOnline: Bool { core.isOnline }

  /// Waits until the group has ended and everything that was charged to it and below it has gone
  /// back: its last object is free. Does not end the group: see `close`.
  ///
  /// Suspends the task and blocks no thread; O(1) for each change of the group meanwhile; takes a short
  /// lock of the control plane. The first one who watches a group of the allocator starts a thread. In a child
  /// of `fork` it may never return.
  ///
  /// - Returns: false if the task was cancelled before.
  @discardableResult
  public func drained() async -> Bool {
    let changes = handle.allocator.notifier.changes(of: handle)
    if isEmpty { return true }
    for await _ in changes where isEmpty { return true }
    return isEmpty
  }

  /// Whether the group has ended and nothing is charged to it or below it. O(1).
  public var isEmpty: Bool { allocator.isEmpty(core) }
}
