// SPDX-License-Identifier: Apache-2.0
// The walk of a reclaim through the groups that have something; see Groups/Group+Reclaimable.swift.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Group {
  /// Takes the registry lock.
  private func unlistIfNothingIsLeft() {
    let allocator = pointee.allocator
    let registry = allocator.lockRegistry()
    if !pointee.owner.hasIdle.load(ordering: .relaxed),
      pointee.givingBack.load(ordering: .relaxed) == 0, shrinkers.successor(in: shrinkers) == nil,
      reclaimableChildren.successor(in: reclaimableChildren) == nil
    {
      unlistReclaimable(under: registry)
    }
  }

  /// Visits the child groups that have something, or something below them. One that gets something
  /// meanwhile is not visited. Takes the registry lock for 16 of them at a time, and runs the body without
  /// it.
  func forEachReclaimableChild(_ body: (Pointer<Group>) -> Void) {
    let state = Pointer<EndingsState>(seenAs: pointee.allocator)
    let list = reclaimableChildren
    var found = InlineArray<16, Pointer<Group>?>(repeating: nil)
    var registry = state.lockRegistry()
    guard list.successor(in: list) != nil else { return }
    // The cursor stands on this thread's stack.
    state.takeInHand(under: registry)
    withCursor(in: list, under: &registry) { cursor, registry in
      var count = 16
      while count == 16 {
        count = 0
        while count < 16, let node = cursor.advance(in: list) {
          let child = Pointer<Group>(reclaimableNode: node)
          state.counters.pointee.reclaimSteps += 1
          state.retain(child)
          found[count] = child
          count += 1
        }
        registry.letGo {
          for index in 0..<count {
            let child = found[index]!
            body(child)
            child.unlistIfNothingIsLeft()
            state.release(child)
          }
        }
      }
    }
    state.putDown()
  }
}
