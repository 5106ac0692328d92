// SPDX-License-Identifier: Apache-2.0
// Groups by their numbers, for what shows them as files: an inode keeps numbers, not a handle.

internal import SlabCore
internal import SlabPlatform

extension MemoryGroup {
  /// Dense, from 0, the root group's, to 2^24; used again when the group is offline.
  package var id: Int { core.id }

  /// What tells the group from others that have its id before or after it: it rises from group to group.
  package var number: UInt32 { core.number }

  /// Visits the online children, the newest first: all, or those that are older than one that had an id and a number;
  /// until the body says false. See `Allocator.forEachChild`.
  package func forEachChild(
    olderThan place: (id: Int, number: UInt32)?,
    _ body: (_ id: Int, _ number: UInt32, _ childCount: Int, _ name: borrowing Span<UInt8>) -> Bool
  ) {
    allocator.forEachChild(of: core, olderThan: place) { child, childCount in
      child.withName { body(child.id, child.number, childCount, $0) }
    }
  }

  /// The children that are online. O(1); takes the registry lock.
  package var childCount: Int { allocator.childCount(of: core) }

  /// The most bytes since `resetRecentPeak`, which begins again with what is charged now, and says what it was. O(1).
  package var recentPeak: Int { core.recentPeak }
  package func resetRecentPeak() -> Int { core.resetRecentPeak() }
}

extension SlabAllocator {
  /// No other allocator of the process has it at the same time.
  package var address: UInt { core.address }

  /// The online group of an id. O(depth); takes the registry lock.
  package func group(withID id: Int) -> MemoryGroup? {
    core.group(withID: id).map { MemoryGroup(handle(adopting: $0)) }
  }

  /// From a handle on the group and on each above it.
  private func handle(adopting group: Pointer<Group>) -> GroupHandle {
    GroupHandle(
      adopting: group, parent: group.parent.map { handle(adopting: $0) }, allocator: handle)
  }
}
