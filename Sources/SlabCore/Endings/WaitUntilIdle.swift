// SPDX-License-Identifier: Apache-2.0
// Waiting for the workers, for tests and tools.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Waits until everything that has ended so far is done: deferred frees and callbacks run, caches
  /// fenced and flushed, and what has no live object released. Endings that live objects hold up are
  /// not waited for; read-side sections that are open are. For tests and tools.
  package func waitUntilIdle() {
    // In this order: what a flush moves is in a queue before the flush is over.
    if hasDeferredFrees || pendingCallbacks > 0 { barrier() }
    while true {
      let ticket = lifecycle.pointee.idle.prepare()
      if lifecycle.pointee.pending.load(ordering: .sequentiallyConsistent) == 0,
        lifecycle.pointee.barrierBatch.count.load(ordering: .sequentiallyConsistent) == 0
      {
        lifecycle.pointee.idle.cancel()
        // A type-safe cache that lives on has given slabs back meanwhile.
        if pendingCallbacks > 0 { barrier() }
        return
      }
      hurryWorkers()
      checkFence()
      if lifecycle.pointee.barrierBatch.count.load(ordering: .relaxed) > 0 {
        hurryCallbackWorkers()
      }
      // Bounded, so that a worker that could not be started is tried again.
      lifecycle.pointee.idle.wait(ticket, nanoseconds: 100_000_000)
    }
  }
}
