// SPDX-License-Identifier: Apache-2.0
// Which groups have something that a reclaim could take. So a reclaim visits these alone (the kernel has a bit for each
// group and shrinker). A group that has, or has such a group below it, is on
// its parent's list.
//
//   onto the list   with its first shrinker, and when an own cache opens a sheaf or keeps an empty slab
//   off the list    at its end, and when a reclaim has been there and nothing is left. A group with shrinkers
//                   stays: only they know what they have.
//
// `hasIdle` spares allocations and frees the registry lock: it is set until a reclaim has been there.
// It is looked at under a cache's lock, and a reclaim clears it before it takes that lock to look: so it
// finds what the cache has, or the cache finds it cleared.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// What the cache calls when it has become idle; see `CachesAbove`. Holding no lock.
  func listGroup() {
    let allocator = pointee.allocator
    let registry = allocator.lockRegistry()
    // Of an active cache the group does not change.
    if state == .active, let group = pointee.group { group.noteIdle(under: registry) }
  }
}

extension Pointer where Pointee == Group {
  private var reclaimableNode: Pointer<ListNode> {
    Pointer<ListNode>(of: &pointee.reclaimableNode)
  }
  var reclaimableChildren: Pointer<ListNode> {
    Pointer<ListNode>(of: &pointee.reclaimableChildren)
  }

  /// The group's own shrinkers, by their nodes.
  var shrinkers: Pointer<ListNode> { Pointer<ListNode>(of: &pointee.shrinkers) }

  /// The group that this node stands in.
  init(reclaimableNode: Pointer<ListNode>) {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe self.init(address: reclaimableNode.address - Group.reclaimableNodeOffset)!
  }

  /// Whether `reclaimableNodeOffset` is right.
  var hasReclaimableNodeInPlace: Bool {
    reclaimableNode.address == address + Group.reclaimableNodeOffset
  }

  func makeReclaimableList() { reclaimableChildren.makeEmptyList() }

  /// An own cache has something. O(depth).
  func noteIdle(under registry: borrowing RegistryLocked) {
    guard isOnline else { return }
    pointee.owner.hasIdle.store(true, ordering: .relaxed)
    listReclaimable(under: registry)
  }

  /// Of a group that is online: onto the list of its parent, and so upwards. At the head, where a walk that has begun
  /// does not come again. O(depth).
  func listReclaimable(under registry: borrowing RegistryLocked) {
    var group = self
    while let parent = group.pointee.parent, !group.reclaimableNode.isLinked {
      parent.reclaimableChildren.insertAfter(group.reclaimableNode)
      group = parent
    }
  }

  /// The group has ended, or nothing is left.
  func unlistReclaimable(under registry: borrowing RegistryLocked) {
    if reclaimableNode.isLinked { reclaimableNode.unlink() }
  }

  /// For checks: what is wrong.
  func brokenReclaimableList(under registry: borrowing RegistryLocked) -> StaticString? {
    if reclaimableNode.isLinked {
      guard isOnline else { return "group: to be reclaimed from after its end" }
      if let parent = pointee.parent, parent.pointee.parent != nil,
        !parent.reclaimableNode.isLinked
      {
        return "group: to be reclaimed from, and its parent is not"
      }
    }
    guard isOnline, pointee.parent != nil else { return nil }
    if pointee.owner.hasIdle.load(ordering: .relaxed), !reclaimableNode.isLinked {
      return "group: idle memory that a reclaim does not find"
    }
    if shrinkers.successor(in: shrinkers) != nil, !reclaimableNode.isLinked {
      return "group: a shrinker that a reclaim does not find"
    }
    return nil
  }
}
