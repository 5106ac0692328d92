// SPDX-License-Identifier: Apache-2.0
// Handles of root caches. The holder of a root may use it even after it was destroyed, and is told
// so: its descriptor stays until the last hold is given back.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Takes one more hold on a root that is the caller's cache, or on which the caller has a hold. O(1), no lock.
  package func hold(_ root: Pointer<RootCache>) {
    // Relaxed: the thread that destroys the root takes the registry lock after us.
    root.pointee.holds.add(1, ordering: .relaxed)
  }

  /// Gives a hold back; a root that has ended goes with the last. Takes the registry lock.
  package func unhold(_ root: Pointer<RootCache>) {
    let registry = lockRegistry()
    let left = root.pointee.holds.subtract(1, ordering: .acquiringAndReleasing).newValue
    let awaitsBarrier = left == 0 && shutDownRootIfLast(root, under: registry)
    registry.unlock()
    if awaitsBarrier { startBarrierBatch() }
  }
}
