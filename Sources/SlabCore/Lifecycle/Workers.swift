// The threads that end groups and caches: at most a configured number, one by default (patch 10).
// Started when there is first something to do; asleep when there is nothing; gone in the child of a
// fork, which starts its own when it needs them.
//
// A worker that has found work looks again a millisecond later, so that a batch can gather, and
// those who put work in need not wake anybody: while a worker is awake that costs them no system
// call. Only after a while without work it sleeps for good, until it is woken.

internal import SlabPlatform
internal import Synchronization

struct Workers: ~Copyable {
  let limit: Int
  let lock = Lock()
  // Under `lock`:
  var running = 0
  var peak = 0

  /// Whether there is no worker and none could be had the last time. Changes under `lock`.
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
  let busy = InlineArray<8, Lock> { _ in Lock() }

  static var most: Int { 8 }
  /// How long a batch gathers.
  static var batchNanoseconds: UInt64 { 1_000_000 }
  /// Looks without work before a worker sleeps for good.
  static var idleLooks: Int { 20 }
  /// Runs of pages that go back to the system between two looks: endings must not wait long.
  static var runsGivenBackPerLook: Int { 16 }
  /// Pending items per worker above which another one is started.
  static var pendingPerWorker: Int { 1024 }
  /// Pending items from which whoever ends something does it, where no worker can be had: a fence serves
  /// them all.
  static var pendingPerHelp: Int { 32 }

  init(limit: Int) { self.limit = limit }
}

extension Pointer where Pointee == AllocatorState {
  /// Sees to it that some worker will look at the queues. One load while one is awake.
  func kickWorkers() {
    let awake = pointee.lifecycle.workers.awake.load(ordering: .sequentiallyConsistent)
    let pending = pointee.lifecycle.pending.load(ordering: .relaxed)
    if awake > 0,
      awake >= pointee.lifecycle.workers.limit || pending < awake * Workers.pendingPerWorker
    {
      return
    }
    pausePoint(.beforeStartingWorker)
    startOrWakeWorker()
  }

  @inline(never)
  private func startOrWakeWorker() {
    pointee.lifecycle.workers.lock.lock()
    let running = pointee.lifecycle.workers.running
    let awake = pointee.lifecycle.workers.awake.load(ordering: .relaxed)
    if awake < running || running == pointee.lifecycle.workers.limit {
      pointee.lifecycle.workers.lock.unlock()
      pointee.lifecycle.workers.wake.signal()
      return
    }
    startWorker()
    pointee.lifecycle.workers.lock.unlock()
  }

  /// Under the workers' lock. Where the system gives no thread, others do the work: `isMissing`.
  private func startWorker() {
    let index = pointee.lifecycle.workers.running
    pointee.lifecycle.workers.running += 1
    pointee.lifecycle.workers.awake.add(1, ordering: .sequentiallyConsistent)
    // The index rides in the low bits, which the state's alignment leaves free.
    let isStarted = unsafe Allocator(state: self).startThread(
      { argument in
        let word = UInt(bitPattern: argument)
        Pointer<AllocatorState>(address: word & ~7)!.runWorker(Int(word & 7))
        return nil
      }, argument: address | UInt(index))
    if isStarted {
      pointee.lifecycle.workers.peak = Swift.max(
        pointee.lifecycle.workers.peak, pointee.lifecycle.workers.running)
    } else {
      pointee.lifecycle.workers.running -= 1
      pointee.lifecycle.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
    }
    pointee.lifecycle.workers.isMissing.store(
      pointee.lifecycle.workers.running == 0, ordering: .relaxed)
  }

  /// As `kickWorkers`, by somebody who has put something in and holds no lock. Where no worker can be had
  /// the caller does the work, for many pending items at a time.
  func kickWorkersOrHelp() {
    kickWorkers()
    guard pointee.lifecycle.workers.isMissing.load(ordering: .relaxed),
      pointee.lifecycle.pending.load(ordering: .relaxed) >= Workers.pendingPerHelp,
      // A fork waits for this thread, or it is in the middle of a walk.
      Threads.thingsInHand == 0
    else { return }
    _ = tryWork()
  }

  /// Wakes the workers now; if there is none and none can be had, does the work here, unless another
  /// thread is at it or a fork goes on.
  func hurryWorkers() {
    pointee.lifecycle.workers.lock.lock()
    if pointee.lifecycle.workers.running == 0 { startWorker() }
    let isAlone = pointee.lifecycle.workers.running == 0
    pointee.lifecycle.workers.lock.unlock()
    if isAlone { _ = tryWork() } else { pointee.lifecycle.workers.wake.signal() }
  }

  /// A worker's look by another thread. Never waits for a busy lock: fork may hold them all and wait for
  /// what this thread has in hand. True if there was something.
  private func tryWork() -> Bool {
    for index in 0..<Workers.most where pointee.lifecycle.workers.busy[index].tryLock() {
      defer { pointee.lifecycle.workers.busy[index].unlock() }
      let hasWorked = workUnderBusyLock()
      giveBackExcessUnderBusyLock()
      return hasWorked
    }
    return false
  }

  /// A worker's look. True if there was something to do.
  private func work(as index: Int) -> Bool {
    letForkGoFirst()
    pointee.lifecycle.workers.busy[index].lock()
    defer { pointee.lifecycle.workers.busy[index].unlock() }
    return workUnderBusyLock()
  }

  /// One look at everything there is to do.
  private func workUnderBusyLock() -> Bool {
    let start = SystemCall.monotonicNanoseconds
    let fenced = runFenceBatch()
    // A fork that waits for the busy lock gets it before the rest, which another look does.
    guard !ForkHandlers.isForkingSoon else { return true }
    let destroyed = runDestroyQueue()
    let released = runBarrierBatch()
    let reparented = runReparentQueue()
    let discarded = runDiscardQueue()
    let freed = runGroupFreeing()
    let tookBack = takeBackColdSheaves()
    guard
      fenced || destroyed || released || reparented || discarded || freed || tookBack
    else { return false }
    pointee.lifecycle.busyNanoseconds.add(
      Int(SystemCall.monotonicNanoseconds - start), ordering: .relaxed)
    return true
  }

  /// Does what waits for the workers at and below a group, as far as no other thread is at it: for somebody
  /// who needs the memory now. Bounded: see `takeBatch`. Holding no lock.
  func helpWorkers(below group: Pointer<Group>) {
    guard pointee.lifecycle.pending.load(ordering: .relaxed) > 0, group.hasEndings else { return }
    // A busy lock, so that fork waits for us as for them.
    for index in 0..<Workers.most where pointee.lifecycle.workers.busy[index].tryLock() {
      _ = runFenceBatch(below: group)
      _ = runDiscardQueue(below: group)
      pointee.lifecycle.workers.busy[index].unlock()
      return
    }
  }

  /// The life of a worker.
  private func runWorker(_ index: Int) {
    var looksWithoutWork = 0
    while true {
      if work(as: index) {
        looksWithoutWork = 0
      } else if pointee.lifecycle.workers.isStopping.load(ordering: .acquiring) {
        break
      } else {
        looksWithoutWork += 1
      }
      giveBackExcess(as: index)
      if looksWithoutWork < Workers.idleLooks {
        pauseWorker(nanoseconds: Workers.batchNanoseconds)
      } else {
        sleepUntilWoken()
        looksWithoutWork = 0
      }
    }
    pointee.lifecycle.workers.lock.lock()
    pointee.lifecycle.workers.running -= 1
    pointee.lifecycle.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
    // Signalled under the lock: whoever waits takes it before he unmaps us.
    pointee.lifecycle.workers.ended.signal()
    pointee.lifecycle.workers.lock.unlock()
  }

  func pauseWorker(nanoseconds: UInt64) {
    let ticket = pointee.lifecycle.workers.wake.prepare()
    if pointee.lifecycle.workers.isStopping.load(ordering: .acquiring) {
      pointee.lifecycle.workers.wake.cancel()
    } else {
      pointee.lifecycle.workers.wake.wait(ticket, nanoseconds: nanoseconds)
    }
  }

  private func sleepUntilWoken() {
    let ticket = pointee.lifecycle.workers.wake.prepare()
    pausePoint(.beforeSleeping)
    // Announced before the last look, as `notePending` counts before it looks at this.
    pointee.lifecycle.workers.awake.subtract(1, ordering: .sequentiallyConsistent)
    if pointee.lifecycle.pending.load(ordering: .sequentiallyConsistent) != 0
      || pointee.lifecycle.barrierBatch.isMarked.load(ordering: .sequentiallyConsistent)
      || pointee.pages.hasExcess.load(ordering: .sequentiallyConsistent)
      || pointee.coldSheaves.isWanted.load(ordering: .sequentiallyConsistent)
      || pointee.lifecycle.workers.isStopping.load(ordering: .acquiring)
    {
      pointee.lifecycle.workers.wake.cancel()
    } else {
      pointee.lifecycle.workers.wake.wait(ticket)
    }
    pointee.lifecycle.workers.awake.add(1, ordering: .sequentiallyConsistent)
  }

  /// Gives free pages back when they are more than is worth keeping.
  private func giveBackExcess(as index: Int) {
    guard pointee.pages.hasExcess.load(ordering: .relaxed) else { return }
    pointee.lifecycle.workers.busy[index].lock()
    defer { pointee.lifecycle.workers.busy[index].unlock() }
    giveBackExcessUnderBusyLock()
  }

  private func giveBackExcessUnderBusyLock() {
    guard pointee.pages.hasExcess.exchange(false, ordering: .relaxed) else { return }
    pages.giveBack(runsAtMost: Workers.runsGivenBackPerLook)
  }

  /// Holding no lock: waits until every worker that is at work now has finished its look.
  func waitForWorkersAtWork() {
    for index in 0..<Workers.most {
      pointee.lifecycle.workers.busy[index].lock()
      pointee.lifecycle.workers.busy[index].unlock()
    }
  }

  /// Ends the workers after the work that is there. Waits for them.
  func stopWorkers() {
    pointee.lifecycle.workers.isStopping.store(true, ordering: .releasing)
    while true {
      let ticket = pointee.lifecycle.workers.ended.prepare()
      pointee.lifecycle.workers.lock.lock()
      let running = pointee.lifecycle.workers.running
      pointee.lifecycle.workers.lock.unlock()
      if running == 0 {
        pointee.lifecycle.workers.ended.cancel()
        return
      }
      pointee.lifecycle.workers.wake.signal()
      pointee.lifecycle.workers.ended.wait(ticket, nanoseconds: Workers.batchNanoseconds)
    }
  }

  /// In a child of fork: the threads were the parent's.
  func forgetWorkers() {
    pointee.lifecycle.workers.running = 0
    pointee.lifecycle.workers.isMissing.store(false, ordering: .relaxed)
    pointee.lifecycle.workers.awake.store(0, ordering: .relaxed)
    pointee.lifecycle.workers.wake.resetAfterFork()
    pointee.lifecycle.workers.ended.resetAfterFork()
    pointee.lifecycle.drained.resetAfterFork()
    pointee.lifecycle.endingIsOver.resetAfterFork()
    pointee.lifecycle.rootIsReleased.resetAfterFork()
    pointee.lifecycle.shrinkerIsIdle.resetAfterFork()
    pointee.changedGroups.changed.resetAfterFork()
  }
}
