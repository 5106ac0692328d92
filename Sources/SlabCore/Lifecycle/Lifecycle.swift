// The endings of an allocator: the batches and queues between those who end something and the
// workers who do it. The states are in CacheState.swift, the way in docs/life-cycle.md.
//
//   offline(group)  -> offline batch --\
//                                       > fence worker: one fence for the whole batch
//   destroy(root)   -> root batch -----/
//   last free       -> destroy queue ---> destroy worker: shutdown; plain: release
//                                             type-safe: barrier batch -> barrier -> release
//   discard(group)  -> offline batch -> discard queue -> discard worker: every slab of the group
//   last handle, or the end of the batch
//                   -> reparent queue --> reparenting worker: a drained group's caches to its parent
//
// Nobody who puts something in waits for anything but the registry lock.

internal import SlabPlatform
internal import Synchronization

struct Lifecycle: ~Copyable {
  // Under the registry lock:
  /// Groups that went offline since the last batch, chained by `nextInBatch`.
  var offlineBatch: Pointer<Group>? = nil
  /// Roots that were destroyed since the last batch.
  var rootBatch: Pointer<RootCache>? = nil
  /// Groups whose charges have gone to their parents and whose caches follow; see Reparent.swift.
  var reparentQueue: Pointer<Group>? = nil
  /// Drained groups whose slabs all go; see Discard.swift.
  var discardQueue: Pointer<Group>? = nil
  /// Linux 4.10 only: groups that nothing holds any more, chained by `nextInBatch`.
  var groupsToFree: Pointer<Group>? = nil

  /// Linux 4.10 only: taken first by every operation on groups.
  let groupLock = Lock()

  /// The last of the dying caches, chained by `nextInChain`; pushed without a lock.
  let destroyQueue = Atomic<UInt>(0)
  /// Type-safe caches between shutdown and release.
  var barrierBatch = BarrierBatch()
  /// Groups and caches that are on a batch or queue, or with a worker; not those that await a barrier.
  let pending = Atomic<Int>(0)
  /// Signalled when `pending` falls to 0.
  let drained = EventCount()
  /// Signalled when some groups' endings are over: see Group+Endings.swift.
  let endingIsOver = EventCount()

  /// Signalled when a root is released: whoever found all indices in use may have its.
  let rootIsReleased = EventCount()

  /// One fence worker at a time: caches that it holds chained are nobody else's.
  let batchLock = Lock()
  /// Under `batchLock`: a batch that is closed, and whose fence failed.
  var unfenced: ClosedBatch? = nil

  // Counters; written by the fence worker, read by reports.
  let fences = Atomic<Int>(0)
  let fenceBatches = Atomic<Int>(0)
  /// Time that workers spent on batches and the destroy queue.
  let busyNanoseconds = Atomic<Int>(0)

  /// Signalled when nobody is in a shrinker's functions any more.
  let shrinkerIsIdle = EventCount()

  var workers: Workers

  init(workerLimit: Int) { workers = Workers(limit: workerLimit) }
}

extension Pointer where Pointee == AllocatorState {
  /// Counts something that is put in. Before a worker can find it, or the worker would count it as
  /// done first; `kickWorkers` follows when the registry lock is free again.
  func notePending() {
    // Sequentially consistent, as the worker's announcement that it falls asleep: one of the two
    // sees the other.
    pointee.lifecycle.pending.add(1, ordering: .sequentiallyConsistent)
  }

  /// Counts what a worker has finished.
  func noteDone(_ count: Int) {
    guard count > 0 else { return }
    let left = pointee.lifecycle.pending.subtract(count, ordering: .sequentiallyConsistent)
      .newValue
    invariant(left >= 0, "life cycle: more done than pending")
    if left == 0 { pointee.lifecycle.drained.signal() }
  }

  /// Puts a dying cache on the destroy queue. The caller must not touch it any more: it may be
  /// released before this returns. (Under the rules of Linux 4.10 a child ends with its group, on
  /// which it gives back its reference.)
  func enqueueDying(_ cache: Pointer<Cache>) {
    if isLinux410, let group = cache.pointee.group {
      return Allocator(state: self).release(group)
    }
    notePending()
    var head = pointee.lifecycle.destroyQueue.load(ordering: .relaxed)
    while true {
      cache.pointee.nextInChain = Pointer<Cache>(address: head)
      // Releasing: pairs with the acquiring exchange in `takeDying`.
      let (done, now) = pointee.lifecycle.destroyQueue.compareExchange(
        expected: head, desired: cache.address, ordering: .acquiringAndReleasing)
      if done { break }
      head = now
    }
    kickWorkers()
  }

  /// Takes the whole destroy queue.
  func takeDying() -> Pointer<Cache>? {
    guard pointee.lifecycle.destroyQueue.load(ordering: .relaxed) != 0 else { return nil }
    return Pointer<Cache>(
      address: pointee.lifecycle.destroyQueue.exchange(0, ordering: .acquiring))
  }
}

extension Allocator {
  /// Waits until everything that has ended so far is done: deferred frees and callbacks run, caches
  /// fenced and drained, and what has no live object released. Endings that live objects hold up are
  /// not waited for; read-side sections that are open are. For tests and tools.
  package func waitUntilDrained() {
    // In this order: what a flush moves is in a queue before the flush is over.
    if state.hasDeferredFrees || state.pendingCallbacks > 0 { barrier() }
    while true {
      let ticket = state.pointee.lifecycle.drained.prepare()
      if state.pointee.lifecycle.pending.load(ordering: .sequentiallyConsistent) == 0,
        state.pointee.lifecycle.barrierBatch.count.load(ordering: .sequentiallyConsistent) == 0
      {
        state.pointee.lifecycle.drained.cancel()
        // A type-safe cache that lives on has given slabs back meanwhile.
        if state.pendingCallbacks > 0 { barrier() }
        return
      }
      state.hurryWorkers()
      state.checkFence()
      if state.pointee.lifecycle.barrierBatch.count.load(ordering: .relaxed) > 0 {
        state.hurryCallbackWorkers()
      }
      // Bounded, so that a worker that could not be started is tried again.
      state.pointee.lifecycle.drained.wait(ticket, nanoseconds: 100_000_000)
    }
  }
}
