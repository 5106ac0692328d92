// The end of a group.

internal import SlabCore

extension MemoryGroup {
  /// Takes the group offline: it allocates no more, frees go on working, and its memory goes back
  /// as its objects are freed. O(depth); waits for nothing but a short lock. What objects that
  /// outlive it do to the group is its `EndingPolicy`.
  ///
  /// - Throws: `.groupHasChildren` while a child group is online; `.groupOffline` if it is offline.
  public func offline() throws(SlabError) {
    do { try allocator.offline(core) } catch { throw SlabError(error) }
  }
}
