// Handles of root caches. Whoever holds a root may use it even after it was destroyed, and is told
// so: its descriptor stays until the last hold is given back.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// One hold on a root, by somebody whose cache it is or who has a hold. O(1), no lock.
  package func hold(_ root: Pointer<RootCache>) {
    // Relaxed: whoever destroys the root takes the registry lock after us.
    root.pointee.holds.add(1, ordering: .relaxed)
  }

  /// Gives a hold back; a root that has ended goes with the last. Takes the registry lock.
  package func unhold(_ root: Pointer<RootCache>) {
    state.pointee.registry.lock.lock()
    let left = root.pointee.holds.subtract(1, ordering: .acquiringAndReleasing).newValue
    let awaitsBarrier = left == 0 && state.shutDownRootIfLast(root)
    state.pointee.registry.lock.unlock()
    if awaitsBarrier { state.startBarrierBatch() }
  }
}
