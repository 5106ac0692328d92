// SPDX-License-Identifier: Apache-2.0
// Barriers that cover deferred frees: what is still on their sheaf is put into the queues first.

package import SlabPlatform

extension Pointer where Pointee: HasDeferred & ~Copyable {
  /// Asks for a barrier; waits for nothing. What to pass to `barrierIsOver`.
  func requestBarrier() -> UInt64 {
    flushDeferredFrees()
    return requestBarrierOfQueues()
  }

  /// Sees to it that deferred frees are done soon, and waits for them until a time of the monotonic
  /// clock. For a caller that may be in a section of its own: every wait has this bound, and the caller does no
  /// worker's work.
  func waitForDeferredFrees(until deadline: UInt64) {
    flushDeferredFrees(mayWait: false)
    let cookie = requestBarrierOfQueues()
    while true {
      let ticket = callbacks.pointee.barrier.done.prepare()
      let now = SystemCall.monotonicNanoseconds
      if barrierIsOver(cookie) || now >= deadline {
        callbacks.pointee.barrier.done.cancel()
        return
      }
      callbacks.pointee.barrier.done.wait(ticket, nanoseconds: deadline - now)
    }
  }
}

extension Pointer where Pointee: HasDeferred & ~Copyable {
  /// Waits until every callback that has been queued, on every CPU, has run, deferred frees included.
  /// Expedited. Not in a callback: the process ends with a line that says so. Not in a read-side
  /// section, which the callbacks may wait for: see `synchronize`.
  package func barrier() {
    guard !isInCallback else { fatal("barrier: called from a callback (deadlock)") }
    checkNotReading()
    flushDeferredFreesWaiting()
    waitForBarrier(requestBarrier())
  }

  /// The same without waiting: calls a function when the barrier is over, on a worker thread or, if there
  /// is no callback, here. The head is the caller's, 16 bytes, until then. Not in a read-side section.
  package func barrier(
    callingAfter callback: Pointer<GracePeriodCallback>,
    _ function: @escaping GracePeriodCallback.Function
  ) {
    checkNotReading()
    // SAFETY: the head is the caller's, 16 bytes; whatever stood there is of no use any more.
    unsafe callback.unsafePointer.initialize(to: GracePeriodCallback())
    unsafe callback.pointee.function = function
    flushDeferredFreesWaiting()
    requestBarrierOfQueues(callingAfter: callback)
  }
}
