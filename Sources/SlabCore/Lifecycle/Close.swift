// The end of a group and of all groups below it.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == AllocatorState {
  /// Under the registry lock, for a group that goes offline: its name is free, and it stands behind the
  /// siblings that are online. So the first child group is online if any is, however many zombies there
  /// are. O(depth).
  func leaveOnlineSiblings(_ group: Pointer<Group>) {
    let parent = group.pointee.parent!
    parent.pointee.onlineChildGroupCount -= 1
    group.countOffline()
    if group.pointee.isIndexed {
      pointee.registry.groupNames.remove(group)
      group.pointee.isIndexed = false
    }
    group.pointee.current.close()
    // If nothing is charged to it, this was the last change.
    group.noteChange()
    group.unlistReclaimable()
    group.siblingNode.unlink()
    parent.childGroups.insertBefore(group.siblingNode)
  }
}

extension Allocator {
  /// Groups that go offline while the registry lock is held once.
  private static var groupsPerPiece: Int { 32 }

  /// Takes a group offline and all groups below it, from the bottom up. O(groups below); the registry
  /// lock for a few of them at a time. Waits for nothing else. From its first moment it gets no child
  /// group, and none of those below does once this has come to it; groups that others take offline
  /// meanwhile are theirs. (Under the rules of Linux 4.10 it waits for a fence for each.)
  ///
  /// - Throws: `.groupOffline` if it is offline already, `.rootGroup`. Then nothing has changed.
  package func close(_ group: Pointer<Group>) throws(AllocatorError) {
    guard group.pointee.parent != nil else { throw .rootGroup }
    if state.isLinux410 { return try closeAsLinux410(group) }
    state.letForkGoFirst()
    state.pointee.registry.lock.lock()
    guard group.isOnline else {
      state.pointee.registry.lock.unlock()
      throw .groupOffline
    }
    group.pointee.isClosing = true
    var closed = 0
    // Another thread may have closed it under us: then that was all.
    while group.isOnline {
      takeOffline(group.lowestOnline)
      closed += 1
      if closed % Self.groupsPerPiece == 0, group.isOnline {
        state.pointee.registry.lock.unlock()
        state.kickWorkersOrHelp()
        pausePoint(.beforeClosingMore)
        state.pointee.registry.lock.lock()
      }
    }
    state.pointee.registry.lock.unlock()
    state.kickWorkersOrHelp()
  }

  private func closeAsLinux410(_ group: Pointer<Group>) throws(AllocatorError) {
    forEachChild(of: group) { child in
      try? closeAsLinux410(child)
      release(child)
    }
    try offlineAsLinux410(group)
  }
}

extension Pointer where Pointee == Group {
  /// Under the registry lock: a group at or below this one without an online child. O(depth).
  fileprivate var lowestOnline: Pointer<Group> {
    var lowest = self
    while lowest.pointee.onlineChildGroupCount > 0,
      let node = lowest.childGroups.successor(in: lowest.childGroups)
    {
      lowest = Pointer<Group>(siblingNode: node)
      lowest.pointee.isClosing = true
    }
    return lowest
  }
}
