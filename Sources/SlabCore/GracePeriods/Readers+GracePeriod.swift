// A grace period: every read-side section that was open at its beginning has ended at its end.
//
//   1  flip    new sections use the index that no section has
//   2  fence   no thread is on its way to begin one with the old index any more
//   3  count   so `begun` of the old index, summed over the CPUs, is final
//   4  wait    until `ended` has reached it
//
// Three orders carry this:
//   - the fence, one membarrier. Without it a thread that has read the old word could begin after the
//     count, and nobody would wait for it; and a section with the old index could hold an object that
//     it found after the caller had unpublished it
//   - the flip is releasing and read acquiring: a section with the new index sees everything that the
//     caller did before the grace period. Without it, it could find what nobody waits for
//   - an end is releasing and the sum acquiring: what a section read, it has read. Without it the
//     caller could reuse memory under a load that is not done
// So a grace period costs one membarrier, whoever reads.
//
// One grace period at a time, by whoever needs it, under `gate`. The sequence is even while none is
// going on; a cookie is the value at which one that began after the cookie was made is over.

internal import SlabPlatform
internal import Synchronization

struct GracePeriodSequence: ~Copyable {
  /// Two more with each grace period. 64 bits: one each nanosecond would take three centuries, so this, and
  /// every other number of this folder that only rises, is not made to wrap.
  let value = Atomic<UInt64>(0)
  /// Held during a grace period.
  let gate = Lock()
  /// Under `gate`, of a grace period that whoever did it could not finish; the next one goes on. The `begun`
  /// counter of the old index, while its fence is to come (0: none); then sections that have begun with it,
  /// and where those are counted that have ended (0: none).
  var flipped: UInt = 0
  var begun = 0
  var ended: UInt = 0
  /// Nobody signals it: a way to sleep.
  let pause = EventCount()
  /// Grace periods that this thread or that had to sleep for, and reports of stalls; for statistics.
  let stalls = Atomic<Int>(0)

  static var spins: Int { 200 }
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

  /// Waits for the cookie's grace period; does it here unless another thread does. Expedited. Not beyond a
  /// time of the monotonic clock: false if it is not over then, or if the fence is lost.
  func waitForGracePeriod(_ cookie: UInt64, until deadline: UInt64 = .max) -> Bool {
    while !gracePeriodIsOver(cookie) {
      guard lockGate(until: deadline) else { return false }
      defer { pointee.gracePeriods.gate.unlock() }
      guard gracePeriodIsOver(cookie) || doGracePeriod(until: deadline) else { return false }
    }
    return true
  }

  private func lockGate(until deadline: UInt64) -> Bool {
    if deadline == .max {
      pointee.gracePeriods.gate.lock()
      return true
    }
    var looks = 0
    while !pointee.gracePeriods.gate.tryLock() {
      guard SystemCall.monotonicNanoseconds < deadline else { return false }
      looks += 1
      pause(afterLooks: looks)
    }
    return true
  }

  /// Under the gate. False if it is not over by then, or the fence is lost: whoever comes next goes on with
  /// it.
  private func doGracePeriod(until deadline: UInt64) -> Bool {
    if pointee.gracePeriods.ended == 0 {
      if pointee.gracePeriods.flipped == 0 { beginGracePeriod() }
      pausePoint(.afterFlip)
      guard fenceReaders(until: deadline) else { return false }
      let old = pointee.gracePeriods.flipped
      pointee.gracePeriods.flipped = 0
      pointee.gracePeriods.begun = sum(at: old)
      pointee.gracePeriods.ended = old + Readers.endedOffset
    }
    guard waitForSections(until: deadline) else { return false }
    pointee.gracePeriods.ended = 0
    // Releasing: pairs with the acquiring load in `gracePeriodIsOver`.
    pointee.gracePeriods.value.add(1, ordering: .acquiringAndReleasing)
    return true
  }

  private func beginGracePeriod() {
    pointee.gracePeriods.value.add(1, ordering: .acquiringAndReleasing)
    // Partner: the fence of `gracePeriodSnapshot`. Who has not seen the addition did what he did before
    // the flip.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let old = pointee.readers.word.first
    let new = old ^ Readers.indexBit
    guard sum(at: new) == sum(at: new + Readers.endedOffset) else { failUnbalanced() }
    pausePoint(.beforeFlip)
    pointee.readers.word.change(to: new)
    pointee.gracePeriods.flipped = old
  }

  private func sum(at first: UInt) -> Int {
    let block = first & ~63
    return pointee.region.sum(ofCounter: Int(first - block) / 8, of: block)
  }

  private func failUnbalanced() -> Never {
    fatal("reader: a section was ended that is not open")
  }

  /// Under the gate: waits until as many sections as have begun with the old index have ended.
  private func waitForSections(until deadline: UInt64) -> Bool {
    let (count, ended) = (pointee.gracePeriods.begun, pointee.gracePeriods.ended)
    // The clock is read only by whoever has waited for a while.
    var start: UInt64 = 0
    var waits = 0
    var nextReport = pointee.configuration.stallNanoseconds
    while true {
      // Both wrap: their difference is right.
      let open = count &- sum(at: ended)
      if open == 0 { return true }
      guard open > 0 else { failUnbalanced() }
      if deadline != .max, SystemCall.monotonicNanoseconds >= deadline { return false }
      waits += 1
      pause(afterLooks: waits)
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

  /// Where membarrier fails (it can run out of memory) nobody has been waited for: until it works, or is
  /// lost, or the time is over.
  private func fenceReaders(until deadline: UInt64) -> Bool {
    while true {
      do {
        try fence()
        return true
      } catch {
        if PerCPURegion.fenceIsLost { return false }
        if deadline != .max, SystemCall.monotonicNanoseconds >= deadline { return false }
        waitForMembarrier()
      }
    }
  }

  /// For whoever has to wait for a fence: ends the process if it is lost.
  func checkFence() {
    if PerCPURegion.fenceIsLost { fatal("fence: this thread would wait for ever") }
  }

  /// Before it is tried again.
  func waitForMembarrier() {
    let ticket = pointee.gracePeriods.pause.prepare()
    pointee.gracePeriods.pause.wait(ticket, nanoseconds: GracePeriodSequence.longestPause)
  }

  /// For whoever looks again and again for something that nobody signals: soon at first, then up to a
  /// millisecond later.
  func pause(afterLooks looks: Int) {
    if looks <= GracePeriodSequence.spins { return Threads.pause() }
    if looks <= GracePeriodSequence.spins + GracePeriodSequence.yields { return Threads.yield() }
    let sleeps = looks - GracePeriodSequence.spins - GracePeriodSequence.yields
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
    let word = pointee.readers.word.first
    let next: UInt
    if let block = region.allocateCounters() {
      next = block
    } else {
      // The one before: a section of the parent's parent that ended in it would be one too many.
      next = pointee.readers.previousBlock
      region.clearCounters(next)
    }
    pointee.readers.previousBlock = word & ~63
    pointee.readers.word.change(to: next)
    forgetSectionsAfterFork()
    let value = pointee.gracePeriods.value.load(ordering: .relaxed)
    pointee.gracePeriods.value.store((value + 5) & ~1, ordering: .relaxed)
    pointee.gracePeriods.flipped = 0
    pointee.gracePeriods.ended = 0
    pointee.gracePeriods.gate.resetAfterFork()
    pointee.gracePeriods.pause.resetAfterFork()
  }

  /// Whether a read-side section is open. Exact when nobody begins one.
  var hasOpenSections: Bool {
    let block = pointee.readers.word.first & ~63
    return (0..<2).contains { index in
      let begun = block + UInt(index) * Readers.indexBit
      return sum(at: begun) != sum(at: begun + Readers.endedOffset)
    }
  }
}

extension Allocator {
  /// Waits until every read-side section that is open now has ended: one membarrier (10 µs with another
  /// thread at work), and as long as the sections last. Expedited: it waits for no worker and no batch.
  /// Not inside a section, which would wait for itself: with `tracksReaders` the process
  /// ends with a line that says where the section began, without it the stall is reported.
  package func synchronize() {
    state.checkNotReading()
    if !state.waitForGracePeriod(state.gracePeriodSnapshot()) { state.checkFence() }
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
    if !state.waitForGracePeriod(cookie.value) { state.checkFence() }
  }
}
