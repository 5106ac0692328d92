// The threads that wait for grace periods and run callbacks: at most a configured number, one by
// default; queue i is worker i % limit's. Started when there is first something to do, asleep when
// there is nothing, gone in a child of fork.

internal import SlabPlatform
internal import Synchronization

struct CallbackWorkers: ~Copyable {
  let limit: Int
  let lock = Lock()
  /// Under `lock`: bits of the workers that run.
  var running: UInt8 = 0
  /// Whether a worker is not there and could not be had the last time. Changes under `lock`.
  let isMissing = Atomic<Bool>(false)
  /// Calls since then that put callbacks in.
  let helpers = Atomic<Int>(0)
  /// Workers that will look at their queues again before they sleep for good.
  let awake = Atomic<Int>(0)
  let isStopping = Atomic<Bool>(false)
  /// Times that somebody did not want callbacks to gather; each worker knows which it has seen.
  let hurries = Atomic<UInt>(0)
  /// Some queue is above its limit.
  let isFlooded = Atomic<Bool>(false)
  let wake = EventCount()
  let ended = EventCount()
  /// Signalled after each turn in which callbacks ran.
  let turn = EventCount()

  static var most: Int { 8 }
  /// How long callbacks gather when nobody waits.
  static var lazyNanoseconds: UInt64 { 10_000_000 }
  /// Where a worker is missing, every so many calls do its work, each waiting so long for a grace period.
  static var callsPerHelp: Int { 64 }
  static var helpNanoseconds: UInt64 { 1_000_000 }

  init(limit: Int) { self.limit = limit }
}

extension Pointer where Pointee == AllocatorState {
  /// Sees to it that the workers look at their queues: at once if somebody waits or a queue is
  /// flooded, else within 10 ms.
  func kickCallbackWorker(isHurried: Bool = false) {
    if isHurried {
      pointee.callbacks.workers.hurries.add(1, ordering: .sequentiallyConsistent)
    }
    // Sequentially consistent: see `CallbackQueue.push`.
    if pointee.callbacks.workers.awake.load(ordering: .sequentiallyConsistent)
      == pointee.callbacks.workers.limit
    {
      if isHurried { pointee.callbacks.workers.wake.signal() }
      return
    }
    startCallbackWorkers()
    pointee.callbacks.workers.wake.signal()
  }

  @inline(never)
  private func startCallbackWorkers() {
    pointee.callbacks.workers.lock.lock()
    defer { pointee.callbacks.workers.lock.unlock() }
    guard !pointee.callbacks.workers.isStopping.load(ordering: .acquiring) else { return }
    var isMissing = false
    for index in 0..<pointee.callbacks.workers.limit {
      let bit: UInt8 = 1 << UInt8(index)
      guard pointee.callbacks.workers.running & bit == 0 else { continue }
      // The index rides in the low bits, which the state's alignment leaves free.
      let isStarted = unsafe Allocator(state: self).startThread(
        { argument in
          let word = UInt(bitPattern: argument)
          Pointer<AllocatorState>(address: word & ~7)!.runCallbackWorker(Int(word & 7))
          return nil
        }, argument: address | UInt(index))
      if isStarted { pointee.callbacks.workers.running |= bit } else { isMissing = true }
    }
    pointee.callbacks.workers.isMissing.store(isMissing, ordering: .relaxed)
  }

  /// Holding no lock, after callbacks were put in. Where a worker is missing, the work of those that are is
  /// done here now and then: at once if a page of deferred frees is full. In a section of the caller's own
  /// no grace period ends, so it waits for one with a bound.
  func helpCallbackWorkers(isUrgent: Bool = false) {
    guard pointee.callbacks.workers.isMissing.load(ordering: .relaxed),
      // In a callback, a constructor, a shrinker: what it has in hand may be what others wait for.
      Threads.thingsInHand == 0
    else { return }
    let calls = pointee.callbacks.workers.helpers.wrappingAdd(1, ordering: .relaxed).newValue
    guard isUrgent || calls % CallbackWorkers.callsPerHelp == 0 else { return }
    let deadline = SystemCall.monotonicNanoseconds + CallbackWorkers.helpNanoseconds
    forEachMissingWorker { takeTurn($0, waitingUntil: deadline) }
  }

  private func forEachMissingWorker(_ body: (Int) -> Void) {
    startCallbackWorkers()
    pointee.callbacks.workers.lock.lock()
    let running = pointee.callbacks.workers.running
    pointee.callbacks.workers.lock.unlock()
    guard !pointee.callbacks.workers.isStopping.load(ordering: .acquiring) else { return }
    for index in 0..<pointee.callbacks.workers.limit where running & 1 << UInt8(index) == 0 {
      body(index)
    }
  }

  private func runCallbackWorker(_ index: Int) {
    pointee.callbacks.workers.awake.add(1, ordering: .sequentiallyConsistent)
    var seen: UInt = 0
    while true {
      if hasCallbacks(for: index) {
        pauseCallbackWorker(&seen)
        takeTurn(index)
      } else if pointee.callbacks.workers.isStopping.load(ordering: .acquiring) {
        break
      } else {
        sleepUntilKicked(index)
      }
    }
    pointee.callbacks.workers.lock.lock()
    pointee.callbacks.workers.running &= ~(1 << UInt8(index))
    pointee.callbacks.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
    // Signalled under the lock: whoever waits takes it before he unmaps us.
    pointee.callbacks.workers.ended.signal()
    pointee.callbacks.workers.lock.unlock()
  }

  /// One grace period for all that has come, then all that is ready. With a bound, by whoever may not
  /// wait: what is not ready by then waits on.
  private func takeTurn(_ index: Int, waitingUntil deadline: UInt64 = .max) {
    flushDeferredFreesLazily(index)
    var cookie: UInt64 = 0
    forEachQueue(of: index) { cookie = max(cookie, $0.adopt()) }
    if cookie > 0 { _ = waitForGracePeriod(cookie, until: deadline) }
    pausePoint(.beforeCallbacks)
    var any = false
    forEachQueue(of: index) { if $0.runReady() { any = true } }
    if any {
      if pointee.callbacks.workers.isFlooded.load(ordering: .relaxed),
        pendingCallbacks < CallbackQueue.limit / 2
      {
        pointee.callbacks.workers.isFlooded.store(false, ordering: .relaxed)
      }
      pointee.callbacks.workers.turn.signal()
    }
  }

  private func forEachQueue(of index: Int, _ body: (Pointer<CallbackQueue>) -> Void) {
    var queue = index
    while queue < pointee.callbacks.queueCount {
      body(callbackQueue(queue))
      queue += pointee.callbacks.workers.limit
    }
  }

  private func hasCallbacks(for index: Int) -> Bool {
    if index == 0, hasDeferredFrees { return true }
    var count = 0
    forEachQueue(of: index) { queue in
      // The count is raised without an order: look at both.
      if queue.pointee.incoming.load(ordering: .sequentiallyConsistent) != 0 { count += 1 }
      count += queue.pointee.count.load(ordering: .sequentiallyConsistent)
    }
    return count > 0
  }

  /// Lets callbacks gather, unless somebody has been in a hurry since the last time.
  private func pauseCallbackWorker(_ seen: inout UInt) {
    let ticket = pointee.callbacks.workers.wake.prepare()
    let before = seen
    seen = pointee.callbacks.workers.hurries.load(ordering: .sequentiallyConsistent)
    if seen != before
      || pointee.callbacks.workers.isStopping.load(ordering: .acquiring)
    {
      pointee.callbacks.workers.wake.cancel()
    } else {
      pointee.callbacks.workers.wake.wait(
        ticket, nanoseconds: CallbackWorkers.lazyNanoseconds)
      seen = pointee.callbacks.workers.hurries.load(ordering: .sequentiallyConsistent)
    }
  }

  private func sleepUntilKicked(_ index: Int) {
    let ticket = pointee.callbacks.workers.wake.prepare()
    pausePoint(.beforeSleepingWithoutCallbacks)
    // Announced before the last look, as `push` puts in before it looks at this.
    pointee.callbacks.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
    if hasCallbacks(for: index)
      || pointee.callbacks.workers.isStopping.load(ordering: .acquiring)
    {
      pointee.callbacks.workers.wake.cancel()
    } else {
      pointee.callbacks.workers.wake.wait(ticket)
    }
    pointee.callbacks.workers.awake.add(1, ordering: .sequentiallyConsistent)
  }

  /// Above the limit: waits until a turn is over, 0.2 ms at most, since the caller may be what the
  /// turn waits for.
  func throttle() {
    let ticket = pointee.callbacks.workers.turn.prepare()
    pointee.callbacks.workers.turn.wait(
      ticket, nanoseconds: CallbackQueue.throttleNanoseconds)
  }

  /// Hurries the workers; does the work of those that could not be had here.
  func hurryCallbackWorkers() {
    kickCallbackWorker(isHurried: true)
    forEachMissingWorker { takeTurn($0) }
  }

  /// Whether this thread runs a callback: a worker, or somebody who does a worker's work. O(queues).
  var isInCallback: Bool {
    let identity = Threads.identity
    for index in 0..<pointee.callbacks.queueCount
    where callbackQueue(index).pointee.runner.load(ordering: .relaxed) == identity {
      return true
    }
    return false
  }

  /// Ends the workers after the callbacks that there are. Waits for them.
  func stopCallbackWorkers() {
    hurryCallbackWorkers()
    pointee.callbacks.workers.isStopping.store(true, ordering: .releasing)
    while true {
      let ticket = pointee.callbacks.workers.ended.prepare()
      pointee.callbacks.workers.lock.lock()
      let running = pointee.callbacks.workers.running
      pointee.callbacks.workers.lock.unlock()
      if running == 0 {
        pointee.callbacks.workers.ended.cancel()
        return
      }
      checkFence()
      pointee.callbacks.workers.wake.signal()
      pointee.callbacks.workers.ended.wait(
        ticket, nanoseconds: CallbackWorkers.lazyNanoseconds)
    }
  }

  /// In a child of fork, with all locks held: the threads were the parent's. What they had is queued.
  func forgetCallbackWorkers() {
    pointee.callbacks.workers.running = 0
    pointee.callbacks.workers.isMissing.store(false, ordering: .relaxed)
    pointee.callbacks.workers.awake.store(0, ordering: .relaxed)
    for index in 0..<pointee.callbacks.queueCount { callbackQueue(index).inheritCallbacks() }
    pointee.callbacks.workers.wake.resetAfterFork()
    pointee.callbacks.workers.ended.resetAfterFork()
    pointee.callbacks.workers.turn.resetAfterFork()
    pointee.callbacks.barrier.done.resetAfterFork()
  }
}
