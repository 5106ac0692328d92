// SPDX-License-Identifier: Apache-2.0
// What fork waits for besides the locks. A thread that makes a slab or gives one back, or walks a
// list in pieces, has something in hand while it holds no lock: the charge of a slab that is not on
// a list yet, a dying cache that is not on the queue yet, a cursor on its stack. In a child such a
// thread does not exist, and what it had in hand would be lost.
//
// Things in hand are counted under a lock that fork takes. So with all locks held no thread can begin,
// and if the count is 0 then, all is whole. If it is not, fork lets go of every lock of every allocator,
// without which the holders cannot finish, and tries again. So what is in hand is like a lock of its own,
// the outermost one: users' code runs inside it (callbacks, shrinkers, constructors), and may do there
// whatever takes locks, of any allocator; but it must not fork.
//
// To get there soon, fork asks operations to wait before they take anything. They hold no lock then,
// and a thread that has something in hand passes: fork waits for it. They wait with a bound, since a
// user's lock may be held meanwhile, for which a callback waits that fork waits for: half a second from
// the fork's begin, in which a thread that has something in hand gets a CPU however many threads want one, and
// later for a moment each.

internal import SlabPlatform
internal import Synchronization

struct ForkGate: ~Copyable {
  /// Slabs, and walks in pieces.
  let inHand = Atomic<Int>(0)

  /// How long operations wait from the begin of a fork, and after that each of them.
  private static var patienceNanoseconds: UInt64 { 500_000_000 }
  private static var momentNanoseconds: UInt64 { 20_000_000 }
}

/// The forks of the process.
extension ForkGate {
  /// Threads that wait to fork, or do.
  private static let forks = Atomic<Int>(0)
  /// When the first of them began to wait, by the monotonic clock.
  private static let since = Atomic<UInt64>(0)
  /// Signalled when a fork is over.
  private static let over = EventCount()

  /// How long a fork sleeps between two looks. It does not yield: where threads outnumber CPUs, a thread
  /// that yields goes behind them all, and one that wakes up goes before them.
  private static var lookNanoseconds: UInt64 { 20_000 }

  @inline(__always)
  static var isForking: Bool { forks.load(ordering: .relaxed) != 0 }

  /// Whether a fork waits that began a short while ago: what can wait is left for it.
  static var isForkingSoon: Bool {
    isForking
      && SystemCall.monotonicNanoseconds < since.load(ordering: .relaxed) + patienceNanoseconds
  }

  /// Holding no lock: lets forks go first, unless one of them waits for this thread. With a bound.
  @inline(never)
  static func waitForFork() {
    guard Threads.thingsInHand == 0 else { return }
    let deadline = max(
      since.load(ordering: .relaxed) + patienceNanoseconds,
      SystemCall.monotonicNanoseconds + momentNanoseconds)
    while true {
      let ticket = over.prepare()
      let now = SystemCall.monotonicNanoseconds
      guard isForking, now < deadline else { return over.cancel() }
      over.wait(ticket, nanoseconds: deadline - now)
    }
  }

  /// By a thread that is about to fork: from here on operations let it go first.
  static func beginFork() {
    // Relaxed: a thread that sees the one without the other waits for a moment.
    if forks.load(ordering: .relaxed) == 0 {
      since.store(SystemCall.monotonicNanoseconds, ordering: .relaxed)
    }
    forks.add(1, ordering: .relaxed)
  }

  /// The pause before a fork looks again.
  static func pauseBetweenLooks() {
    let ticket = over.prepare()
    over.wait(ticket, nanoseconds: lookNanoseconds)
  }

  static func endFork(inChild: Bool) {
    guard inChild else {
      forks.subtract(1, ordering: .relaxed)
      return over.signal()
    }
    // Other threads that were about to fork are the parent's.
    forks.store(0, ordering: .relaxed)
    over.resetAfterFork()
  }
}

extension Pointer where Pointee: HasBase & ~Copyable {
  /// Takes more things in hand, which outlive the lock. The same thread puts them down.
  func takeInHand<Class: LockClassOfFork>(_ count: Int = 1, under lock: borrowing Held<Class>) {
    // Relaxed: the lock orders it before the fork's look.
    base.pointee.forkGate.inHand.add(count, ordering: .relaxed)
    Threads.addInHand(count)
  }

  /// Puts things down that are on their list or queue by now, or gone.
  func putDown(_ count: Int = 1) {
    Threads.addInHand(-count)
    // Releasing: pairs with the acquiring load in `lockForFork`.
    base.pointee.forkGate.inHand.subtract(count, ordering: .releasing)
  }

  /// Holding no lock, before anything is taken in hand: lets a fork go first. One load while there is
  /// none.
  @inline(__always)
  func letForkGoFirst() {
    HeldLocks.expectNone(below: .inHand, "waiting for a fork")
    if ForkGate.isForking { ForkGate.waitForFork() }
  }
}
