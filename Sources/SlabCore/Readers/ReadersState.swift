// SPDX-License-Identifier: Apache-2.0
// What read-side sections and the callbacks after grace periods need.

public import SlabPlatform

/// A state that begins with `ReadersState`.
@usableFromInline
package protocol HasReaders: HasCaches, ~Copyable {}

@usableFromInline
package struct ReadersState: ~Copyable, HasReaders {
  let caches: CachesState
  @usableFromInline var readers = Readers()
  var gracePeriods = GracePeriodSequence()
  var callbacks: Callbacks
  /// What the rooms above have for the callbacks' workers.
  let above: ReadersAbove

  init(caches: consuming CachesState, callbackWorkerLimit: Int, above: ReadersAbove) {
    self.caches = caches
    self.above = above
    callbacks = Callbacks(workerLimit: callbackWorkerLimit)
  }
}

/// What the grace periods' workers need of the rooms above, which they do not know: functions that get the
/// address of the state.
@safe
package struct ReadersAbove: Sendable {
  /// Whether something is on its way to a queue, though in none yet.
  let hasMore: @convention(c) (_ state: UInt) -> Bool
  /// A turn of a worker begins: what is on its way is put in.
  let putIn: @convention(c) (_ state: UInt, _ worker: Int) -> Void
  /// A barrier is over.
  let barrierIsOver: @convention(c) (_ state: UInt) -> Void
}

extension Pointer where Pointee: HasReaders & ~Copyable {
  // SAFETY: the state begins with it: see BaseState.swift.
  @inlinable @inline(__always)
  var readersState: Pointer<ReadersState> { unsafe Pointer<ReadersState>(nonzeroAddress: address) }

  @inlinable @inline(__always)
  package var readers: Pointer<Readers> { Pointer<Readers>(of: &readersState.pointee.readers) }
  var gracePeriods: Pointer<GracePeriodSequence> {
    Pointer<GracePeriodSequence>(of: &readersState.pointee.gracePeriods)
  }
  var callbacks: Pointer<Callbacks> { Pointer<Callbacks>(of: &readersState.pointee.callbacks) }
}
