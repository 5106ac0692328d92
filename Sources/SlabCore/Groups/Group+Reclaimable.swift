// Which groups have something that a reclaim could take, so that one that can take nothing visits nobody
// (the kernel has a bit for each group and shrinker). A group that has, or has such a group below it, is on
// its parent's list.
//
//   onto the list   with its first shrinker, and when an own cache opens a sheaf or keeps an empty slab
//   off the list    at its end, and when a reclaim has been there and nothing is left. A group with shrinkers
//                   stays: what they have nobody else knows.
//
// `hasIdle` spares those who allocate and free the registry lock: it is set until a reclaim has been there.
// It is looked at under a cache's lock, and a reclaim clears it before it takes that lock to look: so it
// finds what the cache has, or the cache finds it cleared.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Under the lock, after it may have got a sheaf or an empty slab. True if its group is to be told, by
  /// `listGroup` when the caller holds no lock; until then the cache is pinned.
  func isNewlyIdle() -> Bool {
    guard state == .active, let group = pointee.group, hasIdle,
      !group.pointee.hasIdle.load(ordering: .relaxed), group.isOnline
    else { return false }
    pin()
    return true
  }

  /// Under the lock.
  var hasIdle: Bool { pointee.emptyCount > 0 || !sheafUnderLock.isClosed }

  /// Holding no lock. The cache may be gone when this returns.
  @inline(never)
  func listGroup() {
    let allocator = pointee.allocator
    allocator.pointee.registry.lock.lock()
    // Of an active cache the group does not change.
    if state == .active, let group = pointee.group { group.noteIdle() }
    allocator.pointee.registry.lock.unlock()
    unpin()
  }
}

extension Pointer where Pointee == Group {
  private var reclaimableNode: Pointer<ListNode> {
    Pointer<ListNode>(of: &pointee.reclaimableNode)
  }
  private var reclaimableChildren: Pointer<ListNode> {
    Pointer<ListNode>(of: &pointee.reclaimableChildren)
  }

  /// The group that this node stands in.
  private init(reclaimableNode: Pointer<ListNode>) {
    self.init(address: reclaimableNode.address - Group.reclaimableNodeOffset)!
  }

  /// Whether `reclaimableNodeOffset` is right.
  var hasReclaimableNodeInPlace: Bool {
    reclaimableNode.address == address + Group.reclaimableNodeOffset
  }

  func makeReclaimableList() { reclaimableChildren.makeEmptyList() }

  /// Under the registry lock: an own cache has something. O(depth).
  func noteIdle() {
    guard isOnline else { return }
    pointee.hasIdle.store(true, ordering: .relaxed)
    listReclaimable()
  }

  /// Under the registry lock, of a group that is online: onto the list of its parent, and so upwards. At
  /// the head, where a walk that has begun does not come again. O(depth).
  func listReclaimable() {
    var group = self
    while let parent = group.pointee.parent, !group.reclaimableNode.isLinked {
      parent.reclaimableChildren.insertAfter(group.reclaimableNode)
      group = parent
    }
  }

  /// Under the registry lock: the group has ended, or nothing is left.
  func unlistReclaimable() {
    if reclaimableNode.isLinked { reclaimableNode.unlink() }
  }

  /// Takes the registry lock.
  private func unlistIfNothingIsLeft() {
    let allocator = pointee.allocator
    allocator.pointee.registry.lock.lock()
    if !pointee.hasIdle.load(ordering: .relaxed), shrinkers.successor(in: shrinkers) == nil,
      reclaimableChildren.successor(in: reclaimableChildren) == nil
    {
      unlistReclaimable()
    }
    allocator.pointee.registry.lock.unlock()
  }

  /// Visits the child groups that have something, or something below them. One that gets something
  /// meanwhile is not visited. Takes the registry lock for 16 of them at a time, and runs the body without
  /// it.
  func forEachReclaimableChild(_ body: (Pointer<Group>) -> Void) {
    let state = pointee.allocator
    let allocator = Allocator(state: state)
    let list = reclaimableChildren
    var found = InlineArray<16, Pointer<Group>?>(repeating: nil)
    state.pointee.registry.lock.lock()
    guard list.successor(in: list) != nil else { return state.pointee.registry.lock.unlock() }
    // The cursor stands on this thread's stack.
    state.takeInHand()
    withCursor(in: list) { cursor in
      var count = 16
      while count == 16 {
        count = 0
        while count < 16, let node = cursor.advance(in: list) {
          let child = Pointer<Group>(reclaimableNode: node)
          state.pointee.registry.reclaimSteps += 1
          allocator.retain(child)
          found[count] = child
          count += 1
        }
        state.pointee.registry.lock.unlock()
        for index in 0..<count {
          let child = found[index]!
          body(child)
          child.unlistIfNothingIsLeft()
          allocator.release(child)
        }
        state.pointee.registry.lock.lock()
      }
    }
    state.putDown()
    state.pointee.registry.lock.unlock()
  }

  /// Under the registry lock, for checks: what is wrong.
  var brokenReclaimableList: StaticString? {
    if reclaimableNode.isLinked {
      guard isOnline else { return "group: to be reclaimed from after its end" }
      if let parent = pointee.parent, parent.pointee.parent != nil,
        !parent.reclaimableNode.isLinked
      {
        return "group: to be reclaimed from, and its parent is not"
      }
    }
    guard isOnline, pointee.parent != nil else { return nil }
    if pointee.hasIdle.load(ordering: .relaxed), !reclaimableNode.isLinked {
      return "group: idle memory that a reclaim does not find"
    }
    if shrinkers.successor(in: shrinkers) != nil, !reclaimableNode.isLinked {
      return "group: a shrinker that a reclaim does not find"
    }
    return nil
  }
}
