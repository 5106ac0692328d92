// A grace period: every read-side section that was open at its beginning has ended at its end.
//
//   1  stragglers   wait until the index that is not in use has no section: a thread may have read
//                   the word long ago and begun only now
//   2  flip         new sections use that index from now on
//   3  wait         until the other index, whose sections get fewer now, has none
//
// If step 1 finds no section of either index, nothing is left to wait for, and the index stays.
//
// "Has none" is three steps: sum `ended` over the CPUs; order; sum `begun`; equal. The order, one
// membarrier, does all of this:
//   - a section whose end was counted has its beginning counted as well, on whatever CPU that was;
//     without it the two sums could be equal while another section is open
//   - a section whose beginning is not counted began after it, and so sees everything that the
//     caller did before the grace period; without it the section might hold an object that the
//     caller has unpublished, and nobody would wait for it
//   - what a counted section read, it read before it; without it the caller could reuse memory
//     under a load that has not been done
// So a grace period costs two membarriers, or one if nobody reads, and none between flip and wait: a
// section that misses the flip is counted where the wait looks.
//
// One grace period at a time, by whoever needs it, under `gate`. The sequence is even while none is
// going on; a cookie is the value at which one that began after the cookie was made is over.

internal import SlabPlatform
internal import Synchronization

struct GracePeriodSequence: ~Copyable {
  let value = Atomic<UInt64>(0)
  /// Held during a grace period.
  let gate = Lock()
  /// Nobody signals it: a way to sleep.
  let pause = EventCount()
  /// Grace periods that this thread or that had to sleep for, and reports of stalls; for statistics.
  let stalls = Atomic<Int>(0)

  static var spins: Int { 200 }
  static var flipLooks: Int { 10 }
  static var flipPauses: Int { 4 }
  static var yields: Int { 20 }
  static var shortestPause: UInt64 { 10_000 }
  static var longestPause: UInt64 { 1_000_000 }
}

/// A grace period that will be over, or is: `Allocator.startGracePeriod` and `isOver`.
package struct GracePeriodCookie: Sendable, Equatable {
  let value: UInt64
}

extension Pointer where Pointee == AllocatorState {
  /// The cookie of the next grace period that begins from now on.
  func gracePeriodSnapshot() -> UInt64 {
    // What the caller did before comes before the look at the sequence: a grace period that is seen
    // not to have begun begins after it.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    return (pointee.gracePeriods.value.load(ordering: .acquiring) + 3) & ~1
  }

  func gracePeriodIsOver(_ cookie: UInt64) -> Bool {
    // Acquiring: pairs with the releasing addition at the end of a grace period.
    pointee.gracePeriods.value.load(ordering: .acquiring) >= cookie
  }

  /// Waits for the cookie's grace period; does it here unless another thread does. Expedited.
  func waitForGracePeriod(_ cookie: UInt64) {
    while !gracePeriodIsOver(cookie) {
      pointee.gracePeriods.gate.lock()
      if !gracePeriodIsOver(cookie) { doGracePeriod() }
      pointee.gracePeriods.gate.unlock()
    }
  }

  /// Under the gate.
  private func doGracePeriod() {
    pointee.gracePeriods.value.add(1, ordering: .acquiringAndReleasing)
    let word = pointee.readers.word.load(ordering: .relaxed)
    let inUse = word & ~ReaderSection.flags
    if !waitForSections(begun: inUse ^ Readers.indexBit) {
      pausePoint(.beforeFlip)
      // Releasing for symmetry only: a reader orders nothing by it.
      pointee.readers.word.store(word ^ Readers.indexBit, ordering: .releasing)
      pausePoint(.afterFlip)
      letFlipArrive(begun: inUse)
      _ = waitForSections(begun: inUse)
    }
    // Releasing: pairs with the acquiring load in `gracePeriodIsOver`.
    pointee.gracePeriods.value.add(1, ordering: .acquiringAndReleasing)
  }

  /// Until a reader at work sees the flip it begins more sections with the old index, many within the
  /// time of a membarrier: the wait would find them behind its first one, and need another. Only
  /// saves that: nothing depends on it.
  private func letFlipArrive(begun: UInt) {
    var ended = sum(at: begun + Readers.endedOffset)
    for _ in 0..<GracePeriodSequence.flipLooks {
      for _ in 0..<GracePeriodSequence.flipPauses { Threads.pause() }
      let before = ended
      ended = sum(at: begun + Readers.endedOffset)
      if ended == before { return }
    }
  }

  private func sum(at first: UInt) -> Int {
    let block = first & ~63
    return pointee.region.sum(ofCounter: Int(first - block) / 8, of: block)
  }

  /// Waits until no section of an index is open that was open when this began. True if at that
  /// moment none of the other index was open either.
  private func waitForSections(begun: UInt) -> Bool {
    let other = begun ^ Readers.indexBit
    // The clock is read only by whoever has waited for a while.
    var start: UInt64 = 0
    var waits = 0
    var nextReport = pointee.configuration.stallNanoseconds
    while true {
      let ended = sum(at: begun + Readers.endedOffset)
      let otherEnded = sum(at: other + Readers.endedOffset)
      // Without the order this says only whether it is worth looking properly.
      let open = sum(at: begun) - ended
      if open <= 0 {
        orderCounters()
        let still = sum(at: begun) - ended
        if still == 0 { return sum(at: other) == otherEnded }
        guard still > 0 else { fatal("reader: a section was ended that is not open") }
        continue
      }
      waits += 1
      pauseForSections(waits)
      guard nextReport > 0, waits & 63 == 0 else { continue }
      let now = SystemCall.monotonicNanoseconds
      if start == 0 { start = now }
      let waited = now &- start
      if waited >= nextReport {
        reportStall(open: open, waited: waited)
        nextReport *= 2
      }
    }
  }

  /// Where membarrier fails (it can run out of memory) nothing is ordered: until it works.
  private func orderCounters() {
    while true {
      do {
        try pointee.region.orderCounters()
        return
      } catch {
        waitForMembarrier()
      }
    }
  }

  /// Before it is tried again.
  func waitForMembarrier() {
    let ticket = pointee.gracePeriods.pause.prepare()
    pointee.gracePeriods.pause.wait(ticket, nanoseconds: GracePeriodSequence.longestPause)
  }

  private func pauseForSections(_ waits: Int) {
    if waits <= GracePeriodSequence.spins { return Threads.pause() }
    if waits <= GracePeriodSequence.spins + GracePeriodSequence.yields { return Threads.yield() }
    let sleeps = waits - GracePeriodSequence.spins - GracePeriodSequence.yields
    let nanoseconds = min(
      GracePeriodSequence.shortestPause << UInt64(min(sleeps / 4, 7)),
      GracePeriodSequence.longestPause)
    let ticket = pointee.gracePeriods.pause.prepare()
    pointee.gracePeriods.pause.wait(ticket, nanoseconds: nanoseconds)
  }

  private func reportStall(open: Int, waited: UInt64) {
    pointee.gracePeriods.stalls.add(1, ordering: .relaxed)
    var line = ErrorLine()
    line.append("a grace period has waited ")
    line.append(waited / 1_000_000)
    line.append(" ms for ")
    line.append(UInt64(open))
    line.append(open == 1 ? " reader section" : " reader sections")
    describeOldestSection(in: &line)
    line.write()
  }

  /// In a child of fork, holding no lock: sections of other threads are gone, and whoever did a grace
  /// period is too. All that were asked for are over. A section that this thread began before the fork
  /// may still end, in the block that it began in; nobody waits for it.
  func resetReadersAfterFork() {
    let word = pointee.readers.word.load(ordering: .relaxed)
    let next: UInt
    if let block = region.allocateCounters() {
      next = block
    } else {
      // The one before: a section of the parent's parent that ended in it would be one too many.
      next = pointee.readers.previousBlock
      for slot in 0..<pointee.region.slotCount {
        zeroMemory(at: pointee.region.address(next, onSlot: slot), bytes: 64)
      }
    }
    pointee.readers.previousBlock = word & ~63
    pointee.readers.word.store(next | word & ReaderSection.flags, ordering: .relaxed)
    forgetSectionsAfterFork()
    let value = pointee.gracePeriods.value.load(ordering: .relaxed)
    pointee.gracePeriods.value.store((value + 5) & ~1, ordering: .relaxed)
    pointee.gracePeriods.gate.resetAfterFork()
    pointee.gracePeriods.pause.resetAfterFork()
  }

  /// Whether a read-side section is open. Exact when nobody begins one.
  var hasOpenSections: Bool {
    let block = pointee.readers.word.load(ordering: .relaxed) & ~63
    return (0..<2).contains { index in
      let begun = block + UInt(index) * Readers.indexBit
      return sum(at: begun) != sum(at: begun + Readers.endedOffset)
    }
  }
}

extension Allocator {
  /// Waits until every read-side section that is open now has ended: two membarriers (20 µs with
  /// another thread at work), or one if nobody reads, and as long as the sections last. Expedited: it waits for no worker and
  /// no batch. Not inside a section, which would wait for itself: with `tracksReaders` the process
  /// ends with a line that says where the section began, without it the stall is reported.
  package func synchronize() {
    state.checkNotReading()
    state.waitForGracePeriod(state.gracePeriodSnapshot())
  }

  /// The cookie of the next grace period, without asking for it.
  package func gracePeriodCookie() -> GracePeriodCookie {
    GracePeriodCookie(value: state.gracePeriodSnapshot())
  }

  /// Whether a cookie's grace period is over. One load; never waits.
  package func isOver(_ cookie: GracePeriodCookie) -> Bool {
    state.gracePeriodIsOver(cookie.value)
  }

  /// Waits for a cookie's grace period, if it is not over. As `synchronize`.
  package func synchronize(_ cookie: GracePeriodCookie) {
    guard !isOver(cookie) else { return }
    state.checkNotReading()
    state.waitForGracePeriod(cookie.value)
  }
}
