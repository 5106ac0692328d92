// SPDX-License-Identifier: Apache-2.0
// Read-side sections: sleepable RCU on per-CPU counters (the kernel's SRCU; McKenney, "Sleepable
// RCU", 2006; the barriers are on the waiting side alone as in SRCU-lite of Linux 6.12, here by
// membarrier). No thread is registered: a section is two additions, and may end on another thread
// than it began on.
//
//   block       8 counters per CPU:  0, 1  sections begun with index 0, 1
//                                    2, 3  sections ended with index 0, 1
//   word        the address of the `begun` counter that new sections use, on stripe 0
//
// A grace period (Readers+GracePeriod.swift) changes the index, so that it waits for a number of
// sections that only falls. A section ends with the index that it began with, which it carries.
//
// Invariants: the word is read and its counter increased in one sequence, so that after a fence no
// section begins by an older word. Outside a grace period the index that is not in use has as many
// ends as beginnings, and neither number changes.

public import SlabPlatform

/// A read-side section that is open. Passed to `endReading` exactly once, on any thread.
@usableFromInline @frozen
package struct ReaderSection: Sendable {
  /// The address of its `begun` counter on stripe 0; or, with `isTracked`, of its record.
  @usableFromInline package let word: UInt

  @inlinable @inline(__always)
  package init(word: UInt) { self.word = word }

  /// The sequences do not serve: locked stripes, or sections are tracked.
  @usableFromInline static var isSlow: UInt { 1 }
  static var isTracked: UInt { 2 }
  static var flags: UInt { 3 }
}

@usableFromInline
package struct Readers: ~Copyable {
  @usableFromInline var word = CounterWord()
  /// Constant after `begin`: whether the sequences do not serve, and whether sections have records.
  @usableFromInline var isSlow = false
  var isTracked = false
  /// A block of counters that is not in use. A child of fork needs another block, since sections of
  /// the parent's other threads will never end in the present one: a new one, or without memory this.
  var previousBlock: UInt = 0
  /// Records of open sections, if they are tracked.
  var tracking = ReaderTracking()

  init() {}

  /// Once, before any thread reads: blocks whose counters are zero.
  mutating func begin(blocks: (UInt, UInt), isSlow: Bool, isTracked: Bool) {
    previousBlock = blocks.1
    self.isSlow = isSlow
    self.isTracked = isTracked
    word.change(to: blocks.0)
  }

  /// From a `begun` counter to its `ended` one.
  @usableFromInline static var endedOffset: UInt { 16 }
  /// The bit of the word that is the index: blocks are aligned to 64.
  static var indexBit: UInt { 8 }
}

extension Pointer where Pointee: HasReaders & ~Copyable {
  /// Begins a read-side section: until it ends, no grace period that begins from now on is over, and
  /// so no object of a type-safe cache that is found in it turns into anything else. Two loads and
  /// one restartable sequence, or with locked stripes a short lock. Sections nest, may suspend, and may end on another
  /// thread. Charged to no group. A child of fork is in no section: what its parent found in one, it may
  /// not use.
  ///
  /// What is read in a section is ordered after its beginning towards threads that wait for grace
  /// periods, not towards other threads: pointers are loaded with acquire ordering as everywhere.
  ///
  /// - Parameters:
  ///   - suspends: whether it may end on another thread; only for tracking.
  @inlinable @inline(__always)
  package func beginReading(
    suspends: Bool = false, file: StaticString = #fileID, line: UInt32 = #line
  ) -> ReaderSection {
    guard _fastPath(!readers.pointee.isSlow) else {
      return readersState.beginReadingSlow(suspends: suspends, file: file, line: line)
    }
    let begun = PerCPUCounter.increment(by: Pointer<CounterWord>(of: &readers.pointee.word))
    guard begun != 0 else {
      return readersState.beginReadingSlow(suspends: suspends, file: file, line: line)
    }
    return ReaderSection(word: begun)
  }

  /// Ends a read-side section. One restartable sequence. Ending a section twice is a broken contract:
  /// a grace period that sees it ends the process.
  @inlinable @inline(__always)
  package func endReading(_ section: ReaderSection) {
    guard _fastPath(section.word & ReaderSection.isSlow == 0) else {
      return readersState.endReadingSlow(section)
    }
    // Unchecked: an address in the region, of which there is more behind it.
    PerCPUCounter.increment(at: section.word &+ Readers.endedOffset)
  }
}

// Not for every state: a caller in another module would pass which one it is.
extension Pointer where Pointee == ReadersState {
  @usableFromInline @inline(never)
  package func beginReadingSlow(
    suspends: Bool, file: StaticString, line: UInt32
  ) -> ReaderSection {
    let begun = region.pointee.increment(by: Pointer<CounterWord>(of: &readers.pointee.word))
    if readers.pointee.isTracked,
      let record = track(begun: begun, suspends: suspends, file: file, line: line)
    {
      return ReaderSection(word: record | ReaderSection.flags)
    }
    return ReaderSection(word: begun | ReaderSection.isSlow)
  }

  @usableFromInline @inline(never)
  package func endReadingSlow(_ section: ReaderSection) {
    var begun = section.word & ~ReaderSection.flags
    if section.word & ReaderSection.isTracked != 0 {
      begun = untrack(record: section.word & ~ReaderSection.flags)
    }
    region.pointee.increment(at: begun + Readers.endedOffset)
  }
}
