// SPDX-License-Identifier: Apache-2.0
// The end of a group's place on the stack of changed groups, which may have been the last thing that kept it.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// For each `takeChangedGroup`: its descriptor is not needed any more. O(1), or O(depth) for one that
  /// nothing else keeps; takes the registry lock.
  package func putBackChangedGroup(_ group: Pointer<Group>) {
    var released = ReleasedDescriptors()
    let registry = lockRegistry()
    // Under the lock: a thread that saw none would release the group under us.
    let left = group.pointee.changeHolds.subtract(1, ordering: .relaxed).newValue
    if left == 0 {
      isLetGo(group, under: registry)
      releaseIfUnused(group, released: &released, under: registry)
    }
    let hasWork = left == 0 && lifecycle.pointee.pending.load(ordering: .relaxed) > 0
    // The descriptors outlive the lock in this thread's hand.
    takeInHand(under: registry)
    registry.unlock()
    released.free(to: endingsState)
    putDown()
    if hasWork { kickWorkers() }
  }
}
