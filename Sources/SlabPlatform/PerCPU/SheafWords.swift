// SPDX-License-Identifier: Apache-2.0
// The two words of a cache that say where its sheaf is. Both have the format of percpu.h, 0 for
// "closed". The restartable sequences read the first, the locked stripes the second, and a cache has
// at most one of them set: so the fast path needs no test of the mode, in the wrong mode it misses.

public import CSlabPlatform
public import Synchronization

@usableFromInline @frozen
package struct SheafWords: ~Copyable {
  /// For restartable sequences. First, so that its address is the cache's.
  @usableFromInline let sequenced: Atomic<UInt64>
  /// For locked stripes; read under the stripe's lock.
  @usableFromInline let locked: Atomic<UInt64>

  @inlinable @inline(__always)
  package init() {
    sequenced = Atomic(0)
    locked = Atomic(0)
  }

  /// Opens the sheaf that begins at `first` on stripe 0, or closes it with 0. Returns the old value.
  package borrowing func exchange(
    _ word: SheafWord, mode: PerCPUMode
  ) -> SheafWord {
    // Releasing: a sequence that reads the word finds the sheaf's memory empty, as its maker left
    // it. The fence is its partner in the other direction, see `PerCPURegion.fence`.
    switch mode {
    case .restartableSequences:
      SheafWord(rawValue: sequenced.exchange(word.rawValue, ordering: .acquiringAndReleasing))
    case .lockedStripes:
      SheafWord(rawValue: locked.exchange(word.rawValue, ordering: .acquiringAndReleasing))
    }
  }

  /// The present word.
  @inlinable @inline(__always)
  package borrowing func load(mode: PerCPUMode) -> SheafWord {
    switch mode {
    case .restartableSequences: SheafWord(rawValue: sequenced.load(ordering: .acquiring))
    case .lockedStripes: SheafWord(rawValue: locked.load(ordering: .acquiring))
    }
  }
}

/// A sheaf's place and capacity in one word: first << 16 | 8 * capacity.
@usableFromInline @frozen
package struct SheafWord: Equatable, Sendable {
  @usableFromInline package let rawValue: UInt64

  @inlinable @inline(__always)
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  package init(first: UInt, capacity: Int) {
    rawValue = UInt64(first) << 16 | UInt64(capacity * 8)
  }

  @inlinable @inline(__always)
  package static var closed: SheafWord { SheafWord(rawValue: 0) }

  @inlinable @inline(__always)
  package var isClosed: Bool { rawValue == 0 }
  /// Where the sheaf is on stripe 0.
  @inlinable @inline(__always)
  package var first: UInt { UInt(rawValue >> 16) }
  /// In objects.
  @inlinable @inline(__always)
  package var capacity: Int { Int(rawValue & 0xffff) / 8 }
}

/// The fast path: one restartable sequence each, tried once. A restart is answered like an empty or full
/// sheaf; the slow paths ask again, patiently (`PerCPURegion`).
///
/// `words` is the address of a cache's `SheafWords`.
@usableFromInline
package enum Sheaf {
  /// Takes an object from the running CPU's sheaf; 0 if it is empty, closed or not sequenced.
  @inlinable @inline(__always)
  package static func pop(_ words: UInt) -> UInt {
    // SAFETY: the address of the words of a live cache; the sequence checks everything else.
    unsafe slab_sheaf_pop(UnsafeRawPointer(bitPattern: words))
  }

  /// What became of a push.
  @usableFromInline @frozen
  package enum Push {
    case done, full, doubleFree

    @inlinable @inline(__always)
    init(_ answer: Int32) {
      switch answer {
      case 0: self = .done
      case 1: self = .full
      default: self = .doubleFree
      }
    }
  }

  /// Puts an object on the running CPU's sheaf.
  @inlinable @inline(__always)
  package static func push(_ words: UInt, _ object: UInt) -> Push {
    // SAFETY: as in `pop`.
    unsafe Push(slab_sheaf_push(UnsafeRawPointer(bitPattern: words), object))
  }
}
