// The allocator's lock: a futex word. It stands in descriptors, needs no allocation, is taken by
// compare-and-swap in user space (so ThreadSanitizer sees it) and, unlike `Synchronization.Mutex`, holds
// no id of the kernel's, so that a child of fork() can release what its parent's thread took before the
// fork: the identity of the one thread that goes on in the child is the same.
//
//   0                free
//   identity         held, nobody waits
//   identity | 1     held, somebody may wait in the kernel
//
// A thread that begins to wait looks whose the lock is. If it is its own the thread would wait for ever: it
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
  package init() { state = Atomic(0) }

  /// How often a waiter looks again before it sleeps: the critical sections are shorter than a
  /// system call.
  private static var spins: Int { 100 }
  /// How long a thread waits for itself before the process ends.
  private static var timeout: UInt64 { 1_000_000_000 }
  private static var timeoutsOfADeadlock: Int { 2 }

  /// A part of the identity of the calling thread. Never 0; the lowest bit is 0.
  @inlinable @inline(__always)
  static var own: UInt32 {
    UInt32(truncatingIfNeeded: UInt(slab_thread_identity()) >> 5) & ~1 | 1 << 31
  }

  /// Takes the lock; waits for its holder. Not recursive.
  @inlinable @inline(__always)
  package borrowing func lock() {
    if !tryLock() { lockSlow() }
  }

  /// Takes the lock if it is free.
  @inlinable @inline(__always)
  package borrowing func tryLock() -> Bool {
    // Acquiring: pairs with the releasing exchange in `unlock`.
    state.compareExchange(
      expected: 0, desired: Self.own, successOrdering: .acquiring, failureOrdering: .relaxed
    ).exchanged
  }

  @usableFromInline @inline(never)
  borrowing func lockSlow() {
    for _ in 0..<Self.spins {
      if state.load(ordering: .relaxed) == 0, tryLock() { return }
      slab_pause()
    }
    // From here on the lowest bit is left set: another waiter may be asleep, and one wake-up too many
    // costs less than one too few.
    var timeouts = 0
    while true {
      let seen = state.load(ordering: .relaxed)
      if seen == 0 {
        if exchange(0, to: Self.own | 1) { return }
      } else if seen & 1 != 0 || exchange(seen, to: seen | 1) {
        timeouts = wait(for: seen & ~1) ? timeouts + 1 : 0
        if timeouts == Self.timeoutsOfADeadlock {
          fatal("lock: a signal handler allocates or frees (deadlock)")
        }
      }
    }
  }

  private borrowing func exchange(_ expected: UInt32, to desired: UInt32) -> Bool {
    // Acquiring: as in `tryLock`.
    state.compareExchange(
      expected: expected, desired: desired, successOrdering: .acquiring, failureOrdering: .relaxed
    ).exchanged
  }

  /// Sleeps until the lock is given back; with a timeout if its holder seems to be this thread. True if that
  /// was over.
  private borrowing func wait(for holder: UInt32) -> Bool {
    let isOwn = holder == Self.own
    do throws(Errno) {
      try SystemCall.futexWait(
        at: wordAddress, expecting: holder | 1, nanoseconds: isOwn ? Self.timeout : 0)
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
    // Releasing: pairs with the acquiring operations in `lock` and `lockSlow`.
    if state.exchange(0, ordering: .releasing) & 1 != 0 { Self.wakeOne(address) }
  }

  /// In a child of fork: makes a lock free whose holder, another thread of the parent, is gone. Only
  /// for locks that guard nothing but time.
  package borrowing func resetAfterFork() { state.store(0, ordering: .releasing) }

  @usableFromInline @inline(never)
  static func wakeOne(_ address: UInt) { try? SystemCall.futexWake(at: address, count: 1) }

  @inlinable @inline(__always)
  var wordAddress: UInt {
    // SAFETY: only used as a futex key; an atomic has a stable address.
    unsafe withUnsafePointer(to: self) { UInt(bitPattern: $0) }
  }
}
