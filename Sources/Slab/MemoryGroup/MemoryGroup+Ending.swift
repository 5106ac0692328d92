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

  /// Whether the group has not ended. O(1).
  public var isOnline: Bool { core.isOnline }
}
