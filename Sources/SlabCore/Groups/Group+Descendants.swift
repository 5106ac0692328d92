// SPDX-License-Identifier: Apache-2.0
// How many groups are below a group, online and as zombies (cgroup.stat). Counted where a group is
// made, goes offline and is released, in every group above it: O(depth).

package import SlabPlatform

/// Groups below a group, at any depth.
package struct GroupDescendants: Sendable, Equatable {
  /// Those that are online (`nr_descendants`).
  package let online: Int
  /// Those that are offline but not released (`nr_dying_descendants`): settled soon, held by handles
  /// or child groups, or, under the policy `keep`, by live objects.
  package let dying: Int
}

extension Pointer where Pointee: HasGroups & ~Copyable {
  /// The groups below a group, on which the caller holds a handle. O(1); takes the registry lock.
  package func descendants(of group: Pointer<Group>) -> GroupDescendants {
    let registry = lockRegistry()
    return group.descendants(under: registry)
  }
}

extension Pointer where Pointee == Group {
  func descendants(under registry: borrowing RegistryLocked) -> GroupDescendants {
    GroupDescendants(
      online: Int(pointee.onlineDescendantCount), dying: Int(pointee.dyingDescendantCount))
  }

  func countMade(under registry: borrowing RegistryLocked) {
    forEachAncestor { $0.pointee.onlineDescendantCount += 1 }
  }

  func countOffline(under registry: borrowing RegistryLocked) {
    forEachAncestor {
      $0.pointee.onlineDescendantCount -= 1
      $0.pointee.dyingDescendantCount += 1
    }
  }

  func countReleased(under registry: borrowing RegistryLocked) {
    forEachAncestor { $0.pointee.dyingDescendantCount -= 1 }
  }

  private func forEachAncestor(_ body: (Pointer<Group>) -> Void) {
    var next = pointee.parent
    while let ancestor = next {
      body(ancestor)
      next = ancestor.pointee.parent
    }
  }
}

extension Pointer where Pointee == Group {
  /// Of a group that goes offline: its name is free, and it stands behind the siblings that are online. So the first
  /// child group is online if any is, however many zombies there are. O(depth).
  func leaveOnlineSiblings(under registry: borrowing RegistryLocked) {
    let parent = pointee.parent!
    parent.pointee.onlineChildGroupCount -= 1
    countOffline(under: registry)
    if pointee.isIndexed {
      pointee.allocator.groupsState.pointee.tables.names.remove(self)
      pointee.isIndexed = false
    }
    pointee.current.close(under: registry)
    // If nothing is charged to it, this was the last change.
    noteChange()
    unlistReclaimable(under: registry)
    siblingNode.unlink()
    parent.childGroups.insertBefore(siblingNode)
  }
}
