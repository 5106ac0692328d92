// SPDX-License-Identifier: Apache-2.0
// The end of a group and of all groups below it: one after the other is taken offline (Offline.swift).

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
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
    letForkGoFirst()
    try Refusal.throwing(rules.pointee.close, of: group)
  }

  /// `close` of a group below the root group.
  func closeSubtree(_ group: Pointer<Group>) throws(AllocatorError) {
    var registry = lockRegistry()
    guard group.isOnline else { throw .groupOffline }
    group.pointee.isClosing = true
    var closed = 0
    // Another thread may have closed it under us: then that was all.
    while group.isOnline {
      takeOffline(group.lowestOnline(under: registry), under: registry)
      closed += 1
      if closed % Self.groupsPerPiece == 0, group.isOnline {
        registry.letGo {
          kickWorkersOrHelp()
          pausePoint(.beforeClosingMore)
        }
      }
    }
    registry.unlock()
    kickWorkersOrHelp()
  }
}

extension Pointer where Pointee == Group {
  /// A group at or below this one without an online child. O(depth).
  fileprivate func lowestOnline(under registry: borrowing RegistryLocked) -> Pointer<Group> {
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
