// SPDX-License-Identifier: Apache-2.0
// A root keeps its index until it is released, and that is the workers': so those that were destroyed a
// moment ago have theirs still. A thread that finds all indices in use waits for these, with a bound.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// In all, for one cache: the workers' turn comes within a time slice or two, however busy the CPUs are.
  private static var patienceNanoseconds: UInt64 { 200_000_000 }
  private static var lookNanoseconds: UInt64 { 5_000_000 }

  /// Makes a root; again while it is refused for want of an index, and there are ends under way that could
  /// give one back. Holding no lock. 0.2 s at most.
  func waitingForIndices<Result>(
    _ make: () throws(AllocatorError) -> Result
  ) throws(AllocatorError) -> Result {
    var deadline: UInt64 = 0
    while true {
      let ticket = lifecycle.pointee.rootIsReleased.prepare()
      // Before the try: what is over by then has been tried for.
      let isWorthwhile = hasEndsUnderWay
      do throws(AllocatorError) {
        let made = try make()
        lifecycle.pointee.rootIsReleased.cancel()
        return made
      } catch {
        let now = SystemCall.monotonicNanoseconds
        if deadline == 0 { deadline = now + Self.patienceNanoseconds }
        guard case .tooManyCaches = error, isWorthwhile, now < deadline else {
          lifecycle.pointee.rootIsReleased.cancel()
          throw error
        }
        hurryEnds()
        // No longer than a look takes: what is under way may be no root.
        lifecycle.pointee.rootIsReleased.wait(
          ticket, nanoseconds: min(deadline - now, Self.lookNanoseconds))
      }
    }
  }
}

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Whether something has ended that workers and barriers are not through with, and that this thread may
  /// wait for: a shrinker is asked in the middle of another allocation, and others wait for a callback.
  fileprivate var hasEndsUnderWay: Bool {
    guard !Threads.isReclaiming, !isInCallback else { return false }
    return lifecycle.pointee.pending.load(ordering: .sequentiallyConsistent) > 0
      || lifecycle.pointee.barrierBatch.count.load(ordering: .sequentiallyConsistent) > 0
  }

  /// They let work gather; where there is no worker, this thread does it.
  fileprivate func hurryEnds() {
    hurryWorkers()
    if lifecycle.pointee.barrierBatch.count.load(ordering: .relaxed) > 0 { hurryCallbackWorkers() }
  }
}
