// SPDX-License-Identifier: Apache-2.0
// The barrier (rcu_barrier): every callback that was queued before it, on every CPU, has run. Not a
// grace period: it waits for those that the callbacks wait for, and for none if there is no callback.
// And no grace period is a barrier: a callback may run long after its grace period is over, and
// those of different CPUs are not ordered.
//
// It puts a head of its own behind the callbacks of each queue that has some; the last of these heads
// to run ends the barrier. One barrier at a time: a caller that asks while one goes on waits for the next
// one, together with all others that ask meanwhile. The sequence is even while none goes on, as with grace
// periods. A caller that does not wait leaves a head: it is called when the barrier that was asked for is over,
// by the thread that ended it.

internal import SlabPlatform
internal import Synchronization

/// The barrier lock.
enum BarrierLock: LockClassOfFork { static var rank: LockRank { .barrier } }
typealias BarrierLocked = Held<BarrierLock>

struct Barrier: ~Copyable {
  let lock = RankedLock<BarrierLock>()
  let sequence = Atomic<UInt64>(0)
  /// Heads that have not run, and one for the thread that puts them in.
  let outstanding = Atomic<Int>(0)
  /// Under `lock`: the highest sequence that a caller waits for.
  var wanted: UInt64 = 0
  /// Under `lock`: heads that are called after the barrier that goes on, and after the next one.
  var followers = CallbackList()
  var followersOfNext = CallbackList()
  let done = EventCount()
  /// Barriers that were done, for statistics.
  let count = Atomic<Int>(0)
}

extension Pointer where Pointee: HasReaders & ~Copyable {
  /// Asks for a barrier of what is in the queues; waits for nothing. What to pass to `barrierIsOver`.
  @discardableResult
  func requestBarrierOfQueues(
    callingAfter follower: Pointer<GracePeriodCallback>? = nil
  ) -> UInt64 {
    let lock = callbacks.pointee.barrier.lock.lock()
    let sequence = callbacks.pointee.barrier.sequence.load(ordering: .relaxed)
    let cookie = (sequence + 3) & ~1
    callbacks.pointee.barrier.wanted = max(callbacks.pointee.barrier.wanted, cookie)
    if let follower {
      if sequence & 1 == 0 {
        callbacks.pointee.barrier.followers.append(follower)
      } else {
        callbacks.pointee.barrier.followersOfNext.append(follower)
      }
    }
    var over = CallbackList()
    if sequence & 1 == 0, startBarrier(under: lock) { takeFollowers(into: &over, under: lock) }
    let isOver = barrierIsOver(cookie)
    lock.unlock()
    if isOver { noteBarrierOver(&over) } else { kickCallbackWorker(isHurried: true) }
    return cookie
  }

  /// When a barrier is over.
  private func takeFollowers(
    into over: inout CallbackList, under lock: borrowing BarrierLocked
  ) {
    while let follower = callbacks.pointee.barrier.followers.popFirst() { over.append(follower) }
    while let follower = callbacks.pointee.barrier.followersOfNext.popFirst() {
      callbacks.pointee.barrier.followers.append(follower)
    }
  }

  func barrierIsOver(_ cookie: UInt64) -> Bool {
    // Acquiring: pairs with the releasing addition in `endBarrier`: what the callbacks did comes
    // before what the waiter does.
    callbacks.pointee.barrier.sequence.load(ordering: .acquiring) >= cookie
  }

  /// True if no queue had a callback, and the barrier is over.
  private func startBarrier(under lock: borrowing BarrierLocked) -> Bool {
    callbacks.pointee.barrier.sequence.add(1, ordering: .acquiringAndReleasing)
    callbacks.pointee.barrier.count.add(1, ordering: .relaxed)
    callbacks.pointee.barrier.outstanding.store(1, ordering: .relaxed)
    for index in 0..<callbacks.pointee.queueCount {
      let queue = callbackQueue(index)
      // Raised first: the head may have run before the call returns.
      callbacks.pointee.barrier.outstanding.add(1, ordering: .relaxed)
      unsafe queue.pointee.barrier.function = runBarrierCallback
      if queue.entrainBarrier() {
        pausePoint(.afterEntraining)
      } else {
        callbacks.pointee.barrier.outstanding.subtract(1, ordering: .relaxed)
      }
    }
    guard
      callbacks.pointee.barrier.outstanding.subtract(1, ordering: .acquiringAndReleasing).newValue
        == 0
    else { return false }
    callbacks.pointee.barrier.sequence.add(1, ordering: .acquiringAndReleasing)
    return true
  }

  /// A head of the barrier has run; the last one ends it.
  fileprivate func barrierCallbackRan() {
    // Acquiring and releasing: every queue's callbacks come before what the last one does.
    guard
      callbacks.pointee.barrier.outstanding.subtract(1, ordering: .acquiringAndReleasing).newValue
        == 0
    else { return }
    let lock = callbacks.pointee.barrier.lock.lock()
    let sequence = callbacks.pointee.barrier.sequence.add(1, ordering: .acquiringAndReleasing)
      .newValue
    var over = CallbackList()
    takeFollowers(into: &over, under: lock)
    let isNext = callbacks.pointee.barrier.wanted > sequence
    if isNext, startBarrier(under: lock) { takeFollowers(into: &over, under: lock) }
    lock.unlock()
    if isNext { kickCallbackWorker(isHurried: true) }
    noteBarrierOver(&over)
  }

  /// Tells the life cycle, the threads that wait, and the callers that left a head.
  private func noteBarrierOver(_ over: inout CallbackList) {
    readersState.pointee.above.barrierIsOver(address)
    callbacks.pointee.barrier.done.signal()
    while let follower = over.popFirst() {
      // SAFETY: the head's memory is the barrier's until now, and the function's from here on.
      unsafe follower.pointee.function!(UnsafeMutableRawPointer(follower.unsafePointer))
    }
  }

  func waitForBarrier(_ cookie: UInt64) {
    while true {
      let ticket = callbacks.pointee.barrier.done.prepare()
      if barrierIsOver(cookie) {
        callbacks.pointee.barrier.done.cancel()
        return
      }
      hurryCallbackWorkers()
      checkFence()
      // Bounded, so that workers that could not be started are tried again.
      callbacks.pointee.barrier.done.wait(ticket, nanoseconds: 100_000_000)
    }
  }
}

private func runBarrierCallback(_ head: UnsafeMutableRawPointer) {
  // SAFETY: the head is the first field of its queue.
  let queue = unsafe Pointer<CallbackQueue>(
    head.assumingMemoryBound(to: CallbackQueue.self))
  queue.pointee.allocator.barrierCallbackRan()
}
