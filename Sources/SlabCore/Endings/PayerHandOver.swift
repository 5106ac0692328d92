// SPDX-License-Identifier: Apache-2.0
// What becomes of objects in shared slabs when nothing else is left of their group. One that is to be kept waits for
// the last of their charges (Payers.swift); else the parent pays from then on, which is O(1).

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Of a group that nothing else holds: whether it can be released. If so, its parent pays from now on what its payers still
  /// are charged. O(1).
  func letGoOfPayer(of group: Pointer<Group>, under registry: borrowing RegistryLocked) -> Bool {
    guard let payer = group.pointee.payer else { return true }
    var released = ReleasedPayers()
    let lock = pages.pointee.lock.lock()
    guard payer.pointee.keeping == .nothing else { return false }
    if payer.chargedToGroup(under: lock) > 0 {
      guard group.pointee.endings == .reparent else {
        payer.pointee.keeping = .group
        return false
      }
      group.pointee.current.handOver()
    }
    payer.handOver(released: &released, under: lock)
    lock.unlock()
    released.free(to: groupsState)
    return true
  }
}

extension Pointer where Pointee == Payer {
  /// From now on the parent pays, and the group has no payer, which may be among the released ones.
  func handOver(released: inout ReleasedPayers, under lock: borrowing PagesLocked) {
    pointee.parent!.pointee.inherited += chargedToGroup(under: lock)
    pointee.group!.pointee.payer = nil
    pointee.group = nil
    pointee.holds -= 1
    released.addIfUnused(self, under: lock)
  }
}
