// SPDX-License-Identifier: Apache-2.0
// Fences, and looking again for something that is not signalled.

internal import SlabPlatform

extension Pointer where Pointee: HasBase & ~Copyable {
  /// As `HeldLocks.expectNone`, but for the rules of Linux 4.10, which hold the registry lock over everything.
  @inline(__always)
  func expectNoLock(below rank: LockRank, _ what: StaticString) {
    #if DEBUG
      if base.pointee.configuration.design != .linux410 {
        HeldLocks.expectNone(below: rank, what)
      }
    #endif
  }

  /// A fence: see `PerCPURegion.fence`.
  func fence() throws(Errno) {
    expectNoLock(below: .gracePeriod, "a fence")
    try region.pointee.fence()
  }

  /// For a thread that has to wait for a fence: ends the process if the fence is lost.
  func checkFence() {
    if PerCPURegion.fenceIsLost { fatal("fence: this thread would wait for ever") }
  }

  /// The pause before a fence is tried again.
  func waitForMembarrier() {
    expectNoLock(below: .gracePeriod, "a wait")
    let ticket = base.pointee.pause.prepare()
    base.pointee.pause.wait(ticket, nanoseconds: Waiting.longestPause)
  }

  /// For a thread that looks again and again for something that is not signalled: soon at first, then up to a
  /// millisecond later.
  func pause(afterLooks looks: Int) {
    expectNoLock(below: .gracePeriod, "a wait")
    if looks <= Waiting.spins { return Threads.pause() }
    if looks <= Waiting.spins + Waiting.yields { return Threads.yield() }
    let sleeps = looks - Waiting.spins - Waiting.yields
    let nanoseconds = min(
      Waiting.shortestPause << UInt64(min(sleeps / 4, 7)),
      Waiting.longestPause)
    let ticket = base.pointee.pause.prepare()
    base.pointee.pause.wait(ticket, nanoseconds: nanoseconds)
  }
}

private enum Waiting {
  static var spins: Int { 200 }
  static var yields: Int { 20 }
  static var shortestPause: UInt64 { 10_000 }
  static var longestPause: UInt64 { 1_000_000 }
}
