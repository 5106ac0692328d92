// SPDX-License-Identifier: Apache-2.0
// The first step of reparenting: the charges of a group go to its parent. The reparenting worker does the second;
// Reparent.swift says when and why.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// The first step, for a settled group that only its caches hold. The caller kicks the workers afterwards, or is one.
  /// O(1).
  func handOver(_ group: Pointer<Group>, under registry: borrowing RegistryLocked) {
    let parent = group.pointee.parent!
    let lock = pages.pointee.lock.lock()
    // Releasing: pairs with the acquiring load in `state`.
    group.pointee.owner.state.store(GroupState.reparenting.rawValue, ordering: .releasing)
    parent.pointee.hasInheritedUnits = true
    for order in 0..<UnitMap.pageOrder {
      pages.pointee.map.join(
        &group.pointee.freeUnits[order], to: &parent.pointee.freeUnits[order])
    }
    // No thread charges: there is no handle. No thread uncharges: that takes the page lock.
    group.pointee.current.handOver()
    var released = ReleasedPayers()
    if let payer = group.pointee.payer { payer.handOver(released: &released, under: lock) }
    lock.unlock()
    released.free(to: groupsState)
    parent.pointee.reparentingChildGroupCount += 1
    group.pointee.nextInBatch = lifecycle.pointee.reparentQueue
    lifecycle.pointee.reparentQueue = group
    notePending()
  }
}
