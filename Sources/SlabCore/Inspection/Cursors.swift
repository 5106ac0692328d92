// SPDX-License-Identifier: Apache-2.0
// Places in the lists of root caches and of groups, for readers that read them in pieces: a cursor stands in the core's
// memory for as long as they do, and takes the registry lock for each step. What is there all the while is met once.

package import SlabPlatform
internal import Synchronization

/// A place among the root caches, newest first. Not for several threads at once.
package struct RootCursor {
  private let node: Pointer<ListNode>

  package init(in allocator: Allocator) throws(AllocatorError) {
    // SAFETY: the object is ours, of the cache of these descriptors.
    node = unsafe Pointer<ListNode>(
      address: try allocator.allocateInternal(bytes: MemoryLayout<ListNode>.size))!
    // SAFETY: the object is ours and large enough.
    unsafe node.unsafePointer.initialize(to: ListNode())
    let registry = allocator.lockRegistry()
    allocator.rootsList.insertAfter(node, isCursor: true)
    registry.unlock()
  }

  /// The next one that is not being destroyed, together with all its children; `nil` behind the last. O(CPUs).
  package func next(in allocator: Allocator) -> CacheUsage? {
    let registry = allocator.lockRegistry()
    while let next = node.advance(in: allocator.rootsList) {
      allocator.counters.pointee.listSteps += 1
      let root = Pointer<RootCache>(rootNode: next)
      if !root.pointee.isDestroying { return root.usage(under: registry) }
    }
    return nil
  }

  /// Ends the use of it.
  package func free(to allocator: Allocator) {
    let registry = allocator.lockRegistry()
    node.unlink()
    registry.unlock()
    allocator.freeInternal(node.address)
  }
}

/// A place among the groups at and below a group, each before those below it; ended ones too, but for those whose
/// caches are on their way to the parent. It has a handle on the group that it stands at, and on those between that
/// and the first. Not for several threads at once.
@safe
package struct GroupCursor {
  /// For each level a place among the children, then for each level a group.
  private let places: UInt
  /// The level that it stands at; below 0 before the first group, and behind the last.
  private var level = -1

  private static var levels: Int { Group.deepest + 1 }
  private static var placeBytes: Int { MemoryLayout<ListNode>.stride }

  /// The caller has a handle on the group until the first step.
  package init(
    atAndBelow group: Pointer<Group>, in allocator: Allocator
  ) throws(AllocatorError) {
    places = try allocator.allocateInternal(bytes: Self.levels * (Self.placeBytes + 8))
    let registry = allocator.lockRegistry()
    descend(to: group, in: allocator, under: registry)
    registry.unlock()
  }

  /// The group that it stands at; `nil` behind the last one.
  package var group: Pointer<Group>? { level >= 0 ? group(at: level) : nil }

  /// Steps to the next one. O(1) amortised.
  package mutating func advance(in allocator: Allocator) {
    while level >= 0 {
      let registry = allocator.lockRegistry()
      let child = nextChild(under: registry)
      if let child { descend(to: child, in: allocator, under: registry) }
      registry.unlock()
      if child != nil { return }
      ascend(in: allocator)
    }
  }

  /// Ends the use of it, wherever it is.
  package mutating func free(to allocator: Allocator) {
    while level >= 0 { ascend(in: allocator) }
    allocator.freeInternal(places)
  }

  private var place: Pointer<ListNode> {
    // SAFETY: the level is below `levels`, for which there is room.
    unsafe Pointer<ListNode>(nonzeroAddress: places + UInt(level * Self.placeBytes))
  }

  private var groups: Words { Words(at: places + UInt(Self.levels * Self.placeBytes)) }

  private func group(at level: Int) -> Pointer<Group> {
    // SAFETY: the group was put there by `descend`, with a handle.
    unsafe Pointer<Group>(nonzeroAddress: UInt(groups[level]))
  }

  private func nextChild(under registry: borrowing RegistryLocked) -> Pointer<Group>? {
    while let node = place.advance(in: group(at: level).childGroups) {
      let child = Pointer<Group>(siblingNode: node)
      if !child.state.hasHandedOver { return child }
    }
    return nil
  }

  private mutating func descend(
    to group: Pointer<Group>, in allocator: Allocator, under registry: borrowing RegistryLocked
  ) {
    level += 1
    groups[level] = UInt64(group.address)
    // The root group has no handles.
    if group.parent != nil { allocator.retain(group) }
    // SAFETY: the place is ours, and in no list.
    unsafe place.unsafePointer.initialize(to: ListNode())
    group.childGroups.insertAfter(place, isCursor: true)
  }

  private mutating func ascend(in allocator: Allocator) {
    let left = group(at: level)
    let registry = allocator.lockRegistry()
    place.unlink()
    registry.unlock()
    level -= 1
    if left.parent != nil { allocator.release(left) }
  }
}
