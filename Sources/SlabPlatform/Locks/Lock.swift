// The allocator's lock: a futex word with three values. It stands in descriptors, needs no
// allocation, is taken by compare-and-swap in user space (so ThreadSanitizer sees it) and, unlike
// `Synchronization.Mutex`, holds no thread id, so that a child of fork() can release what its
// parent's thread took before the fork.
//
//   0  free
//   1  held, nobody waits
//   2  held, somebody may wait in the kernel
//
// A lock may stand in memory that is given away right after its last unlock: the unlocking thread
// touches the word once, by the exchange, and afterwards only passes its address to the kernel.

internal import CSlabPlatform
public import Synchronization

@usableFromInline @frozen
package struct Lock: ~Copyable {
  @usableFromInline let state: Atomic<UInt32>

  @inlinable @inline(__always)
  package init() { state = Atomic(0) }

  /// How often a waiter looks again before it sleeps: the critical sections are shorter than a
  /// system call.
  private static var spins: Int { 100 }

  /// Takes the lock; waits for its holder. Not recursive.
  @inlinable @inline(__always)
  package borrowing func lock() {
    // Acquiring: pairs with the releasing exchange in `unlock`.
    if state.compareExchange(
      expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed
    ).exchanged {
      return
    }
    lockSlow()
  }

  /// Takes the lock if it is free.
  @inlinable @inline(__always)
  package borrowing func tryLock() -> Bool {
    state.compareExchange(
      expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed
    ).exchanged
  }

  @usableFromInline @inline(never)
  borrowing func lockSlow() {
    for _ in 0..<Self.spins {
      if state.load(ordering: .relaxed) == 0, tryLock() { return }
      slab_pause()
    }
    // From here on the word is left at 2: another waiter may be asleep, and one wake-up too many
    // costs less than one too few.
    while state.exchange(2, ordering: .acquiring) != 0 {
      // EAGAIN (the word changed), EINTR and a spurious return all mean: look again.
      try? SystemCall.futexWait(at: wordAddress, expecting: 2)
    }
  }

  /// Releases the lock.
  @inlinable @inline(__always)
  package borrowing func unlock() {
    let address = wordAddress
    // Releasing: pairs with the acquiring operations in `lock` and `lockSlow`.
    if state.exchange(0, ordering: .releasing) == 2 { Self.wakeOne(address) }
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
