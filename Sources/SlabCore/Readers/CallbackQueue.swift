// SPDX-License-Identifier: Apache-2.0
// Callbacks that wait for a grace period (call_rcu), in a queue per stripe of the CPU layer:
//
//   incoming   pushed by `call`, without a lock, newest first
//   waiting    for the grace period `cookie`; oldest first
//   ready      the grace period is over; oldest first
//   running    taken from `ready` by the worker that runs them
//
// A callback only moves down, and each queue has one worker, so the callbacks of a queue run in the
// order in which they came. Those of different queues are not ordered: that is what `barrier` is for.

internal import SlabPlatform
internal import Synchronization

/// The head of a callback: stands in the object that is to be freed, or anywhere; 16 bytes that
/// belong to the queue from `call` until the function is called.
@safe
package struct GracePeriodCallback: ~Copyable {
  var next: Pointer<GracePeriodCallback>? = nil
  var function: Function? = nil

  /// Gets the address of the head. It may free what the head stands in, call, offline, destroy; it
  /// must not wait for a barrier, and not fork (both end the process). While it blocks, the other
  /// callbacks of its worker wait, and so does every barrier and every fork. It cannot throw.
  package typealias Function = @convention(c) (UnsafeMutableRawPointer) -> Void

  package init() {}
}

/// A queue's list, first in first out.
struct CallbackList: ~Copyable {
  var first: Pointer<GracePeriodCallback>? = nil
  var last: Pointer<GracePeriodCallback>? = nil

  mutating func append(_ callback: Pointer<GracePeriodCallback>) {
    callback.pointee.next = nil
    if let last { last.pointee.next = callback } else { first = callback }
    last = callback
  }

  /// O(callbacks).
  var count: Int {
    var count = 0
    var next = first
    while let callback = next {
      next = callback.pointee.next
      count += 1
    }
    return count
  }

  mutating func popFirst() -> Pointer<GracePeriodCallback>? {
    guard let callback = first else { return nil }
    first = callback.pointee.next
    if first == nil { last = nil }
    return callback
  }
}

/// A callback queue's lock.
enum CallbackQueueLock: LockClassOfFork { static var rank: LockRank { .callbackQueue } }
typealias CallbackQueueLocked = Held<CallbackQueueLock>

struct CallbackQueue: ~Copyable {
  /// The head of the barrier, which is in at most one list. First: its address is the queue's.
  var barrier = GracePeriodCallback()
  let allocator: Pointer<ReadersState>
  let incoming = Atomic<UInt>(0)
  /// Callbacks in all four places, and those that are about to be pushed: never fewer than there are.
  let count = Atomic<Int>(0)
  /// The identity of the thread that works on `running`, 0 for none. Changes under `lock`.
  let runner = Atomic<UInt>(0)

  let lock = RankedLock<CallbackQueueLock>()
  // Under `lock`:
  var cookie: UInt64 = 0
  var waiting = CallbackList()
  var ready = CallbackList()
  /// The runner's.
  var running: Pointer<GracePeriodCallback>? = nil

  init(allocator: Pointer<ReadersState>) { self.allocator = allocator }

  static var bytes: Int { 128 }
  static var most: Int { 128 }
  /// Callbacks that a worker takes at a time: what a fork waits for.
  static var chunk: Int { 64 }
  /// Every so many callbacks the worker is asked not to wait for more.
  static var flood: Int { 2048 }
  /// From here on `call` waits for a moment each time.
  static var limit: Int { 1 << 18 }
  static var throttleNanoseconds: UInt64 { 200_000 }
}

extension Pointer where Pointee == CallbackQueue {
  /// Puts a callback in. True if a worker must be told: the queue was empty, or is flooded.
  func push(_ callback: Pointer<GracePeriodCallback>) -> Bool {
    // First: the callback may have run before this returns.
    let count = pointee.count.add(1, ordering: .relaxed).newValue
    var head = pointee.incoming.load(ordering: .relaxed)
    while true {
      // SAFETY: what has been pushed keeps its descriptor until it is taken off.
      callback.pointee.next = unsafe Pointer<GracePeriodCallback>(address: head)
      // Releasing: pairs with the acquiring exchange in `adopt`. Sequentially consistent, as the
      // worker's announcement that it falls asleep: one of the two sees the other.
      let (done, now) = pointee.incoming.compareExchange(
        expected: head, desired: callback.address, ordering: .sequentiallyConsistent)
      if done { break }
      head = now
    }
    return head == 0 || count % CallbackQueue.flood == 0
  }

  /// Moves what came in to `waiting`, if nothing waits yet. The cookie that is waited for, or 0.
  func adopt() -> UInt64 {
    let lock = pointee.lock.lock()
    if pointee.waiting.first == nil {
      guard moveIncoming(under: lock) else { return 0 }
      pausePoint(.beforeCookie)
      // After the move: the grace period must begin after every callback was queued.
      pointee.cookie = pointee.allocator.gracePeriodSnapshot()
    }
    return pointee.cookie
  }

  /// Puts what came in behind what waits. False if nothing came in.
  private func moveIncoming(under lock: borrowing CallbackQueueLocked) -> Bool {
    lock.check(pointee.lock)
    // SAFETY: what has been pushed keeps its descriptor until it is taken off.
    var newest = unsafe Pointer<GracePeriodCallback>(
      address: pointee.incoming.exchange(0, ordering: .acquiring))
    guard let last = newest else { return false }
    var first: Pointer<GracePeriodCallback>?
    while let callback = newest {
      newest = callback.pointee.next
      callback.pointee.next = first
      first = callback
    }
    if let before = pointee.waiting.last {
      before.pointee.next = first
    } else {
      pointee.waiting.first = first
    }
    pointee.waiting.last = last
    return true
  }

  /// In a child of fork: no grace period need be waited for, and the next `push` must find the queue empty, or it would
  /// wake no worker. What a thread of the parent had counted and not pushed is not counted any more. O(callbacks).
  func inheritCallbacks(under lock: borrowing CallbackQueueLocked) {
    _ = moveIncoming(under: lock)
    pointee.cookie = 0
    let count = pointee.waiting.count + pointee.ready.count
    pointee.count.store(count, ordering: .relaxed)
  }

  /// Runs what is ready, in chunks. The worker's. True if there was something.
  func runReady() -> Bool {
    let allocator = pointee.allocator
    var any = false
    while true {
      allocator.letForkGoFirst()
      var lock = pointee.lock.lock()
      // Otherwise a thread that could get no worker does this one's work.
      guard pointee.runner.load(ordering: .relaxed) == 0 else { return any }
      if let first = pointee.waiting.first, allocator.gracePeriodIsOver(pointee.cookie) {
        if let last = pointee.ready.last {
          last.pointee.next = first
        } else {
          pointee.ready.first = first
        }
        pointee.ready.last = pointee.waiting.last
        pointee.waiting.first = nil
        pointee.waiting.last = nil
      }
      guard takeChunk(under: lock) else { return any }
      pointee.runner.store(Threads.identity, ordering: .relaxed)
      allocator.takeInHand(under: lock)
      any = true
      var ended = 0
      lock.letGo { ended = runChunk() }
      pointee.runner.store(0, ordering: .relaxed)
      lock.unlock()
      pointee.count.subtract(ended, ordering: .relaxed)
      allocator.putDown()
    }
  }

  /// Runs the callbacks of a chunk; how many of them are still counted.
  private func runChunk() -> Int {
    let barrier = Pointer<GracePeriodCallback>(of: &pointee.barrier)
    var ended = 0
    while let callback = pointee.running {
      pointee.running = callback.pointee.next
      ended += 1
      if callback == barrier {
        // Before it says that it ran: what a barrier has waited for is not pending afterwards.
        pointee.count.subtract(ended, ordering: .relaxed)
        ended = 0
      }
      pointee.allocator.expectNoLock(below: .inHand, "a callback")
      // SAFETY: the head's memory is the queue's until now, and the function's from here on.
      unsafe callback.pointee.function!(UnsafeMutableRawPointer(callback.unsafePointer))
    }
    return ended
  }

  /// Takes out the next chunk. False if there is nothing.
  private func takeChunk(under lock: borrowing CallbackQueueLocked) -> Bool {
    var count = 0
    var last: Pointer<GracePeriodCallback>?
    pointee.running = pointee.ready.first
    while count < CallbackQueue.chunk, let callback = pointee.ready.popFirst() {
      last = callback
      count += 1
    }
    last?.pointee.next = nil
    return count > 0
  }

  /// Puts the barrier's head behind every callback that is in the queue, so that it waits only for grace periods that
  /// they wait for. False if the queue is empty.
  func entrainBarrier() -> Bool {
    let lock = pointee.lock.lock()
    let isEntrained = entrainBarrier(under: lock)
    lock.unlock()
    return isEntrained
  }

  private func entrainBarrier(under lock: borrowing CallbackQueueLocked) -> Bool {
    let head = Pointer<GracePeriodCallback>(of: &pointee.barrier)
    if pointee.incoming.load(ordering: .sequentiallyConsistent) != 0 {
      _ = push(head)
      return true
    }
    guard
      pointee.waiting.first != nil || pointee.ready.first != nil
        || pointee.runner.load(ordering: .relaxed) != 0
    else { return false }
    pointee.count.add(1, ordering: .relaxed)
    if pointee.waiting.first != nil {
      pointee.waiting.append(head)
    } else {
      pointee.ready.append(head)
    }
    return true
  }
}
