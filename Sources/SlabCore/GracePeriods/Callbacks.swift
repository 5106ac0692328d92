// Calling after a grace period: the queues, who puts in and who runs.

package import SlabPlatform
internal import Synchronization

struct Callbacks: ~Copyable {
  /// Where the queues are, `CallbackQueue.bytes` apart; set once, while the allocator is made.
  var queues: UInt = 0
  var queueCount = 0
  var workers: CallbackWorkers
  var barrier = Barrier()
  var deferred = DeferredFrees()

  init(workerLimit: Int) {
    workers = CallbackWorkers(limit: workerLimit)
  }
}

extension Pointer where Pointee == AllocatorState {
  func callbackQueue(_ index: Int) -> Pointer<CallbackQueue> {
    Pointer<CallbackQueue>(
      nonzeroAddress: pointee.callbacks.queues + UInt(index * CallbackQueue.bytes))
  }

  /// The queue for a caller who runs here.
  private var runningQueue: Pointer<CallbackQueue> {
    callbackQueue(pointee.region.recentSlot % pointee.callbacks.queueCount)
  }

  /// Queues a callback. Waits for nothing.
  func call(
    _ callback: Pointer<GracePeriodCallback>, _ function: @escaping GracePeriodCallback.Function
  ) {
    // SAFETY: the head is the caller's, 16 bytes; whatever stood there is of no use any more.
    unsafe callback.unsafePointer.initialize(to: GracePeriodCallback())
    unsafe callback.pointee.function = function
    let queue = runningQueue
    guard queue.push(callback) else { return }
    let count = queue.pointee.count.load(ordering: .relaxed)
    if count >= CallbackQueue.limit {
      pointee.callbacks.workers.isFlooded.store(true, ordering: .relaxed)
    }
    kickCallbackWorker(isHurried: count >= CallbackQueue.flood)
  }

  /// Once, while the allocator is made: the counters of the readers, and the queues.
  func makeGracePeriods() throws(AllocatorError) {
    guard let first = region.allocateCounters(), let second = region.allocateCounters() else {
      throw .outOfMemory
    }
    let isSlow = pointee.region.mode == .lockedSlots || pointee.configuration.tracksReaders
    pointee.readers.begin(
      blocks: (first, second), isSlow: isSlow, isTracked: pointee.configuration.tracksReaders)
    let count = min(pointee.region.slotCount, CallbackQueue.most)
    pointee.callbacks.queues = try allocateInternal(bytes: count * CallbackQueue.bytes)
    pointee.callbacks.queueCount = count
    for index in 0..<count {
      // SAFETY: the object is ours and has room for the queues.
      unsafe callbackQueue(index).unsafePointer.initialize(to: CallbackQueue(allocator: self))
    }
  }

  /// Callbacks that have not run yet.
  var pendingCallbacks: Int {
    var count = 0
    for index in 0..<pointee.callbacks.queueCount {
      count += callbackQueue(index).pointee.count.load(ordering: .relaxed)
    }
    return count
  }
}

extension Allocator {
  /// Callbacks that wait are to wait for no more of them: somebody waits for one.
  package func hurryCallbacks() { state.hurryCallbackWorkers() }

  /// Calls a function after a grace period, on a worker thread (call_rcu). Never waits for one; two
  /// atomic operations, and a system call if the workers sleep. Lazy: callbacks gather for 10 ms,
  /// unless somebody waits or there are many. Above 262,144 in its queue each call waits for 0.2 ms
  /// at most: a flood slows those who make it. Charged to nobody; the head is the caller's.
  package func call(
    _ callback: Pointer<GracePeriodCallback>, _ function: @escaping GracePeriodCallback.Function
  ) {
    unsafe state.call(callback, function)
    if state.pointee.callbacks.workers.isFlooded.load(ordering: .relaxed) {
      state.throttle()
    }
    state.helpCallbackWorkers()
  }
}
