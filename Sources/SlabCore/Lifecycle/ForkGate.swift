// What fork waits for besides the locks. A thread that makes a slab or gives one back, or walks a
// list in pieces, has something in hand while it holds no lock: the charge of a slab that is not on
// a list yet, a dying cache that is not on the queue yet, a cursor on its stack. In a child such a
// thread does not exist, and what it had in hand would be lost.
//
// Things in hand are counted, under a lock that fork takes; so with all locks held nobody can begin,
// and if the count is 0 then, all is whole. If it is not, fork lets go of the locks, without which
// the holders cannot finish, and tries again. To get there soon it asks slow operations to wait
// before they take anything: they hold no lock then. They wait with a bound, since a constructor,
// which runs with a slab in hand, may be such an operation too. A constructor must not fork.

internal import SlabPlatform
internal import Synchronization

struct ForkGate: ~Copyable {
  /// Slabs, and walks in pieces.
  let inHand = Atomic<Int>(0)
  /// Set while a fork waits or goes on.
  let isForking = Atomic<Bool>(false)
  /// Signalled when the fork is over.
  let over = EventCount()

  /// How often a slow operation waits for a millisecond at most.
  static var waits: Int { 20 }
  static var waitNanoseconds: UInt64 { 1_000_000 }
  /// Between two looks of the fork.
  static var lookNanoseconds: UInt64 { 20_000 }
}

extension Pointer where Pointee == AllocatorState {
  /// Under a lock that fork takes: one thing more that outlives the lock.
  func takeInHand() {
    // Relaxed: the lock orders it before the fork's look.
    pointee.forkGate.inHand.add(1, ordering: .relaxed)
  }

  /// The opposite, when all is on its list, its queue or gone.
  func putDown(_ count: Int = 1) {
    // Releasing: pairs with the acquiring load in `lockForFork`.
    pointee.forkGate.inHand.subtract(count, ordering: .releasing)
  }

  @inline(__always)
  var isForking: Bool { pointee.forkGate.isForking.load(ordering: .relaxed) }

  /// Holding no lock: lets a fork go first.
  func waitForFork() {
    for _ in 0..<ForkGate.waits {
      let ticket = pointee.forkGate.over.prepare()
      guard pointee.forkGate.isForking.load(ordering: .relaxed) else {
        pointee.forkGate.over.cancel()
        return
      }
      pointee.forkGate.over.wait(ticket, nanoseconds: ForkGate.waitNanoseconds)
    }
  }

  /// Takes every lock at a moment at which nobody has anything in hand. O(caches).
  func lockForFork() {
    guard !isInCallback else { fatal("fork: called from a callback (deadlock)") }
    for index in 0..<Workers.most { pointee.lifecycle.workers.busy[index].lock() }
    pointee.forkGate.isForking.store(true, ordering: .relaxed)
    while true {
      if pointee.forkGate.inHand.load(ordering: .acquiring) == 0 {
        lockEverything()
        if pointee.forkGate.inHand.load(ordering: .acquiring) == 0 { return }
        unlockEverything(inChild: false)
      }
      let ticket = pointee.forkGate.over.prepare()
      pointee.forkGate.over.wait(ticket, nanoseconds: ForkGate.lookNanoseconds)
    }
  }

  func unlockAfterFork(inChild: Bool) {
    if inChild {
      forgetWorkers()
      forgetCallbackWorkers()
      inheritDeferredFrees()
    }
    unlockEverything(inChild: inChild)
    if inChild { resetReadersAfterFork() }
    for index in 0..<Workers.most { pointee.lifecycle.workers.busy[index].unlock() }
    pointee.forkGate.isForking.store(false, ordering: .relaxed)
    if inChild { pointee.forkGate.over.resetAfterFork() } else { pointee.forkGate.over.signal() }
  }

  /// In the lock order.
  private func lockEverything() {
    pointee.lifecycle.groupLock.lock()
    pointee.callbacks.deferred.lock.lock()
    pointee.callbacks.barrier.lock.lock()
    pointee.registry.lock.lock()
    forEachCache { $0.pointee.lock.lock() }
    pointee.lifecycle.workers.lock.lock()
    for index in 0..<pointee.callbacks.queueCount { callbackQueue(index).pointee.lock.lock() }
    pointee.callbacks.workers.lock.lock()
    pointee.readers.tracking.lock.lock()
    pointee.pages.lock.lock()
    pointee.region.prepareForFork()
  }

  private func unlockEverything(inChild: Bool) {
    pointee.region.resumeAfterFork(inChild: inChild)
    pointee.pages.lock.unlock()
    pointee.readers.tracking.lock.unlock()
    pointee.callbacks.workers.lock.unlock()
    for index in 0..<pointee.callbacks.queueCount { callbackQueue(index).pointee.lock.unlock() }
    pointee.lifecycle.workers.lock.unlock()
    forEachCache { $0.pointee.lock.unlock() }
    pointee.registry.lock.unlock()
    pointee.callbacks.barrier.lock.unlock()
    pointee.callbacks.deferred.lock.unlock()
    pointee.lifecycle.groupLock.unlock()
  }
}

extension Pointer where Pointee == Cache {
  /// Holding no lock, at the start of a slow operation: lets a fork go first. Not in the core's own
  /// caches, which are used with something in hand.
  @inline(never)
  func yieldToFork() {
    // The root of a child that has ended may be gone.
    guard !isRoot || !pointee.root.pointee.isInternal else { return }
    pointee.allocator.waitForFork()
  }
}
