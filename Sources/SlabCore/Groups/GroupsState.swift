// SPDX-License-Identifier: Apache-2.0
// Which groups there are, and what their descriptors refer to.

package import SlabPlatform

/// A state that begins with `GroupsState`.
@usableFromInline
package protocol HasGroups: HasReaders, ~Copyable {}

@usableFromInline
package struct GroupsState: ~Copyable, HasGroups {
  let readers: ReadersState

  // Under the registry lock:
  var tables: GroupTables

  /// The core's cache of descriptors of groups; set once, while the allocator is made.
  var groups: Pointer<RootCache>! = nil
  /// The group that everything else is below. Its handle is the allocator's.
  var rootGroup: Pointer<Group>! = nil
  /// What stands in the cells of a group's table that have no child: descriptors of no root, of
  /// which only that is read. And a table without children for groups that are offline: mask 0, one
  /// vacant cell.
  var vacantCache: UInt = 0
  var tombstoneCache: UInt = 0
  var emptyTable: UInt = 0
  /// Watched groups about which there is something to tell.
  var changedGroups = ChangedGroups()
  /// Of caches that groups share, and of payers: set once, while the allocator is made.
  var sharedCaches: Pointer<RootCache>! = nil
  var payers: Pointer<RootCache>! = nil
  var shared = SharedSlabs()
  /// Signalled when no thread is in a shrinker's functions any more.
  let shrinkerIsIdle = EventCount()

  init(
    readers: consuming ReadersState, tables: consuming GroupTables
  ) {
    self.readers = readers
    self.tables = tables
  }
}

extension Pointer where Pointee: HasGroups & ~Copyable {
  // SAFETY: the state begins with it: see BaseState.swift.
  var groupsState: Pointer<GroupsState> { unsafe Pointer<GroupsState>(nonzeroAddress: address) }

  package var rootGroup: Pointer<Group> { groupsState.pointee.rootGroup }
  var changedGroups: Pointer<ChangedGroups> {
    Pointer<ChangedGroups>(of: &groupsState.pointee.changedGroups)
  }

  /// The online group of an id.
  func groupWithID(_ id: Int, under registry: borrowing RegistryLocked) -> Pointer<Group>? {
    // SAFETY: an id in use is set to its group's address, under the lock.
    unsafe Pointer<Group>(address: groupsState.pointee.tables.ids.address(of: id))
  }
}
