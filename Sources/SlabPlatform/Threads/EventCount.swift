// SPDX-License-Identifier: Apache-2.0
// A counter to sleep on: the worker's and the waiters' wake-up.

internal import CSlabPlatform
internal import Synchronization

/// A word that changes with every event and wakes the threads that sleep on it.
///
/// The word has 32 bits, as a futex has, and wraps: it only says that something has happened. A sleeper
/// would miss an event if exactly 2^32 came between `prepare` and `wait`. `sleepers` is at most the number
/// of threads, which the kernel keeps below 2^22.
package struct EventCount: ~Copyable {
  private let value: Atomic<UInt32>
  private let sleepers: Atomic<UInt32>

  package init() { self.init(startingAt: 0) }

  /// For tests: an event count that is old.
  package init(startingAt start: UInt32) {
    value = Atomic(start)
    sleepers = Atomic(0)
  }

  /// What to pass to `wait`; read it before looking at the condition that is waited for.
  package borrowing func prepare() -> UInt32 {
    // Announce first: pairs with the sequentially consistent pair in `signal`. Without it the
    // signaller could see no sleeper, and the sleeper the old condition.
    sleepers.add(1, ordering: .sequentiallyConsistent)
    return value.load(ordering: .sequentiallyConsistent)
  }

  /// Ends a `prepare` without sleeping.
  package borrowing func cancel() { sleepers.subtract(1, ordering: .relaxed) }

  /// Sleeps until the next `signal` after `ticket` was read, or the time is over (0: none).
  package borrowing func wait(_ ticket: UInt32, nanoseconds: UInt64 = 0) {
    // Every error means: look at the condition again.
    try? SystemCall.futexWait(at: wordAddress, expecting: ticket, nanoseconds: nanoseconds)
    sleepers.subtract(1, ordering: .relaxed)
  }

  /// Wakes all that sleep. Without a sleeper it costs one atomic addition and a load.
  package borrowing func signal() {
    value.wrappingAdd(1, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) != 0 {
      try? SystemCall.futexWake(at: wordAddress, count: .max)
    }
  }

  /// In a child of fork: the sleepers were the parent's.
  package borrowing func resetAfterFork() { sleepers.store(0, ordering: .relaxed) }

  private var wordAddress: UInt {
    // SAFETY: only used as a futex key; `value` is the first field and has a stable address.
    unsafe withUnsafePointer(to: self) { UInt(bitPattern: $0) }
  }
}
