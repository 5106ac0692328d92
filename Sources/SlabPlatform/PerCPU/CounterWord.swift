// SPDX-License-Identifier: Apache-2.0
// A word that says which per-CPU counter is in use. Adding by it reads the word and changes the
// counter in one operation of the CPU layer, so that a fence ends all use of an older word.

public import CSlabPlatform
public import Synchronization

@usableFromInline
package struct CounterWord: ~Copyable {
  @usableFromInline let address = Atomic<UInt>(0)

  package init() {}

  /// The address of the counter's copy for stripe 0.
  package var first: UInt {
    // Acquiring: pairs with the store below.
    address.load(ordering: .acquiring)
  }

  /// Changes the counter. A thread that adds to the new one sees what the caller did before.
  package func change(to first: UInt) { address.store(first, ordering: .releasing) }
}

/// A counter that every CPU has its copy of, changed by one restartable sequence. Only where sequences
/// are in use.
@usableFromInline
package enum PerCPUCounter {
  /// Adds one to the running CPU's copy of the counter whose copy for CPU 0 is at `first`. Releasing.
  @inlinable @inline(__always)
  package static func increment(at first: UInt) { slab_counter_add(first, 1) }

  /// Adds one to the running CPU's copy of a word's counter; the counter's copy for CPU 0, or 0 if the
  /// sequence was restarted, and nothing has been added. Acquiring.
  @inlinable @inline(__always)
  package static func increment(by word: Pointer<CounterWord>) -> UInt {
    // SAFETY: the word is a field of a descriptor in mapped memory.
    unsafe slab_counter_begin(UnsafeRawPointer(bitPattern: word.address))
  }
}

extension PerCPURegion {
  /// Adds one to the running stripe's copy of a word's counter; the counter's copy for stripe 0. After a
  /// fence no thread adds by an older word. Acquiring: a thread that adds sees what was done before the change.
  package func increment(by word: Pointer<CounterWord>) -> UInt {
    switch mode {
    case .restartableSequences:
      let first = PerCPUCounter.increment(by: word)
      if first != 0 { return first }
      sharedLock.pointee.lock()
      defer { sharedLock.pointee.unlock() }
      let shared = word.pointee.first
      AtomicWord(at: sharedAddress(shared)).addReleasing(1)
      return shared
    case .lockedStripes:
      let stripe = runningStripe
      stripeLock(stripe).pointee.lock()
      defer { stripeLock(stripe).pointee.unlock() }
      let first = word.pointee.first
      AtomicWord(at: address(first, onStripe: stripe)).addReleasing(1)
      return first
    }
  }

  /// Adds one to the running stripe's copy of the counter whose copy for stripe 0 is at `first`. Releasing:
  /// a thread that sees it in the sum sees what the caller did before.
  package func increment(at first: UInt) {
    switch mode {
    case .restartableSequences:
      PerCPUCounter.increment(at: first)
    case .lockedStripes:
      AtomicWord(at: address(first, onStripe: runningStripe)).addReleasing(1)
    }
  }
}
