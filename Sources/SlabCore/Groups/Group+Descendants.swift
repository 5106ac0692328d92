// How many groups are below a group, online and as zombies (cgroup.stat). Counted where a group is
// made, goes offline and is released, in every group above it, under the registry lock: O(depth).

package import SlabPlatform

/// Groups below a group, at any depth.
package struct GroupDescendants: Sendable, Equatable {
  /// Those that are online (`nr_descendants`).
  package let online: Int
  /// Those that are offline but not released (`nr_dying_descendants`): drained soon, held by handles
  /// or child groups, or, under the policy `keep`, by live objects.
  package let dying: Int
}

extension Allocator {
  /// The groups below a group, on which the caller holds a handle. O(1); takes the registry lock.
  package func descendants(of group: Pointer<Group>) -> GroupDescendants {
    state.pointee.registry.lock.lock()
    defer { state.pointee.registry.lock.unlock() }
    return GroupDescendants(
      online: Int(group.pointee.onlineDescendantCount),
      dying: Int(group.pointee.dyingDescendantCount))
  }
}

extension Pointer where Pointee == Group {
  /// Under the registry lock, as the next two.
  func countMade() { forEachAncestor { $0.pointee.onlineDescendantCount += 1 } }

  func countOffline() {
    forEachAncestor {
      $0.pointee.onlineDescendantCount -= 1
      $0.pointee.dyingDescendantCount += 1
    }
  }

  func countReleased() { forEachAncestor { $0.pointee.dyingDescendantCount -= 1 } }

  private func forEachAncestor(_ body: (Pointer<Group>) -> Void) {
    var next = pointee.parent
    while let ancestor = next {
      body(ancestor)
      next = ancestor.pointee.parent
    }
  }
}
