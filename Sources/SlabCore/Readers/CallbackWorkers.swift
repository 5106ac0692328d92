// SPDX-License-Identifier: Apache-2.0
// The threads that wait for grace periods and run callbacks: at most a configured number, one by
// default; queue i is worker i % limit's. Started when there is first something to do, asleep when
// there is nothing, gone in a child of fork.

internal import SlabPlatform
internal import Synchronization

/// The callback workers' lock.
enum CallbackWorkersLock: LockClassOfFork { static var rank: LockRank { .callbackWorkers } }

struct CallbackWorkers: ~Copyable {
  let limit: Int
  let lock = RankedLock<CallbackWorkersLock>()
  /// Under `lock`: bits of the workers that run.
  var running: UInt8 = 0
  /// Whether a worker is missing, and could not be started the last time. Changes under `lock`.
  let isMissing = Atomic<Bool>(false)
  /// Calls since then that put callbacks in.
  let helpers = Atomic<Int>(0)
  /// Workers that will look at their queues again before they sleep for good.
  let awake = Atomic<Int>(0)
  let isStopping = Atomic<Bool>(false)
  /// Times that a thread did not want callbacks to gather; each worker knows which it has seen.
  let hurries = Atomic<UInt>(0)
  /// Some queue is above its limit.
  let isFlooded = Atomic<Bool>(false)
  let wake = EventCount()
  let ended = EventCount()
  /// Signalled after each turn in which callbacks ran.
  let turn = EventCount()

  /// How long callbacks gather when no thread waits.
  static var lazyNanoseconds: UInt64 { 10_000_000 }
  /// Where a worker is missing, every so many calls do its work, each waiting so long for a grace period.
  static var callsPerHelp: Int { 64 }
  static var helpNanoseconds: UInt64 { 1_000_000 }

  init(limit: Int) { self.limit = limit }
}

extension Pointer where Pointee: HasReaders & ~Copyable {
  /// Sees to it that the workers look at their queues: at once if a thread waits or a queue is
  /// flooded, else within 10 ms.
  func kickCallbackWorker(isHurried: Bool = false) {
    if isHurried {
      callbacks.pointee.workers.hurries.add(1, ordering: .sequentiallyConsistent)
    }
    // Sequentially consistent: see `CallbackQueue.push`.
    if callbacks.pointee.workers.awake.load(ordering: .sequentiallyConsistent)
      == callbacks.pointee.workers.limit
    {
      if isHurried { callbacks.pointee.workers.wake.signal() }
      return
    }
    startCallbackWorkers()
    callbacks.pointee.workers.wake.signal()
  }

  @inline(never)
  private func startCallbackWorkers() {
    let lock = callbacks.pointee.workers.lock.lock()
    guard !callbacks.pointee.workers.isStopping.load(ordering: .acquiring) else { return }
    var isMissing = false
    for index in 0..<callbacks.pointee.workers.limit {
      let bit: UInt8 = 1 << UInt8(index)
      guard callbacks.pointee.workers.running & bit == 0 else { continue }
      // The index rides in the low bits, which the state's alignment leaves free.
      let isStarted = unsafe self.startWorkerThread(
        { argument in
          let word = UInt(bitPattern: argument)
          // SAFETY: the state's address, which its thread was started with.
          unsafe Pointer<ReadersState>(address: word & ~7)!.runCallbackWorker(Int(word & 7))
          return nil
        }, argument: address | UInt(index))
      if isStarted { callbacks.pointee.workers.running |= bit } else { isMissing = true }
    }
    callbacks.pointee.workers.isMissing.store(isMissing, ordering: .relaxed)
    lock.unlock()
  }

  /// Holding no lock, after callbacks were put in. Where a worker is missing, the work of those that are is
  /// done here now and then: at once if a page of deferred frees is full. In a section of the caller's own
  /// no grace period ends, so it waits for one with a bound.
  func helpCallbackWorkers(isUrgent: Bool = false) {
    guard callbacks.pointee.workers.isMissing.load(ordering: .relaxed),
      // In a callback, a constructor, a shrinker: what it has in hand may be what others wait for.
      Threads.thingsInHand == 0
    else { return }
    let calls = callbacks.pointee.workers.helpers.wrappingAdd(1, ordering: .relaxed).newValue
    guard isUrgent || calls % CallbackWorkers.callsPerHelp == 0 else { return }
    let deadline = SystemCall.monotonicNanoseconds + CallbackWorkers.helpNanoseconds
    forEachMissingWorker { takeTurn($0, waitingUntil: deadline) }
  }

  private func forEachMissingWorker(_ body: (Int) -> Void) {
    startCallbackWorkers()
    let lock = callbacks.pointee.workers.lock.lock()
    let running = callbacks.pointee.workers.running
    lock.unlock()
    guard !callbacks.pointee.workers.isStopping.load(ordering: .acquiring) else { return }
    for index in 0..<callbacks.pointee.workers.limit where running & 1 << UInt8(index) == 0 {
      body(index)
    }
  }

  private func runCallbackWorker(_ index: Int) {
    callbacks.pointee.workers.awake.add(1, ordering: .sequentiallyConsistent)
    var seen: UInt = 0
    while true {
      if hasCallbacks(for: index) {
        pauseCallbackWorker(&seen)
        takeTurn(index)
      } else if callbacks.pointee.workers.isStopping.load(ordering: .acquiring) {
        break
      } else {
        sleepUntilKicked(index)
      }
    }
    let lock = callbacks.pointee.workers.lock.lock()
    callbacks.pointee.workers.running &= ~(1 << UInt8(index))
    callbacks.pointee.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
    // Signalled under the lock: the thread that waits takes it before it unmaps us.
    callbacks.pointee.workers.ended.signal()
    lock.unlock()
  }

  /// One grace period for all that has come, then all that is ready. With a bound, by a thread that may not
  /// wait: what is not ready by then waits on.
  private func takeTurn(_ index: Int, waitingUntil deadline: UInt64 = .max) {
    readersState.pointee.above.putIn(address, index)
    var cookie: UInt64 = 0
    forEachQueue(of: index) { cookie = max(cookie, $0.adopt()) }
    if cookie > 0 { _ = waitForGracePeriod(cookie, until: deadline) }
    pausePoint(.beforeCallbacks)
    var any = false
    forEachQueue(of: index) { if $0.runReady() { any = true } }
    if any {
      if callbacks.pointee.workers.isFlooded.load(ordering: .relaxed),
        pendingCallbacks < CallbackQueue.limit / 2
      {
        callbacks.pointee.workers.isFlooded.store(false, ordering: .relaxed)
      }
      callbacks.pointee.workers.turn.signal()
    }
  }

  private func forEachQueue(of index: Int, _ body: (Pointer<CallbackQueue>) -> Void) {
    var queue = index
    while queue < callbacks.pointee.queueCount {
      body(callbackQueue(queue))
      queue += callbacks.pointee.workers.limit
    }
  }

  private func hasCallbacks(for index: Int) -> Bool {
    if index == 0, readersState.pointee.above.hasMore(address) { return true }
    var count = 0
    forEachQueue(of: index) { queue in
      // The count is raised without an order: look at both.
      if queue.pointee.incoming.load(ordering: .sequentiallyConsistent) != 0 { count += 1 }
      count += queue.pointee.count.load(ordering: .sequentiallyConsistent)
    }
    return count > 0
  }

  /// Lets callbacks gather, unless a thread has been in a hurry since the last time.
  private func pauseCallbackWorker(_ seen: inout UInt) {
    let ticket = callbacks.pointee.workers.wake.prepare()
    let before = seen
    seen = callbacks.pointee.workers.hurries.load(ordering: .sequentiallyConsistent)
    if seen != before
      || callbacks.pointee.workers.isStopping.load(ordering: .acquiring)
    {
      callbacks.pointee.workers.wake.cancel()
    } else {
      callbacks.pointee.workers.wake.wait(
        ticket, nanoseconds: CallbackWorkers.lazyNanoseconds)
      seen = callbacks.pointee.workers.hurries.load(ordering: .sequentiallyConsistent)
    }
  }

  private func sleepUntilKicked(_ index: Int) {
    let ticket = callbacks.pointee.workers.wake.prepare()
    pausePoint(.beforeSleepingWithoutCallbacks)
    // Announced before the last look, as `push` puts in before it looks at this.
    callbacks.pointee.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
    if hasCallbacks(for: index)
      || callbacks.pointee.workers.isStopping.load(ordering: .acquiring)
    {
      callbacks.pointee.workers.wake.cancel()
    } else {
      callbacks.pointee.workers.wake.wait(ticket)
    }
    callbacks.pointee.workers.awake.add(1, ordering: .sequentiallyConsistent)
  }

  /// Above the limit: waits until a turn is over, 0.2 ms at most, since the caller may be what the
  /// turn waits for.
  func throttle() {
    let ticket = callbacks.pointee.workers.turn.prepare()
    callbacks.pointee.workers.turn.wait(
      ticket, nanoseconds: CallbackQueue.throttleNanoseconds)
  }

  /// Hurries the workers; does the work of those that could not be had here.
  func hurryCallbackWorkers() {
    kickCallbackWorker(isHurried: true)
    forEachMissingWorker { takeTurn($0) }
  }

  /// Whether this thread runs a callback: a worker, or a thread that does a worker's work. O(queues).
  var isInCallback: Bool {
    let identity = Threads.identity
    for index in 0..<callbacks.pointee.queueCount
    where callbackQueue(index).pointee.runner.load(ordering: .relaxed) == identity {
      return true
    }
    return false
  }

  /// Ends the workers after the callbacks that there are. Waits for them.
  func stopCallbackWorkers() {
    hurryCallbackWorkers()
    callbacks.pointee.workers.isStopping.store(true, ordering: .releasing)
    while true {
      let ticket = callbacks.pointee.workers.ended.prepare()
      let lock = callbacks.pointee.workers.lock.lock()
      let running = callbacks.pointee.workers.running
      lock.unlock()
      if running == 0 {
        callbacks.pointee.workers.ended.cancel()
        return
      }
      checkFence()
      callbacks.pointee.workers.wake.signal()
      callbacks.pointee.workers.ended.wait(
        ticket, nanoseconds: CallbackWorkers.lazyNanoseconds)
    }
  }

  /// In a child of fork, with all locks held: the threads were the parent's. What they had is queued.
  func forgetCallbackWorkers() {
    callbacks.pointee.workers.running = 0
    callbacks.pointee.workers.isMissing.store(false, ordering: .relaxed)
    callbacks.pointee.workers.awake.store(0, ordering: .relaxed)
    for index in 0..<callbacks.pointee.queueCount {
      let queue = callbackQueue(index)
      // SAFETY: the fork took the lock, and lets go of it afterwards.
      let lock = unsafe queue.pointee.lock.alreadyHeld()
      queue.inheritCallbacks(under: lock)
      unsafe lock.leaveLocked()
    }
    callbacks.pointee.workers.wake.resetAfterFork()
    callbacks.pointee.workers.ended.resetAfterFork()
    callbacks.pointee.workers.turn.resetAfterFork()
    callbacks.pointee.barrier.done.resetAfterFork()
  }
}
