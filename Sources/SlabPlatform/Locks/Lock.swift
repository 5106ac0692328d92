// SPDX-License-Identifier: Apache-2.0
// The allocator's lock: a futex word. It stands in descriptors, needs no allocation, is taken by
// compare-and-swap in user space (so ThreadSanitizer sees it) and, unlike `Synchronization.Mutex`, holds
// no id of the kernel's, so that a child of fork() can release what its parent's thread took before the
// fork: the identity of the one thread that goes on in the child is the same.
//
//   0                free
//   identity         held, no thread waits
//   identity | 1     held, a thread may wait in the kernel
//
// In debug builds five more bits, which never change, are the height of the lock's rank (LockRank.swift): it costs
// no space in descriptors whose layout is the same in both builds.
//
// A thread that begins to wait looks which thread holds the lock. If it is its own the thread would wait for ever: it
// is in a signal handler, most likely, that interrupted a slow path. The identity is cut to 30 bits, so
// another thread's may look the same: only after seconds without a change the process ends.
//
// A lock may stand in memory that is given away right after its last unlock: the unlocking thread
// touches the word once, by the exchange, and afterwards only passes its address to the kernel.

public import CSlabPlatform
public import Synchronization

@usableFromInline @frozen
package struct Lock: ~Copyable {
  @usableFromInline let state: Atomic<UInt32>

  @inlinable @inline(__always)
  package init(_ rank: LockRank) {
    #if DEBUG
      state = Atomic(rank.height << 1)
    #else
      state = Atomic(0)
    #endif
  }

  /// A lock outside of the order, under which users' code may run. Memory that is all zeros is one, too.
  @inlinable @inline(__always)
  package init(outsideOfTheOrder: Void) {
    state = Atomic(0)
  }

  /// How often a waiter looks again before it sleeps: the critical sections are shorter than a
  /// system call.
  private static var spins: Int { 100 }
  /// How long a thread waits for itself before the process ends.
  private static var timeout: UInt64 { 1_000_000_000 }
  private static var timeoutsOfADeadlock: Int { 2 }

  /// A part of the identity of the calling thread. Never 0; the lowest bit is 0.
  @inlinable @inline(__always)
  static var own: UInt32 {
    UInt32(truncatingIfNeeded: UInt(slab_thread_identity()) >> 5) & ~(rankBits | 1) | 1 << 31
  }

  #if DEBUG
    @usableFromInline static var rankBits: UInt32 { 0b111110 }
    /// What the word is while the lock is free.
    @usableFromInline var free: UInt32 { state.load(ordering: .relaxed) & Self.rankBits }
    @usableFromInline var height: UInt32 { free >> 1 }

    /// Whether the running thread holds it, as far as its identity tells.
    @usableFromInline var isOwn: Bool {
      state.load(ordering: .relaxed) & ~(Self.rankBits | 1) == Self.own
    }

    /// A lock that the thread holds itself is left to `lockSlow`.
    @usableFromInline borrowing func checkOrder() {
      if !isOwn { HeldLocks.check(height) }
    }
  #else
    @inlinable @inline(__always)
    static var rankBits: UInt32 { 0 }
    @inlinable @inline(__always)
    var free: UInt32 { 0 }
  #endif

  /// Takes the lock; waits for its holder. Not recursive.
  @inlinable @inline(__always)
  package borrowing func lock() {
    #if DEBUG
      checkOrder()
    #endif
    if !exchange(free, to: Self.own | free) { lockSlow() }
    #if DEBUG
      HeldLocks.add(1, height)
    #endif
  }

  /// Takes the lock if it is free. It waits for no thread, but the order is the same: the holder goes on to take
  /// others.
  @inlinable @inline(__always)
  package borrowing func tryLock() -> Bool {
    guard exchange(free, to: Self.own | free) else { return false }
    #if DEBUG
      HeldLocks.check(height)
      HeldLocks.add(1, height)
    #endif
    return true
  }

  @usableFromInline @inline(never)
  borrowing func lockSlow() {
    for _ in 0..<Self.spins {
      if state.load(ordering: .relaxed) == free, exchange(free, to: Self.own | free) { return }
      slab_pause()
    }
    // From here on the lowest bit is left set: another waiter may be asleep, and one wake-up too many
    // costs less than one too few.
    var timeouts = 0
    while true {
      let seen = state.load(ordering: .relaxed)
      if seen == free {
        if exchange(free, to: Self.own | free | 1) { return }
      } else if seen & 1 != 0 || exchange(seen, to: seen | 1) {
        timeouts = wait(for: seen | 1) ? timeouts + 1 : 0
        if timeouts == Self.timeoutsOfADeadlock {
          fatal("lock: a signal handler allocates or frees (deadlock)")
        }
      }
    }
  }

  @inlinable @inline(__always)
  borrowing func exchange(_ expected: UInt32, to desired: UInt32) -> Bool {
    // Acquiring: pairs with the releasing exchange in `unlock`.
    state.compareExchange(
      expected: expected, desired: desired, successOrdering: .acquiring, failureOrdering: .relaxed
    ).exchanged
  }

  /// Sleeps until the lock is given back; with a timeout if its holder seems to be this thread. True if that
  /// was over.
  private borrowing func wait(for holder: UInt32) -> Bool {
    let isOwn = holder & ~(Self.rankBits | 1) == Self.own
    do throws(Errno) {
      try SystemCall.futexWait(
        at: wordAddress, expecting: holder, nanoseconds: isOwn ? Self.timeout : 0)
      return false
    } catch {
      // EAGAIN (the word changed), EINTR and a spurious return all mean: look again.
      return isOwn && error == .timedOut
    }
  }

  /// Releases the lock.
  @inlinable @inline(__always)
  package borrowing func unlock() {
    let address = wordAddress
    #if DEBUG
      HeldLocks.add(-1, height)
    #endif
    // Releasing: pairs with the acquiring operation in `exchange`.
    if state.exchange(free, ordering: .releasing) & 1 != 0 { Self.wakeOne(address) }
  }

  /// In a child of fork: makes a lock free whose holder, another thread of the parent, is gone. Only
  /// for locks that guard nothing but time.
  package borrowing func resetAfterFork() { state.store(free, ordering: .releasing) }

  @usableFromInline @inline(never)
  static func wakeOne(_ address: UInt) { try? SystemCall.futexWake(at: address, count: 1) }

  @inlinable @inline(__always)
  var wordAddress: UInt {
    // SAFETY: only used as a futex key; an atomic has a stable address.
    unsafe withUnsafePointer(to: self) { UInt(bitPattern: $0) }
  }
}
