// SPDX-License-Identifier: Apache-2.0
// Starting a thread of the allocator's. Where the system gives none, that is reported once, and other threads do its
// work: those that end something, free after a grace period or wait. The start is tried again, but not at each of their
// calls. Of an allocator that serves `malloc` the core starts none (AllocatorConfiguration.swift).

package import SlabPlatform
internal import Synchronization

struct ThreadStart: ~Copyable {
  /// When the next try is due after one that failed, by the monotonic clock; 0 if none has.
  let nextTry = Atomic<UInt64>(0)
  let isReported = Atomic<Bool>(false)

  static var pauseNanoseconds: UInt64 { 10_000_000 }
}

extension Pointer where Pointee: HasBase & ~Copyable {
  /// Starts a thread of the core's, perhaps under a lock of its own. False where `startThread` answers that, and for an
  /// allocator that serves `malloc`.
  func startWorkerThread(
    _ entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?,
    argument: UInt
  ) -> Bool {
    guard !base.pointee.configuration.servesMalloc else { return false }
    return unsafe startThread(entry, argument: argument)
  }

  /// Starts a thread that is the allocator's own. False if the system gives none, now or a moment ago.
  package func startThread(
    _ entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?,
    argument: UInt
  ) -> Bool {
    let start = base
    let due = start.pointee.threadStart.nextTry.load(ordering: .relaxed)
    guard due == 0 || SystemCall.monotonicNanoseconds >= due else { return false }
    HeldLocks.expectNone(below: .callbackWorkers, "starting a thread")
    do throws(Errno) {
      // SAFETY: the entry's contract with its argument is the caller's.
      try unsafe SystemCall.startThread(entry, argument: argument)
      start.pointee.threadStart.nextTry.store(0, ordering: .relaxed)
      return true
    } catch {
      start.pointee.threadStart.nextTry.store(
        SystemCall.monotonicNanoseconds + ThreadStart.pauseNanoseconds, ordering: .relaxed)
      if !start.pointee.threadStart.isReported.exchange(true, ordering: .relaxed) { report(error) }
      return false
    }
  }

  private func report(_ error: Errno) {
    var line = ErrorLine()
    line.append("the system gives no thread (error ")
    line.append(UInt64(error.rawValue))
    line.append("): its work is done by the threads that free, end groups or wait")
    line.write()
  }
}
