// A word that says which per-CPU counter is in use. Adding by it reads the word and changes the
// counter in one operation of the CPU layer, so that a fence ends all use of an older word.

public import CSlabPlatform
public import Synchronization

@usableFromInline
package struct CounterWord: ~Copyable {
  @usableFromInline let address = Atomic<UInt>(0)

  package init() {}

  /// The address of the counter's copy for slot 0.
  package var first: UInt {
    // Acquiring: pairs with the store below.
    address.load(ordering: .acquiring)
  }

  /// Changes the counter. Whoever adds to the new one sees what the caller did before.
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
  /// Adds one to the running slot's copy of a word's counter; the counter's copy for slot 0. After a
  /// fence nobody adds by an older word. Acquiring: who adds sees what was done before the change.
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
    case .lockedSlots:
      let slot = runningSlot
      slotLock(slot).pointee.lock()
      defer { slotLock(slot).pointee.unlock() }
      let first = word.pointee.first
      AtomicWord(at: address(first, onSlot: slot)).addReleasing(1)
      return first
    }
  }

  /// Adds one to the running slot's copy of the counter whose copy for slot 0 is at `first`. Releasing:
  /// who sees it in the sum sees what the caller did before.
  package func increment(at first: UInt) {
    switch mode {
    case .restartableSequences:
      PerCPUCounter.increment(at: first)
    case .lockedSlots:
      AtomicWord(at: address(first, onSlot: runningSlot)).addReleasing(1)
    }
  }
}
