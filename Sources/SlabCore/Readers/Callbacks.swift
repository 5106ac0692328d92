// SPDX-License-Identifier: Apache-2.0
// Calling after a grace period: the queues, how callbacks come in and how they run.

package import SlabPlatform
internal import Synchronization

struct Callbacks: ~Copyable {
  /// Where the queues are, `CallbackQueue.bytes` apart; set once, while the allocator is made.
  var queues: UInt = 0
  var queueCount = 0
  var workers: CallbackWorkers
  var barrier = Barrier()

  init(workerLimit: Int) {
    workers = CallbackWorkers(limit: workerLimit)
  }
}

extension Pointer where Pointee: HasReaders & ~Copyable {
  func callbackQueue(_ index: Int) -> Pointer<CallbackQueue> {
    // SAFETY: the index is below `queueCount`.
    unsafe Pointer<CallbackQueue>(
      nonzeroAddress: callbacks.pointee.queues + UInt(index * CallbackQueue.bytes))
  }

  /// The queue for a caller that runs here.
  private var runningQueue: Pointer<CallbackQueue> {
    callbackQueue(region.pointee.recentStripe % callbacks.pointee.queueCount)
  }

  /// Queues a callback. Waits for nothing.
  func enqueue(
    _ callback: Pointer<GracePeriodCallback>, _ function: @escaping GracePeriodCallback.Function
  ) {
    // SAFETY: the head is the caller's, 16 bytes; whatever stood there is of no use any more.
    unsafe callback.unsafePointer.initialize(to: GracePeriodCallback())
    unsafe callback.pointee.function = function
    let queue = runningQueue
    guard queue.push(callback) else { return }
    let count = queue.pointee.count.load(ordering: .relaxed)
    if count >= CallbackQueue.limit {
      callbacks.pointee.workers.isFlooded.store(true, ordering: .relaxed)
    }
    kickCallbackWorker(isHurried: count >= CallbackQueue.flood)
  }

  /// Once, while the allocator is made: the counters of the readers, and the queues.
  func makeGracePeriods() throws(AllocatorError) {
    guard let first = region.allocateCounters(), let second = region.allocateCounters() else {
      throw .outOfMemory
    }
    let isSlow = region.pointee.mode == .lockedStripes || base.pointee.configuration.tracksReaders
    readers.pointee.begin(
      blocks: (first, second), isSlow: isSlow, isTracked: base.pointee.configuration.tracksReaders)
    let count = min(region.pointee.stripeCount, CallbackQueue.most)
    callbacks.pointee.queues = try allocateInternal(bytes: count * CallbackQueue.bytes)
    callbacks.pointee.queueCount = count
    for index in 0..<count {
      // SAFETY: the object is ours and has room for the queues.
      unsafe callbackQueue(index).unsafePointer.initialize(
        to: CallbackQueue(allocator: readersState))
    }
  }

  /// Callbacks that have not run yet.
  var pendingCallbacks: Int {
    var count = 0
    for index in 0..<callbacks.pointee.queueCount {
      count += callbackQueue(index).pointee.count.load(ordering: .relaxed)
    }
    return count
  }
}

extension Pointer where Pointee: HasReaders & ~Copyable {
  /// Callbacks that wait are to wait for no more of them: a thread waits for one.
  package func hurryCallbacks() { hurryCallbackWorkers() }

  /// Calls a function after a grace period, on a worker thread (call_rcu). Never waits for one; two
  /// atomic operations, and a system call if the workers sleep. Lazy: callbacks gather for 10 ms,
  /// unless a thread waits or there are many. Above 262,144 in its queue each call waits for 0.2 ms
  /// at most: a flood slows the threads that make it. Charged to no group; the head is the caller's.
  package func call(
    _ callback: Pointer<GracePeriodCallback>, _ function: @escaping GracePeriodCallback.Function
  ) {
    unsafe enqueue(callback, function)
    if callbacks.pointee.workers.isFlooded.load(ordering: .relaxed) {
      throttle()
    }
    helpCallbackWorkers()
  }
}
