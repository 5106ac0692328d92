// SPDX-License-Identifier: Apache-2.0
// Groups by their numbers, for readers that keep a number where a handle would keep the group: a file system's inodes
// and places in directories.

package import SlabPlatform

extension Pointer where Pointee == Group {
  /// Dense, from 0 to 2^24; used again when the group is offline.
  package var id: Int { Int(pointee.id) }
  /// What tells the group from others that have its id before or after it, and rises from group to group: 0 for those
  /// beyond the first 2^32.
  package var number: UInt32 { pointee.tenant.number }
}

extension Allocator {
  /// The online group of an id, with a handle for the caller on it and on each group above it. O(depth); takes the
  /// registry lock.
  package func group(withID id: Int) -> Pointer<Group>? {
    let registry = lockRegistry()
    guard let group = id == 0 ? rootGroup : groupWithID(id, under: registry) else { return nil }
    // An online group has a handle, and so have those above it; none is given back meanwhile.
    var next: Pointer<Group>? = group
    while let held = next, let parent = held.parent {
      retain(held)
      next = parent
    }
    return group
  }

  /// The online children of a group, on which the caller has a handle. O(1); takes the registry lock.
  package func childCount(of group: Pointer<Group>) -> Int {
    let registry = lockRegistry()
    let count = Int(group.pointee.onlineChildGroupCount)
    registry.unlock()
    return count
  }

  /// Visits the online children of a group, on which the caller has a handle, the newest first: all, or those that are
  /// older than one that had this id and number; until the body says false. One that is there all the while is
  /// visited once, also when a later call goes on behind it. O(children visited), and where that one is gone O(children);
  /// the registry lock for 16 of them at a time.
  package func forEachChild(
    of parent: Pointer<Group>, olderThan place: (id: Int, number: UInt32)?,
    _ body: (_ child: Pointer<Group>, _ childCount: Int) -> Bool
  ) {
    var found = InlineArray<16, (group: Pointer<Group>, childCount: Int)?>(repeating: nil)
    var registry = lockRegistry()
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    let start = place.flatMap { node(of: $0, below: parent, under: registry) } ?? parent.childGroups
    withCursor(in: start, under: &registry) { cursor, registry in
      var isThrough = false
      var isWanted = true
      while !isThrough, isWanted {
        var count = 0
        for _ in 0..<16 {
          // Those that have ended stand behind.
          guard let node = cursor.advance(in: parent.childGroups),
            Pointer<Group>(siblingNode: node).isOnline
          else {
            isThrough = true
            break
          }
          let child = Pointer<Group>(siblingNode: node)
          if let place, child.number >= place.number { continue }
          retain(child)
          found[count] = (child, Int(child.pointee.onlineChildGroupCount))
          count += 1
        }
        registry.letGo {
          for index in 0..<count {
            let (child, childCount) = found[index]!
            if isWanted { isWanted = body(child, childCount) }
            release(child)
          }
        }
      }
    }
    putDown()
  }

  /// The place of a child among its siblings, if it is there.
  private func node(
    of child: (id: Int, number: UInt32), below parent: Pointer<Group>,
    under registry: borrowing RegistryLocked
  ) -> Pointer<ListNode>? {
    guard let group = groupWithID(child.id, under: registry), group.number == child.number,
      group.parent == parent
    else { return nil }
    return group.siblingNode
  }
}
