// SPDX-License-Identifier: Apache-2.0
// What only the rules of Linux 4.10 have.

internal import SlabPlatform

/// A state that begins with `Linux410State`.
@usableFromInline
package protocol HasLinux410: HasEndings, ~Copyable {}

@usableFromInline
package struct Linux410State: ~Copyable, HasLinux410 {
  let endings: EndingsState
  var linux410 = Linux410()

  init(endings: consuming EndingsState) { self.endings = endings }
}

/// The group lock.
enum GroupLock: LockClassOfFork { static var rank: LockRank { .group } }

struct Linux410: ~Copyable {
  /// cgroup_mutex: taken first by every operation on groups.
  let groupLock = RankedLock<GroupLock>()
  // Under the registry lock:
  /// Groups that nothing holds any more, chained by `nextInBatch`.
  var groupsToFree: Pointer<Group>? = nil
  /// Entries of the array of children that each root would have.
  var childArraySize = 0
}

extension Pointer where Pointee: HasLinux410 & ~Copyable {
  var linux410: Pointer<Linux410> {
    // SAFETY: the state begins with it: see BaseState.swift.
    Pointer<Linux410>(
      of: &(unsafe Pointer<Linux410State>(nonzeroAddress: address)).pointee.linux410)
  }
}
