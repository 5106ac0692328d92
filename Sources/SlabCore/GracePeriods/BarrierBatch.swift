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
  /// Barriers that were asked for: one per batch.
  let barriers = Atomic<Int>(0)
}

extension Pointer where Pointee == AllocatorState {
  /// Under the registry lock: a type-safe cache that is out of every list.
  func awaitBarrier(_ cache: Pointer<Cache>) {
    cache.moveState(to: .awaitingBarrier)
    pointee.lifecycle.barrierBatch.count.add(1, ordering: .sequentiallyConsistent)
    cache.pointee.nextInChain = nil
    if let last = pointee.lifecycle.barrierBatch.last {
      last.pointee.nextInChain = cache
    } else {
      pointee.lifecycle.barrierBatch.first = cache
    }
    pointee.lifecycle.barrierBatch.last = cache
  }

  /// Takes the whole batch and asks for its barrier, unless one is in flight. Called by whoever has put
  /// something on the batch, holding no lock. Waits for nothing.
  func startBarrierBatch() {
    pointee.registry.lock.lock()
    guard pointee.lifecycle.barrierBatch.inFlight == nil,
      let first = pointee.lifecycle.barrierBatch.first
    else {
      pointee.registry.lock.unlock()
      return
    }
    pointee.lifecycle.barrierBatch.inFlight = first
    pointee.lifecycle.barrierBatch.first = nil
    pointee.lifecycle.barrierBatch.last = nil
    pointee.lifecycle.barrierBatch.cookie = 0
    pointee.registry.lock.unlock()
    pausePoint(.beforeBarrier)
    pointee.lifecycle.barrierBatch.barriers.add(1, ordering: .relaxed)
    let cookie = requestBarrier()
    pausePoint(.beforeBarrierCookie)
    pointee.registry.lock.lock()
    pointee.lifecycle.barrierBatch.cookie = cookie
    pointee.registry.lock.unlock()
    // It may have been over before its cookie was written: then whoever looked found no cookie, and the
    // workers may sleep.
    if barrierIsOver(cookie) { noteBarrierBatchOver() }
  }

  /// Called when a barrier is over, on the thread that ended it.
  func noteBarrierBatchOver() {
    guard pointee.lifecycle.barrierBatch.count.load(ordering: .sequentiallyConsistent) > 0 else {
      return
    }
    pointee.lifecycle.barrierBatch.isMarked.store(true, ordering: .sequentiallyConsistent)
    kickWorkers()
  }

  /// A worker's look: releases the batch whose barrier is over. True if there was one.
  func runBarrierBatch() -> Bool {
    guard pointee.lifecycle.barrierBatch.isMarked.load(ordering: .relaxed),
      pointee.lifecycle.barrierBatch.isMarked.exchange(false, ordering: .acquiring)
    else { return false }
    pointee.registry.lock.lock()
    let cookie = pointee.lifecycle.barrierBatch.cookie
    guard cookie != 0, barrierIsOver(cookie) else {
      pointee.registry.lock.unlock()
      return false
    }
    var next = pointee.lifecycle.barrierBatch.inFlight
    pointee.lifecycle.barrierBatch.inFlight = nil
    pointee.lifecycle.barrierBatch.cookie = 0
    pointee.registry.lock.unlock()
    pausePoint(.beforeReleasingBatch)
    var count = 0
    while let cache = next {
      next = cache.pointee.nextInChain
      releaseAfterBarrier(cache)
      count += 1
    }
    startBarrierBatch()
    let left = pointee.lifecycle.barrierBatch.count.subtract(
      count, ordering: .sequentiallyConsistent
    ).newValue
    if left == 0 { pointee.lifecycle.drained.signal() }
    return true
  }
}
