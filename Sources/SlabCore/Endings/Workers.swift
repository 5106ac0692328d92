// SPDX-License-Identifier: Apache-2.0
// The threads that end groups and caches: at most a configured number, one by default (patch 10).
// Started when there is first something to do; asleep when there is nothing; gone in the child of a
// fork, which starts its own when it needs them.
//
// A worker that has found work looks again a millisecond later, so that a batch can gather, and threads that put work
// in need not wake one: while a worker is awake they make no system call. Only after a while without work it sleeps
// for good, until it is woken, or until a round of the idle clock is due (Caches/IdleClock.swift).
//
// Workers do not know what there is to do: `EndingRules.look` does (LookAtQueues.swift).

internal import SlabPlatform
internal import Synchronization

/// The workers' lock.
enum WorkersLock: LockClassOfFork { static var rank: LockRank { .workers } }
typealias WorkersLocked = Held<WorkersLock>

/// A worker's busy lock.
enum BusyLock: LockClassOfFork { static var rank: LockRank { .workerBusy } }
typealias BusyLocked = Held<BusyLock>

struct Workers: ~Copyable {
  let limit: Int
  let lock = RankedLock<WorkersLock>()
  // Under `lock`:
  var running = 0
  var peak = 0

  /// Whether there is no worker, and none could be started the last time. Changes under `lock`.
  let isMissing = Atomic<Bool>(false)
  /// Workers that will look at the queues again before they sleep.
  let awake = Atomic<Int>(0)
  /// Set to end them all.
  let isStopping = Atomic<Bool>(false)
  /// Signalled to wake a worker before its time.
  let wake = EventCount()
  /// Signalled when a worker ends.
  let ended = EventCount()
  /// Held by a worker while it works: fork waits for these, so that no batch is halfway in a child.
  let busy = InlineArray<8, RankedLock<BusyLock>> { _ in RankedLock() }

  static var most: Int { 8 }
  /// How long a batch gathers.
  static var batchNanoseconds: UInt64 { 1_000_000 }
  /// Looks without work before a worker sleeps for good.
  static var idleLooks: Int { 20 }
  /// Runs of pages that go back to the system between two looks: endings must not wait long.
  static var runsGivenBackPerLook: Int { 16 }
  /// Pending items per worker above which another one is started.
  static var pendingPerWorker: Int { 1024 }
  /// Pending items from which a thread that ends something does the work, where no worker can be had: a fence serves
  /// them all.
  static var pendingPerHelp: Int { 32 }

  init(limit: Int) { self.limit = limit }
}

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Sees to it that some worker will look at the queues. One load while one is awake.
  func kickWorkers() {
    guard !base.pointee.configuration.servesMalloc else { return }
    let awake = lifecycle.pointee.workers.awake.load(ordering: .sequentiallyConsistent)
    let pending = lifecycle.pointee.pending.load(ordering: .relaxed)
    if awake > 0,
      awake >= lifecycle.pointee.workers.limit || pending < awake * Workers.pendingPerWorker
    {
      return
    }
    pausePoint(.beforeStartingWorker)
    startOrWakeWorker()
  }

  @inline(never)
  private func startOrWakeWorker() {
    let lock = lifecycle.pointee.workers.lock.lock()
    let running = lifecycle.pointee.workers.running
    let awake = lifecycle.pointee.workers.awake.load(ordering: .relaxed)
    if awake < running || running == lifecycle.pointee.workers.limit {
      lock.unlock()
      lifecycle.pointee.workers.wake.signal()
      return
    }
    startWorker(under: lock)
  }

  /// Where the system gives no thread, others do the work: `isMissing`.
  private func startWorker(under lock: borrowing WorkersLocked) {
    let index = lifecycle.pointee.workers.running
    lifecycle.pointee.workers.running += 1
    lifecycle.pointee.workers.awake.add(1, ordering: .sequentiallyConsistent)
    // The index rides in the low bits, which the state's alignment leaves free.
    let isStarted = unsafe self.startWorkerThread(
      { argument in
        let word = UInt(bitPattern: argument)
        // SAFETY: the state's address, which its thread was started with.
        unsafe Pointer<EndingsState>(address: word & ~7)!.runWorker(Int(word & 7))
        return nil
      }, argument: address | UInt(index))
    if isStarted {
      lifecycle.pointee.workers.peak = Swift.max(
        lifecycle.pointee.workers.peak, lifecycle.pointee.workers.running)
    } else {
      lifecycle.pointee.workers.running -= 1
      lifecycle.pointee.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
      pages.lookForWorkerAgain()
    }
    lifecycle.pointee.workers.isMissing.store(
      lifecycle.pointee.workers.running == 0, ordering: .relaxed)
  }

  /// As `kickWorkers`, by a thread that has put something in and holds no lock. Where no worker can be had
  /// the caller does the work, for many pending items at a time.
  func kickWorkersOrHelp() {
    kickWorkers()
    guard hasNoWorker, lifecycle.pointee.pending.load(ordering: .relaxed) >= Workers.pendingPerHelp,
      // A fork waits for this thread, or it is in the middle of a walk.
      Threads.thingsInHand == 0
    else { return }
    _ = tryWork()
  }

  private var hasNoWorker: Bool {
    base.pointee.configuration.servesMalloc
      || lifecycle.pointee.workers.isMissing.load(ordering: .relaxed)
  }

  /// For an allocator that serves `malloc`, holding no lock, at the end of a slow operation: does what workers
  /// would have been woken for. Four loads, or a look at a clock, if there is nothing; else a look as a worker's, of
  /// which 16 runs of pages at most are given back.
  func helpIfWanted() {
    guard
      pages.pointee.hasExcess.load(ordering: .relaxed)
        || coldSheaves.pointee.isWanted.load(ordering: .relaxed)
        || lifecycle.pointee.pending.load(ordering: .relaxed) > 0 || isIdleRoundDue,
      Threads.thingsInHand == 0, !Threads.isReclaiming
    else { return }
    _ = tryWork()
  }

  /// Wakes the workers now. If none can be had, does the work here, unless another thread is at it or a fork goes on.
  func hurryWorkers() {
    let lock = lifecycle.pointee.workers.lock.lock()
    if lifecycle.pointee.workers.running == 0 { startWorker(under: lock) }
    let isAlone = lifecycle.pointee.workers.running == 0
    lock.unlock()
    if isAlone { _ = tryWork() } else { lifecycle.pointee.workers.wake.signal() }
  }

  /// A worker's look by another thread. Never waits for a busy lock: its holder may be at work for longer than
  /// this thread has patience. True if there was something.
  private func tryWork() -> Bool {
    for index in 0..<Workers.most {
      guard let busy = lifecycle.pointee.workers.busy[index].tryLock() else { continue }
      let hasWorked = work(under: busy)
      giveBackExcess(under: busy)
      return hasWorked
    }
    return false
  }

  /// A worker's look. True if there was something to do.
  private func work(as index: Int) -> Bool {
    letForkGoFirst()
    let busy = lifecycle.pointee.workers.busy[index].lock()
    return work(under: busy)
  }

  /// One look at everything there is to do.
  private func work(under busy: borrowing BusyLocked) -> Bool {
    let start = SystemCall.monotonicNanoseconds
    guard rules.pointee.look(address) else { return false }
    counters.pointee.workerNanoseconds += Int(SystemCall.monotonicNanoseconds - start)
    return true
  }

  /// The life of a worker.
  private func runWorker(_ index: Int) {
    var looksWithoutWork = 0
    while true {
      if work(as: index) {
        looksWithoutWork = 0
      } else if lifecycle.pointee.workers.isStopping.load(ordering: .acquiring) {
        break
      } else {
        looksWithoutWork += 1
      }
      giveBackExcess(as: index)
      if looksWithoutWork < Workers.idleLooks {
        pauseWorker(nanoseconds: Workers.batchNanoseconds)
      } else {
        // After the time-out, one look.
        looksWithoutWork = sleepUntilWoken() ? 0 : Workers.idleLooks - 1
      }
    }
    let lock = lifecycle.pointee.workers.lock.lock()
    lifecycle.pointee.workers.running -= 1
    lifecycle.pointee.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
    // Signalled under the lock: the thread that waits takes it before it unmaps us.
    lifecycle.pointee.workers.ended.signal()
    lock.unlock()
  }

  func pauseWorker(nanoseconds: UInt64) {
    let ticket = lifecycle.pointee.workers.wake.prepare()
    if lifecycle.pointee.workers.isStopping.load(ordering: .acquiring) {
      lifecycle.pointee.workers.wake.cancel()
    } else {
      lifecycle.pointee.workers.wake.wait(ticket, nanoseconds: nanoseconds)
    }
  }

  /// Until there is something to do, or a round of the idle clock is due. True in the first case.
  private func sleepUntilWoken() -> Bool {
    let ticket = lifecycle.pointee.workers.wake.prepare()
    pausePoint(.beforeSleeping)
    // Announced before the last look, as `notePending` counts before it looks at this.
    lifecycle.pointee.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
    if lifecycle.pointee.pending.load(ordering: .sequentiallyConsistent) != 0
      || lifecycle.pointee.barrierBatch.isMarked.load(ordering: .sequentiallyConsistent)
      || pages.pointee.hasExcess.load(ordering: .sequentiallyConsistent)
      || coldSheaves.pointee.isWanted.load(ordering: .sequentiallyConsistent)
      || lifecycle.pointee.workers.isStopping.load(ordering: .acquiring)
    {
      lifecycle.pointee.workers.wake.cancel()
    } else {
      lifecycle.pointee.workers.wake.wait(ticket, nanoseconds: nanosecondsUntilIdleRound)
    }
    lifecycle.pointee.workers.awake.add(1, ordering: .sequentiallyConsistent)
    return lifecycle.pointee.pending.load(ordering: .relaxed) > 0
      || lifecycle.pointee.workers.isStopping.load(ordering: .relaxed)
  }

  /// Gives free pages back when they are more than is worth keeping.
  private func giveBackExcess(as index: Int) {
    guard pages.pointee.hasExcess.load(ordering: .relaxed) else { return }
    let busy = lifecycle.pointee.workers.busy[index].lock()
    giveBackExcess(under: busy)
  }

  private func giveBackExcess(under busy: borrowing BusyLocked) {
    guard pages.pointee.hasExcess.exchange(false, ordering: .relaxed) else { return }
    pages.giveBack(runsAtMost: Workers.runsGivenBackPerLook)
  }

  /// Holding no lock: waits until every worker that is at work now has finished its look.
  func waitForWorkersAtWork() {
    for index in 0..<Workers.most { lifecycle.pointee.workers.busy[index].lock().unlock() }
  }

  /// Ends the workers after the work that is there. Waits for them.
  func stopWorkers() {
    lifecycle.pointee.workers.isStopping.store(true, ordering: .releasing)
    while true {
      let ticket = lifecycle.pointee.workers.ended.prepare()
      let lock = lifecycle.pointee.workers.lock.lock()
      let running = lifecycle.pointee.workers.running
      lock.unlock()
      if running == 0 {
        lifecycle.pointee.workers.ended.cancel()
        return
      }
      lifecycle.pointee.workers.wake.signal()
      lifecycle.pointee.workers.ended.wait(ticket, nanoseconds: Workers.batchNanoseconds)
    }
  }

  /// In a child of fork: the threads were the parent's.
  func forgetWorkers() {
    pages.lookForWorkerAgain()
    lifecycle.pointee.workers.running = 0
    lifecycle.pointee.workers.isMissing.store(false, ordering: .relaxed)
    lifecycle.pointee.workers.awake.store(0, ordering: .relaxed)
    lifecycle.pointee.workers.wake.resetAfterFork()
    lifecycle.pointee.workers.ended.resetAfterFork()
    lifecycle.pointee.idle.resetAfterFork()
    lifecycle.pointee.endingIsOver.resetAfterFork()
    lifecycle.pointee.rootIsReleased.resetAfterFork()
    groupsState.pointee.shrinkerIsIdle.resetAfterFork()
    changedGroups.pointee.changed.resetAfterFork()
  }
}
