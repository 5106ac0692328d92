// SPDX-License-Identifier: Apache-2.0
// How long a refused charge waits for memory that is on its way back already.

internal import SlabPlatform

/// Of one charge that was refused.
struct Patience {
  /// Of the monotonic clock, for ends of groups; 0 before the first wait.
  private var deadline: UInt64 = 0
  private var hasWaitedForFrees = false
  private var hasWaitedForSlabsAhead = false

  /// Ends of groups: the workers' turn comes within a time slice or two, however busy the CPUs are.
  private static var nanosecondsForEndings: UInt64 { 200_000_000 }
  /// Deferred frees: a grace period without readers takes some microseconds and the turn of a worker, which had not come
  /// after 20 ms on a machine with seven threads for two CPUs. Less than for ends of groups, as one with readers may
  /// wait for this very thread.
  private static var nanosecondsForFrees: UInt64 { 100_000_000 }

  /// What is on its way back.
  struct UnderWay {
    fileprivate let endings: Bool
    fileprivate let frees: Bool
  }

  /// False for a thread in a shrinker, which is asked in the middle of another allocation, and in a callback, for which
  /// others wait.
  private func mayWait(for group: Pointer<Group>) -> Bool {
    !Threads.isReclaiming && !group.pointee.allocator.isInCallback
  }

  /// What is on its way back to a group. Nothing for a thread that must not wait.
  func look(below group: Pointer<Group>) -> UnderWay {
    guard mayWait(for: group) else { return UnderWay(endings: false, frees: false) }
    return UnderWay(
      endings: group.hasEndings,
      frees: !hasWaitedForFrees && group.mayAwaitGracePeriod)
  }

  /// Waits, once, for threads that have slabs ahead in hand. Whether there was one: a tenant whose neighbour makes slabs all
  /// the while is refused all the same.
  mutating func waitForSlabsAhead(below group: Pointer<Group>) -> Bool {
    guard !hasWaitedForSlabsAhead, mayWait(for: group) else { return false }
    hasWaitedForSlabsAhead = group.waitForSlabsAhead()
    return hasWaitedForSlabsAhead
  }

  /// Waits for some of it. False if nothing is on its way, or the time is over.
  mutating func wait(for underWay: UnderWay, below group: Pointer<Group>) -> Bool {
    let now = SystemCall.monotonicNanoseconds
    if underWay.endings {
      if deadline == 0 { deadline = now + Self.nanosecondsForEndings }
      if group.waitForEnding(until: deadline) { return true }
    }
    guard underWay.frees, !hasWaitedForFrees else { return false }
    hasWaitedForFrees = true
    Pointer<DeferredState>(seenAs: group.pointee.allocator).waitForDeferredFrees(
      until: now + Self.nanosecondsForFrees)
    return true
  }
}
