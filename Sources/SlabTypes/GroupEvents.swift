// SPDX-License-Identifier: Apache-2.0

/// How often things happened to a group (`memory.events` of cgroup v2).
public struct GroupEvents: Sendable, Equatable {
  /// The group gave memory back though it was below its `low`, since no other had any left.
  public var low = 0
  /// The group was above its `high` after a charge, and a reclaim was tried.
  public var high = 0
  /// An allocation would have exceeded `max`, so that memory was reclaimed first.
  public var max = 0
  /// An allocation failed, since reclaim did not make room enough.
  public var oom = 0
  /// An allocation went beyond `max`, since its group's `limitPolicy` is to overcharge.
  public var overcharge = 0

  package init() {}
}
