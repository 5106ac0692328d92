// SPDX-License-Identifier: Apache-2.0
// A grace period: every read-side section that was open at its beginning has ended at its end.
//
//   1  flip    new sections use the index that no section has
//   2  fence   no thread is on its way to begin one with the old index any more
//   3  count   so `begun` of the old index, summed over the CPUs, is final
//   4  wait    until `ended` has reached it
//
// Three orders carry this:
//   - the fence, one membarrier. Without it a thread that has read the old word could begin after the
//     count, and no thread would wait for it; and a section with the old index could hold an object that
//     it found after the caller had unpublished it
//   - the flip is releasing and read acquiring: a section with the new index sees everything that the
//     caller did before the grace period. Without it, the section could find what no grace period covers
//   - an end is releasing and the sum acquiring: what a section read, it has read. Without it the
//     caller could reuse memory under a load that is not done
// So a grace period costs one membarrier, however many threads read.
//
// One grace period at a time, by a thread that needs it, under `gate`. The sequence is even while none is
// going on; a cookie is the value at which one that began after the cookie was made is over.

package import SlabPlatform
internal import Synchronization

/// The gate of grace periods.
enum GateLock: LockClass { static var rank: LockRank { .gracePeriod } }
typealias GateLocked = Held<GateLock>

struct GracePeriodSequence: ~Copyable {
  /// Two more with each grace period. 64 bits: one each nanosecond would take three centuries, so this, and
  /// every other number of this folder that only rises, is not made to wrap.
  let value = Atomic<UInt64>(0)
  /// Held during a grace period.
  let gate = RankedLock<GateLock>()
  /// Under `gate`, of a grace period that its thread could not finish; the next one goes on. The `begun`
  /// counter of the old index, while its fence is to come (0: none); then sections that have begun with it,
  /// and where those are counted that have ended (0: none).
  var flipped: UInt = 0
  var begun = 0
  var ended: UInt = 0
}

/// A grace period that will be over, or is: `Allocator.startGracePeriod` and `isOver`.
package struct GracePeriodCookie: Sendable, Equatable {
  let value: UInt64
}

extension Pointer where Pointee: HasReaders & ~Copyable {
  /// The cookie of the next grace period that begins from now on.
  func gracePeriodSnapshot() -> UInt64 {
    // What the caller did before comes before the look at the sequence: a grace period that is seen
    // not to have begun begins after it.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    return (gracePeriods.pointee.value.load(ordering: .acquiring) + 3) & ~1
  }

  func gracePeriodIsOver(_ cookie: UInt64) -> Bool {
    // Acquiring: pairs with the releasing addition at the end of a grace period.
    gracePeriods.pointee.value.load(ordering: .acquiring) >= cookie
  }

  /// Waits for the cookie's grace period; does it here unless another thread does. Expedited. Not beyond a
  /// time of the monotonic clock: false if it is not over then, or if the fence is lost.
  func waitForGracePeriod(_ cookie: UInt64, until deadline: UInt64 = .max) -> Bool {
    while !gracePeriodIsOver(cookie) {
      guard let gate = lockGate(until: deadline) else { return false }
      guard gracePeriodIsOver(cookie) || doGracePeriod(until: deadline, under: gate) else {
        return false
      }
    }
    return true
  }

  private func lockGate(until deadline: UInt64) -> GateLocked? {
    if deadline == .max { return gracePeriods.pointee.gate.lock() }
    var looks = 0
    while true {
      if let gate = gracePeriods.pointee.gate.tryLock() { return gate }
      guard SystemCall.monotonicNanoseconds < deadline else { return nil }
      looks += 1
      pause(afterLooks: looks)
    }
  }

  /// False if it is not over by then, or the fence is lost: then the next thread goes on with it.
  private func doGracePeriod(until deadline: UInt64, under gate: borrowing GateLocked) -> Bool {
    if gracePeriods.pointee.ended == 0 {
      if gracePeriods.pointee.flipped == 0 { beginGracePeriod(under: gate) }
      pausePoint(.afterFlip)
      guard fenceReaders(until: deadline) else { return false }
      let old = gracePeriods.pointee.flipped
      gracePeriods.pointee.flipped = 0
      gracePeriods.pointee.begun = sum(at: old)
      gracePeriods.pointee.ended = old + Readers.endedOffset
    }
    guard waitForSections(until: deadline, under: gate) else { return false }
    gracePeriods.pointee.ended = 0
    // Releasing: pairs with the acquiring load in `gracePeriodIsOver`.
    gracePeriods.pointee.value.add(1, ordering: .acquiringAndReleasing)
    return true
  }

  private func beginGracePeriod(under gate: borrowing GateLocked) {
    gracePeriods.pointee.value.add(1, ordering: .acquiringAndReleasing)
    // Partner: the fence of `gracePeriodSnapshot`. A caller that has not seen the addition did before the
    // flip what it did.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let old = readers.pointee.word.first
    let new = old ^ Readers.indexBit
    guard sum(at: new) == sum(at: new + Readers.endedOffset) else { failUnbalanced() }
    pausePoint(.beforeFlip)
    readers.pointee.word.change(to: new)
    gracePeriods.pointee.flipped = old
  }

  private func sum(at first: UInt) -> Int {
    let block = first & ~63
    return region.pointee.sum(ofCounter: Int(first - block) / 8, of: block)
  }

  private func failUnbalanced() -> Never {
    fatal("reader: a section was ended that is not open")
  }

  /// Waits until as many sections as have begun with the old index have ended.
  private func waitForSections(until deadline: UInt64, under gate: borrowing GateLocked) -> Bool {
    let (count, ended) = (gracePeriods.pointee.begun, gracePeriods.pointee.ended)
    // The clock is read only after waiting for a while.
    var start: UInt64 = 0
    var waits = 0
    var nextReport = base.pointee.configuration.stallNanoseconds
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

  /// Where membarrier fails (it can run out of memory) no section has been waited for: until it works, or is
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

  private func reportStall(open: Int, waited: UInt64) {
    counters.pointee.stalls += 1
    var line = ErrorLine()
    line.append("a grace period has waited ")
    line.append(waited / 1_000_000)
    line.append(" ms for ")
    line.append(UInt64(open))
    line.append(open == 1 ? " reader section" : " reader sections")
    describeOldestSection(in: &line)
    line.write()
  }

  /// In a child of fork, holding no lock: sections of other threads are gone, and so is a thread that did a grace
  /// period. All that were asked for are over. A section that this thread began before the fork
  /// may still end, in the block that it began in; no thread waits for it.
  func resetReadersAfterFork() {
    let word = readers.pointee.word.first
    let next: UInt
    if let block = region.allocateCounters() {
      next = block
    } else {
      // The one before: a section of the parent's parent that ended in it would be one too many.
      next = readers.pointee.previousBlock
      region.clearCounters(next)
    }
    readers.pointee.previousBlock = word & ~63
    readers.pointee.word.change(to: next)
    forgetSectionsAfterFork()
    let value = gracePeriods.pointee.value.load(ordering: .relaxed)
    gracePeriods.pointee.value.store((value + 5) & ~1, ordering: .relaxed)
    gracePeriods.pointee.flipped = 0
    gracePeriods.pointee.ended = 0
    gracePeriods.pointee.gate.resetAfterFork()
    base.pointee.pause.resetAfterFork()
  }

  /// Whether a read-side section is open. Exact while no thread begins one.
  var hasOpenSections: Bool {
    let block = readers.pointee.word.first & ~63
    return (0..<2).contains { index in
      let begun = block + UInt(index) * Readers.indexBit
      return sum(at: begun) != sum(at: begun + Readers.endedOffset)
    }
  }
}

extension Pointer where Pointee: HasReaders & ~Copyable {
  /// Waits until every read-side section that is open now has ended: one membarrier (10 µs with another
  /// thread at work), and as long as the sections last. Expedited: it waits for no worker and no batch.
  /// Not inside a section, which would wait for itself: with `tracksReaders` the process
  /// ends with a line that says where the section began, without it the stall is reported.
  package func synchronize() {
    checkNotReading()
    if !waitForGracePeriod(gracePeriodSnapshot()) { checkFence() }
  }

  /// The cookie of the next grace period, without asking for it.
  package func gracePeriodCookie() -> GracePeriodCookie {
    GracePeriodCookie(value: gracePeriodSnapshot())
  }

  /// Whether a cookie's grace period is over. One load; never waits.
  package func isOver(_ cookie: GracePeriodCookie) -> Bool {
    gracePeriodIsOver(cookie.value)
  }

  /// Waits for a cookie's grace period, if it is not over. As `synchronize`.
  package func synchronize(_ cookie: GracePeriodCookie) {
    guard !isOver(cookie) else { return }
    checkNotReading()
    if !waitForGracePeriod(cookie.value) { checkFence() }
  }
}
