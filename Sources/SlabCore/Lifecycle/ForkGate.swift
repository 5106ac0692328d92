// What fork waits for besides the locks. A thread that makes a slab or gives one back, or walks a
// list in pieces, has something in hand while it holds no lock: the charge of a slab that is not on
// a list yet, a dying cache that is not on the queue yet, a cursor on its stack. In a child such a
// thread does not exist, and what it had in hand would be lost.
//
// Things in hand are counted, under a lock that fork takes; so with all locks held nobody can begin,
// and if the count is 0 then, all is whole. If it is not, fork lets go of every lock of every allocator,
// without which the holders cannot finish, and tries again. So what is in hand is like a lock of its own,
// the outermost one: users' code runs inside it (callbacks, shrinkers, constructors), and may do there
// whatever takes locks, of any allocator; but it must not fork.
//
// To get there soon, fork asks operations to wait before they take anything. They hold no lock then,
// and a thread that has something in hand passes: fork waits for it. They wait with a bound, since a
// user's lock may be held meanwhile, for which a callback waits that fork waits for: half a second from
// the fork's begin, in which whoever has something in hand gets a CPU however many threads want one, and
// later for a moment each.

internal import SlabPlatform
internal import Synchronization

struct ForkGate: ~Copyable {
  /// Slabs, and walks in pieces.
  let inHand = Atomic<Int>(0)

  /// How long operations wait from the begin of a fork, and after that each of them.
  static var patienceNanoseconds: UInt64 { 500_000_000 }
  static var momentNanoseconds: UInt64 { 20_000_000 }
}

extension Pointer where Pointee == AllocatorState {
  /// Under a lock that fork takes: one thing more that outlives the lock. The thread that takes it puts
  /// it down.
  func takeInHand() {
    // Relaxed: the lock orders it before the fork's look.
    pointee.forkGate.inHand.add(1, ordering: .relaxed)
    Threads.addInHand(1)
  }

  /// The opposite, when all is on its list, its queue or gone.
  func putDown(_ count: Int = 1) {
    Threads.addInHand(-count)
    // Releasing: pairs with the acquiring load in `lockForFork`.
    pointee.forkGate.inHand.subtract(count, ordering: .releasing)
  }

  /// Holding no lock, before anything is taken in hand: lets a fork go first. One load while there is
  /// none.
  @inline(__always)
  func letForkGoFirst() {
    if ForkHandlers.isForking { ForkHandlers.waitForFork() }
  }

  /// Takes every lock, if nobody is at work and nobody has anything in hand. O(caches). Waits for locks
  /// that are held shortly, and for nothing else.
  func tryLockForFork() -> Bool {
    guard pointee.forkGate.inHand.load(ordering: .acquiring) == 0 else { return false }
    for index in 0..<Workers.most where !pointee.lifecycle.workers.busy[index].tryLock() {
      unlockBusy(count: index)
      return false
    }
    lockEverything()
    if pointee.forkGate.inHand.load(ordering: .acquiring) == 0 { return true }
    unlockEverything(inChild: false)
    unlockBusy(count: Workers.most)
    return false
  }

  func unlockAfterFork(inChild: Bool) {
    if inChild {
      forgetWorkers()
      forgetCallbackWorkers()
      inheritDeferredFrees()
    }
    unlockEverything(inChild: inChild)
    if inChild { resetReadersAfterFork() }
    unlockBusy(count: Workers.most)
  }

  private func unlockBusy(count: Int) {
    for index in 0..<count { pointee.lifecycle.workers.busy[index].unlock() }
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
  /// caches, which are used under locks.
  @inline(__always)
  func letForkGoFirst() {
    guard ForkHandlers.isForking else { return }
    // The root of a child that has ended may be gone.
    guard !isRoot || !pointee.root.pointee.isInternal else { return }
    ForkHandlers.waitForFork()
  }
}
