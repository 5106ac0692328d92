// The barrier (rcu_barrier): every callback that was queued before it, on every CPU, has run. Not a
// grace period: it waits for those that the callbacks wait for, and for none if there is no callback.
// And no grace period is a barrier: a callback may run long after its grace period is over, and
// those of different CPUs are not ordered.
//
// It puts a head of its own behind the callbacks of each queue that has some; the last of these heads
// to run ends the barrier. One barrier at a time: who asks while one goes on waits for the next one,
// together with everybody else who asks. The sequence is even while none goes on, as with grace
// periods. Who does not want to wait leaves a head: it is called when the barrier is over that he asked
// for, by whoever ended it.

package import SlabPlatform
internal import Synchronization

struct Barrier: ~Copyable {
  let lock = Lock()
  let sequence = Atomic<UInt64>(0)
  /// Heads that have not run, and one for whoever puts them in.
  let outstanding = Atomic<Int>(0)
  /// Under `lock`: the highest sequence that somebody waits for.
  var wanted: UInt64 = 0
  /// Under `lock`: heads that are called after the barrier that goes on, and after the next one.
  var followers = CallbackList()
  var followersOfNext = CallbackList()
  let done = EventCount()
  /// Barriers that were done, for statistics.
  let count = Atomic<Int>(0)
}

extension Pointer where Pointee == AllocatorState {
  /// Asks for a barrier; waits for nothing. What to pass to `barrierIsOver`.
  func requestBarrier() -> UInt64 {
    flushDeferredFrees()
    return requestBarrierOfQueues()
  }

  /// The same without what is still on the sheaf of deferred frees.
  @discardableResult
  fileprivate func requestBarrierOfQueues(
    callingAfter follower: Pointer<GracePeriodCallback>? = nil
  ) -> UInt64 {
    pointee.callbacks.barrier.lock.lock()
    let sequence = pointee.callbacks.barrier.sequence.load(ordering: .relaxed)
    let cookie = (sequence + 3) & ~1
    pointee.callbacks.barrier.wanted = max(pointee.callbacks.barrier.wanted, cookie)
    if let follower {
      if sequence & 1 == 0 {
        pointee.callbacks.barrier.followers.append(follower)
      } else {
        pointee.callbacks.barrier.followersOfNext.append(follower)
      }
    }
    var over = CallbackList()
    if sequence & 1 == 0, startBarrier() { takeFollowers(into: &over) }
    let isOver = barrierIsOver(cookie)
    pointee.callbacks.barrier.lock.unlock()
    if isOver { noteBarrierOver(&over) } else { kickCallbackWorker(isHurried: true) }
    return cookie
  }

  /// Under the barrier's lock, when a barrier is over.
  private func takeFollowers(into over: inout CallbackList) {
    while let follower = pointee.callbacks.barrier.followers.popFirst() { over.append(follower) }
    while let follower = pointee.callbacks.barrier.followersOfNext.popFirst() {
      pointee.callbacks.barrier.followers.append(follower)
    }
  }

  func barrierIsOver(_ cookie: UInt64) -> Bool {
    // Acquiring: pairs with the releasing addition in `endBarrier`: what the callbacks did comes
    // before what the waiter does.
    pointee.callbacks.barrier.sequence.load(ordering: .acquiring) >= cookie
  }

  /// Under the barrier's lock. True if no queue had a callback, and the barrier is over.
  private func startBarrier() -> Bool {
    pointee.callbacks.barrier.sequence.add(1, ordering: .acquiringAndReleasing)
    pointee.callbacks.barrier.count.add(1, ordering: .relaxed)
    pointee.callbacks.barrier.outstanding.store(1, ordering: .relaxed)
    for index in 0..<pointee.callbacks.queueCount {
      let queue = callbackQueue(index)
      // Raised first: the head may have run before the call returns.
      pointee.callbacks.barrier.outstanding.add(1, ordering: .relaxed)
      unsafe queue.pointee.barrier.function = runBarrierCallback
      if queue.entrainBarrier() {
        pausePoint(.afterEntraining)
      } else {
        pointee.callbacks.barrier.outstanding.subtract(1, ordering: .relaxed)
      }
    }
    guard
      pointee.callbacks.barrier.outstanding.subtract(1, ordering: .acquiringAndReleasing).newValue
        == 0
    else { return false }
    pointee.callbacks.barrier.sequence.add(1, ordering: .acquiringAndReleasing)
    return true
  }

  /// A head of the barrier has run; the last one ends it.
  fileprivate func barrierCallbackRan() {
    // Acquiring and releasing: every queue's callbacks come before what the last one does.
    guard
      pointee.callbacks.barrier.outstanding.subtract(1, ordering: .acquiringAndReleasing).newValue
        == 0
    else { return }
    pointee.callbacks.barrier.lock.lock()
    let sequence = pointee.callbacks.barrier.sequence.add(1, ordering: .acquiringAndReleasing)
      .newValue
    var over = CallbackList()
    takeFollowers(into: &over)
    let isNext = pointee.callbacks.barrier.wanted > sequence
    if isNext, startBarrier() { takeFollowers(into: &over) }
    pointee.callbacks.barrier.lock.unlock()
    if isNext { kickCallbackWorker(isHurried: true) }
    noteBarrierOver(&over)
  }

  /// The life cycle may wait for it, and threads; and those who do not.
  private func noteBarrierOver(_ over: inout CallbackList) {
    noteBarrierBatchOver()
    pointee.callbacks.barrier.done.signal()
    while let follower = over.popFirst() {
      // SAFETY: the head's memory is the barrier's until now, and the function's from here on.
      unsafe follower.pointee.function!(UnsafeMutableRawPointer(follower.unsafePointer))
    }
  }

  /// Sees to it that deferred frees are done soon, and waits for them until a time of the monotonic
  /// clock. For somebody who may be in a section of his own: he waits for nothing without this bound,
  /// and does no worker's work.
  func waitForDeferredFrees(until deadline: UInt64) {
    flushDeferredFrees(mayWait: false)
    let cookie = requestBarrierOfQueues()
    while true {
      let ticket = pointee.callbacks.barrier.done.prepare()
      let now = SystemCall.monotonicNanoseconds
      if barrierIsOver(cookie) || now >= deadline {
        pointee.callbacks.barrier.done.cancel()
        return
      }
      pointee.callbacks.barrier.done.wait(ticket, nanoseconds: deadline - now)
    }
  }

  func waitForBarrier(_ cookie: UInt64) {
    while true {
      let ticket = pointee.callbacks.barrier.done.prepare()
      if barrierIsOver(cookie) {
        pointee.callbacks.barrier.done.cancel()
        return
      }
      hurryCallbackWorkers()
      checkFence()
      // Bounded, so that workers that could not be started are tried again.
      pointee.callbacks.barrier.done.wait(ticket, nanoseconds: 100_000_000)
    }
  }
}

private func runBarrierCallback(_ head: UnsafeMutableRawPointer) {
  // SAFETY: the head is the first field of its queue.
  let queue = unsafe Pointer<CallbackQueue>(
    head.assumingMemoryBound(to: CallbackQueue.self))
  queue.pointee.allocator.barrierCallbackRan()
}

extension Allocator {
  /// Waits until every callback that has been queued, on every CPU, has run, deferred frees included.
  /// Expedited. Not in a callback: the process ends with a line that says so. Not in a read-side
  /// section, which the callbacks may wait for: see `synchronize`.
  package func barrier() {
    guard !state.isInCallback else { fatal("barrier: called from a callback (deadlock)") }
    state.checkNotReading()
    state.flushDeferredFreesWaiting()
    state.waitForBarrier(state.requestBarrier())
  }

  /// The same without waiting: calls a function when the barrier is over, on a worker thread or, if there
  /// is no callback, here. The head is the caller's, 16 bytes, until then. Not in a read-side section.
  package func barrier(
    callingAfter callback: Pointer<GracePeriodCallback>,
    _ function: @escaping GracePeriodCallback.Function
  ) {
    state.checkNotReading()
    // SAFETY: the head is the caller's, 16 bytes; whatever stood there is of no use any more.
    unsafe callback.unsafePointer.initialize(to: GracePeriodCallback())
    unsafe callback.pointee.function = function
    state.flushDeferredFreesWaiting()
    state.requestBarrierOfQueues(callingAfter: callback)
  }
}
