// SPDX-License-Identifier: Apache-2.0
// The sheaf of deferred frees.

internal import SlabPlatform

/// A state that begins with `DeferredState`.
@usableFromInline
package protocol HasDeferred: HasGroups, ~Copyable {}

@usableFromInline
package struct DeferredState: ~Copyable, HasDeferred {
  let groups: GroupsState
  var deferredFrees = DeferredFrees()
  /// Whether groups count what awaits a grace period: a rule of the life cycle.
  let countsAwaited: Bool

  init(groups: consuming GroupsState, countsAwaited: Bool) {
    self.groups = groups
    self.countsAwaited = countsAwaited
  }
}

extension Pointer where Pointee: HasDeferred & ~Copyable {
  // SAFETY: the state begins with it: see BaseState.swift.
  var deferredState: Pointer<DeferredState> {
    unsafe Pointer<DeferredState>(nonzeroAddress: address)
  }

  @inline(__always)
  var deferredFrees: Pointer<DeferredFrees> {
    Pointer<DeferredFrees>(
      of: &deferredState.pointee.deferredFrees)
  }
}
