// SPDX-License-Identifier: Apache-2.0
// Type-safe caches that are shut down, until a barrier has passed (patch 3): the callbacks that give
// their slabs back read their descriptors, so a descriptor outlives all of them. The whole batch is
// taken, one barrier serves it, then each cache of it is released; what comes while the barrier goes
// on waits for the next one. So k caches that end back to back need one barrier or two.
//
// No thread waits: the last callback of the barrier marks the batch, and a worker releases it.

internal import SlabPlatform
internal import Synchronization

struct BarrierBatch: ~Copyable {
  // Under the registry lock; chained by `nextInChain`, first in first out: a root comes behind its
  // children.
  var first: Pointer<Cache>? = nil
  var last: Pointer<Cache>? = nil
  var inFlight: Pointer<Cache>? = nil
  /// The barrier that `inFlight` waits for; 0 until it is asked for.
  var cookie: UInt64 = 0

  /// A barrier is over, perhaps this one: a worker should look.
  let isMarked = Atomic<Bool>(false)
  /// Caches on the batch or in flight.
  let count = Atomic<Int>(0)
}

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// A type-safe cache that is out of every list.
  func awaitBarrier(_ cache: Pointer<Cache>, under registry: borrowing RegistryLocked) {
    cache.moveState(to: .awaitingBarrier, under: registry)
    lifecycle.pointee.barrierBatch.count.add(1, ordering: .sequentiallyConsistent)
    cache.pointee.nextInChain = nil
    if let last = lifecycle.pointee.barrierBatch.last {
      last.pointee.nextInChain = cache
    } else {
      lifecycle.pointee.barrierBatch.first = cache
    }
    lifecycle.pointee.barrierBatch.last = cache
  }

  /// Takes the whole batch and asks for its barrier, unless one is in flight. Called by a thread that has put
  /// something on the batch, holding no lock. Waits for nothing.
  func startBarrierBatch() {
    var registry = lockRegistry()
    guard lifecycle.pointee.barrierBatch.inFlight == nil,
      let first = lifecycle.pointee.barrierBatch.first
    else { return }
    lifecycle.pointee.barrierBatch.inFlight = first
    lifecycle.pointee.barrierBatch.first = nil
    lifecycle.pointee.barrierBatch.last = nil
    lifecycle.pointee.barrierBatch.cookie = 0
    var cookie: UInt64 = 0
    registry.letGo {
      pausePoint(.beforeBarrier)
      counters.pointee.barrierBatches += 1
      cookie = requestBarrier()
      pausePoint(.beforeBarrierCookie)
    }
    lifecycle.pointee.barrierBatch.cookie = cookie
    registry.unlock()
    // It may have been over before its cookie was written: then a thread that looked found no cookie, and the
    // workers may sleep.
    if barrierIsOver(cookie) { noteBarrierBatchOver() }
  }

  /// Called when a barrier is over, on the thread that ended it.
  func noteBarrierBatchOver() {
    guard lifecycle.pointee.barrierBatch.count.load(ordering: .sequentiallyConsistent) > 0 else {
      return
    }
    lifecycle.pointee.barrierBatch.isMarked.store(true, ordering: .sequentiallyConsistent)
    kickWorkers()
  }

  /// A worker's look: releases the batch whose barrier is over. True if there was one.
  func runBarrierBatch() -> Bool {
    guard lifecycle.pointee.barrierBatch.isMarked.load(ordering: .relaxed),
      lifecycle.pointee.barrierBatch.isMarked.exchange(false, ordering: .acquiring)
    else { return false }
    let registry = lockRegistry()
    let cookie = lifecycle.pointee.barrierBatch.cookie
    guard cookie != 0, barrierIsOver(cookie) else { return false }
    var next = lifecycle.pointee.barrierBatch.inFlight
    lifecycle.pointee.barrierBatch.inFlight = nil
    lifecycle.pointee.barrierBatch.cookie = 0
    registry.unlock()
    pausePoint(.beforeReleasingBatch)
    var count = 0
    while let cache = next {
      next = cache.pointee.nextInChain
      releaseAfterBarrier(cache)
      count += 1
    }
    startBarrierBatch()
    let left = lifecycle.pointee.barrierBatch.count.subtract(
      count, ordering: .sequentiallyConsistent
    ).newValue
    if left == 0 { lifecycle.pointee.idle.signal() }
    return true
  }
}
