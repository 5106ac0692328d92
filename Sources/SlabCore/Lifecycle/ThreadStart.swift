// Starting a thread of the allocator's, and where the system gives none. That is said once, and its work is
// done by others: by whoever ends something, frees after a grace period or waits. It is tried again, but not
// at each of their calls.

internal import SlabPlatform
internal import Synchronization

struct ThreadStart: ~Copyable {
  /// When the next try is due after one that failed, by the monotonic clock; 0 if none has.
  let nextTry = Atomic<UInt64>(0)
  let isReported = Atomic<Bool>(false)

  static var pauseNanoseconds: UInt64 { 10_000_000 }
}

extension Allocator {
  /// Starts a thread that is the allocator's own. False if the system gives none, now or a moment ago.
  package func startThread(
    _ entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?,
    argument: UInt
  ) -> Bool {
    let start = Pointer<ThreadStart>(of: &state.pointee.threadStart)
    let due = start.pointee.nextTry.load(ordering: .relaxed)
    guard due == 0 || SystemCall.monotonicNanoseconds >= due else { return false }
    do throws(Errno) {
      // SAFETY: the entry's contract with its argument is the caller's.
      try unsafe SystemCall.startThread(entry, argument: argument)
      start.pointee.nextTry.store(0, ordering: .relaxed)
      return true
    } catch {
      start.pointee.nextTry.store(
        SystemCall.monotonicNanoseconds + ThreadStart.pauseNanoseconds, ordering: .relaxed)
      if !start.pointee.isReported.exchange(true, ordering: .relaxed) { report(error) }
      return false
    }
  }

  private func report(_ error: Errno) {
    var line = ErrorLine()
    line.append("the system gives no thread (error ")
    line.append(UInt64(error.rawValue))
    line.append("): its work is done by those who free, end groups or wait")
    line.write()
  }
}
