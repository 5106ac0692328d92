// How long a refused charge waits for memory that is on its way back already.

internal import SlabPlatform

/// Of one charge that was refused.
struct Patience {
  /// Of the monotonic clock, for ends of groups; 0 before the first wait.
  private var deadline: UInt64 = 0
  private var hasWaitedForFrees = false

  /// Ends of groups: the workers' turn comes within a time slice or two, however busy the CPUs are.
  private static var nanosecondsForEndings: UInt64 { 200_000_000 }
  /// Deferred frees: a grace period without readers takes some microseconds, and one with readers may
  /// wait for this very thread.
  private static var nanosecondsForFrees: UInt64 { 20_000_000 }

  /// What is on its way back.
  struct UnderWay {
    fileprivate let endings: Bool
    fileprivate let frees: Bool
  }

  /// What is on its way back to a group. Nothing for somebody who must not wait: a shrinker, which is
  /// asked in the middle of another allocation, and a callback, which others wait for.
  func look(below group: Pointer<Group>) -> UnderWay {
    let allocator = group.pointee.allocator
    guard !Threads.isReclaiming, !allocator.isInCallback else {
      return UnderWay(endings: false, frees: false)
    }
    return UnderWay(
      endings: group.hasEndings,
      frees: !hasWaitedForFrees && group.mayAwaitGracePeriod)
  }

  /// Waits for some of it. False if there is nothing to wait for, or no more time.
  mutating func wait(for underWay: UnderWay, below group: Pointer<Group>) -> Bool {
    let now = SystemCall.monotonicNanoseconds
    if underWay.endings {
      if deadline == 0 { deadline = now + Self.nanosecondsForEndings }
      if group.waitForEnding(until: deadline) { return true }
    }
    guard underWay.frees, !hasWaitedForFrees else { return false }
    hasWaitedForFrees = true
    group.pointee.allocator.waitForDeferredFrees(until: now + Self.nanosecondsForFrees)
    return true
  }
}
