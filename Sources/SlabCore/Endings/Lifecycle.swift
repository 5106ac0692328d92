// SPDX-License-Identifier: Apache-2.0
// The endings of an allocator: the batches and queues between the threads that end something and the
// workers that do it. The states are in CacheState.swift, the way in docs/life-cycle.md.
//
//   close(group)    -> offline batch --\
//                                       > fence worker: one fence for the whole batch
//   destroy(root)   -> root batch -----/
//   last free       -> destroy queue ---> destroy worker: shutdown; plain: release
//                                             type-safe: barrier batch -> barrier -> release
//   discard(group)  -> offline batch -> discard queue -> discard worker: every slab of the group
//   last handle, or the end of the batch
//                   -> reparent queue --> reparenting worker: a settled group's caches to its parent
//
// A thread that puts something in waits for nothing but the registry lock.

internal import SlabPlatform
internal import Synchronization

/// The batch lock.
enum BatchLock: LockClass { static var rank: LockRank { .batch } }
typealias BatchLocked = Held<BatchLock>

struct Lifecycle: ~Copyable {
  // Under the registry lock:
  /// Groups that went offline since the last batch, chained by `nextInBatch`.
  var offlineBatch: Pointer<Group>? = nil
  /// Roots that were destroyed since the last batch.
  var rootBatch: Pointer<RootCache>? = nil
  /// Groups whose charges have gone to their parents and whose caches follow; see Reparent.swift.
  var reparentQueue: Pointer<Group>? = nil
  /// Settled groups whose slabs all go; see Discard.swift.
  var discardQueue: Pointer<Group>? = nil

  /// The last of the dying caches, chained by `nextInChain`; pushed without a lock.
  let destroyQueue = Atomic<UInt>(0)
  /// Type-safe caches between shutdown and release.
  var barrierBatch = BarrierBatch()
  /// Groups and caches that are on a batch or queue, or with a worker; not those that await a barrier.
  let pending = Atomic<Int>(0)
  /// Signalled when `pending` falls to 0.
  let idle = EventCount()
  /// Signalled when some groups' endings are over: see Group+Endings.swift.
  let endingIsOver = EventCount()

  /// Signalled when a root is released: a thread that found all indices in use may have its.
  let rootIsReleased = EventCount()

  /// One fence worker at a time: caches that it holds chained are its own.
  let batchLock = RankedLock<BatchLock>()
  /// Under `batchLock`: a batch that is closed, and whose fence failed.
  var unfenced: ClosedBatch? = nil

  var workers: Workers

  init(workerLimit: Int) { workers = Workers(limit: workerLimit) }
}

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Counts something that is put in. Before a worker can find it, or the worker would count it as
  /// done first; `kickWorkers` follows when the registry lock is free again.
  func notePending() {
    // Sequentially consistent, as the worker's announcement that it falls asleep: one of the two
    // sees the other.
    lifecycle.pointee.pending.add(1, ordering: .sequentiallyConsistent)
  }

  /// Counts what a worker has finished.
  func noteDone(_ count: Int) {
    guard count > 0 else { return }
    let left = lifecycle.pointee.pending.subtract(count, ordering: .sequentiallyConsistent)
      .newValue
    invariant(left >= 0, "life cycle: more done than pending")
    if left == 0 { lifecycle.pointee.idle.signal() }
  }
}
