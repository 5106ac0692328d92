// SPDX-License-Identifier: Apache-2.0
// The fence, and what becomes of it where membarrier is refused once allocators are at work: a server may
// install a filter of system calls at any time.
//
//   membarrier                       0.3 to 10 µs
//   a visit of each CPU (visit.h)    milliseconds: by a filter that lets sched_setaffinity pass
//   neither                          the fence is *lost*: sheaves that are open stay open, and what has ended
//                                    stays as it is; a thread that has to wait for a fence ends the process
//
// Each of the last two is said once, on standard error.

internal import CSlabPlatform
internal import Synchronization

extension PerCPURegion {
  // Of the process, since a filter is.
  private static let isVisitingReported = Atomic<Bool>(false)
  private static let lost = Atomic<Bool>(false)
  /// When the fence was lost last, by the monotonic clock: visits that fail are not tried again at once.
  private static let lostAt = Atomic<UInt64>(0)
  private static var nanosecondsBetweenTries: UInt64 { 1_000_000_000 }

  /// Whether the last fence could not be had, nor can be expected.
  package static var fenceIsLost: Bool { lost.load(ordering: .relaxed) }

  /// Waits until no operation runs that may have read an older value of any sheaf word, or of a counter
  /// word.
  ///
  /// One fence serves any number of words that were closed before it: 0.3 to 10 µs. It orders the
  /// operations' last accesses to the sheaves before everything that the caller does next; without
  /// it a running sequence could still commit to a sheaf that the caller flushes, and the object
  /// would be in two places.
  ///
  /// - Throws: the error of membarrier. Then nothing has been waited for, and no sheaf that was
  ///   closed may be flushed. It is worth another try unless `fenceIsLost`.
  package func fence() throws(Errno) {
    switch mode {
    case .restartableSequences:
      do throws(Errno) { try SystemCall.membarrier(.privateExpeditedRseq) } catch {
        try fence(without: error)
      }
      // A thread that adds on the shared stripe reads the word under its lock.
      sharedLock.pointee.lock()
      sharedLock.pointee.unlock()
    case .lockedStripes:
      // An operation reads the word under its stripe's lock: a thread that takes the lock after us reads
      // the new one, and one that had it has finished.
      for stripe in 0..<stripeCount {
        stripeLock(stripe).pointee.lock()
        stripeLock(stripe).pointee.unlock()
      }
    }
  }

  /// Another way, where membarrier answers with an error that will not go away.
  @inline(never)
  private func fence(without refused: Errno) throws(Errno) {
    // It can run out of memory.
    if Self.isPassing(refused) { throw refused }
    let now = SystemCall.monotonicNanoseconds
    if Self.fenceIsLost,
      now &- Self.lostAt.load(ordering: .relaxed) < Self.nanosecondsBetweenTries
    {
      throw refused
    }
    do throws(Errno) {
      try SystemCall.visitProcessors(stripeCount)
      Self.lost.store(false, ordering: .relaxed)
    } catch {
      if !Self.isPassing(error) {
        Self.lostAt.store(now, ordering: .relaxed)
        if !Self.lost.exchange(true, ordering: .relaxed) {
          Self.report(refused, "and CPUs cannot be visited", error)
        }
      }
      throw error
    }
    if !Self.isVisitingReported.exchange(true, ordering: .relaxed) {
      Self.report(refused, "so each CPU is visited instead: endings take milliseconds", nil)
    }
  }

  private static func isPassing(_ error: Errno) -> Bool {
    error == .noMemory || error == .resourceTemporarilyUnavailable || error == .interrupted
  }

  private static func report(_ refused: Errno, _ outcome: StaticString, _ error: Errno?) {
    var line = ErrorLine()
    line.append("fence: membarrier is refused (errno ")
    line.append(UInt64(refused.rawValue))
    line.append("), ")
    line.append(outcome)
    if let error {
      line.append(" (errno ")
      line.append(UInt64(error.rawValue))
      line.append("): groups, caches and grace periods do not end any more")
    }
    line.write()
  }
}
