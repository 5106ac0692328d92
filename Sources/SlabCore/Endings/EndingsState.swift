// SPDX-License-Identifier: Apache-2.0
// What has ended and is not gone.

internal import SlabPlatform

/// A state that begins with `EndingsState`.
@usableFromInline
package protocol HasEndings: HasDeferred, ~Copyable {}

@usableFromInline
package struct EndingsState: ~Copyable, HasEndings {
  let deferred: DeferredState
  /// Set once, while the allocator is made.
  var rules: EndingRules
  var lifecycle: Lifecycle

  init(deferred: consuming DeferredState, rules: EndingRules, workerLimit: Int) {
    self.deferred = deferred
    self.rules = rules
    lifecycle = Lifecycle(workerLimit: workerLimit)
  }
}

extension Pointer where Pointee: HasEndings & ~Copyable {
  // SAFETY: the state begins with it: see BaseState.swift.
  var endingsState: Pointer<EndingsState> { unsafe Pointer<EndingsState>(nonzeroAddress: address) }

  var lifecycle: Pointer<Lifecycle> {
    Pointer<Lifecycle>(of: &endingsState.pointee.lifecycle)
  }
}
