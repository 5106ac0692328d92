// SPDX-License-Identifier: Apache-2.0
// Forcing the n-th system call of one thread to fail, so that a test can walk every error path:
// n = 1, 2, 3 … until the operation succeeds (SQLite's method).
//
// Always compiled, so that release builds are tested as well: beside a system call the one relaxed
// load costs nothing. Only the thread that asked is affected; tests on other threads go on.

internal import CSlabPlatform
internal import Synchronization

/// The system calls that can be made to fail.
package struct SystemCallSet: OptionSet, Sendable {
  package let rawValue: UInt32

  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let reserve = SystemCallSet(rawValue: 1 << 0)
  package static let unmap = SystemCallSet(rawValue: 1 << 1)
  package static let protect = SystemCallSet(rawValue: 1 << 2)
  package static let giveBack = SystemCallSet(rawValue: 1 << 3)
  package static let membarrier = SystemCallSet(rawValue: 1 << 4)
  package static let futexWait = SystemCallSet(rawValue: 1 << 5)
  package static let futexWake = SystemCallSet(rawValue: 1 << 6)
  package static let startThread = SystemCallSet(rawValue: 1 << 7)
  package static let affinity = SystemCallSet(rawValue: 1 << 8)
  package static let processorList = SystemCallSet(rawValue: 1 << 9)
  package static let visit = SystemCallSet(rawValue: 1 << 10)
  package static let sequenceTrial = SystemCallSet(rawValue: 1 << 11)
  package static let movePages = SystemCallSet(rawValue: 1 << 12)
  package static let all = SystemCallSet(rawValue: (1 << 13) - 1)
}

/// One plan at a time in the whole process.
package enum FaultInjection {
  // The identity of the thread whose calls fail, 0 for none. The other fields are used by that
  // thread alone while this is set.
  private static let thread = Atomic<UInt>(0)
  private static let calls = Atomic<UInt32>(0)
  private static let remaining = Atomic<Int>(0)
  private static let repeats = Atomic<Bool>(false)
  private static let error = Atomic<Int32>(0)
  private static let hits = Atomic<Int>(0)
  private static let pretendedPageBytes = Atomic<Int>(0)

  /// From now on all threads take the kernel's pages for that large: a multiple of the real size, or 0 for
  /// that itself. What was reserved before may not be aligned for it.
  package static func pretendPages(of bytes: Int) {
    pretendedPageBytes.store(bytes, ordering: .relaxed)
  }

  static var pageBytes: Int { pretendedPageBytes.load(ordering: .relaxed) }

  /// Makes the `nth` call (from 1) of this thread among `calls` fail with `error`; with
  /// `repeating`, every later one as well.
  package static func failCall(
    _ nth: Int, of calls: SystemCallSet, with error: Errno, repeating: Bool = false
  ) {
    self.calls.store(calls.rawValue, ordering: .relaxed)
    remaining.store(nth, ordering: .relaxed)
    repeats.store(repeating, ordering: .relaxed)
    self.error.store(error.rawValue, ordering: .relaxed)
    hits.store(0, ordering: .relaxed)
    thread.store(UInt(slab_thread_identity()), ordering: .relaxed)
  }

  /// Counts the calls of this thread among `calls`, and lets all of them be made.
  package static func count(_ calls: SystemCallSet) {
    failCall(.max, of: calls, with: .invalidArgument)
  }

  /// Those since `count`.
  package static var counted: Int { .max - remaining.load(ordering: .relaxed) }

  /// Ends the plan; the number of calls that it made fail.
  package static func end() -> Int {
    thread.store(0, ordering: .relaxed)
    return hits.load(ordering: .relaxed)
  }

  /// Calls that the plan has made fail until now.
  package static var hitCount: Int { hits.load(ordering: .relaxed) }

  /// The error to answer instead of making the call, if it is this call's turn.
  static func forcedError(of call: SystemCallSet) -> Errno? {
    let planned = thread.load(ordering: .relaxed)
    guard planned != 0, planned == UInt(slab_thread_identity()),
      calls.load(ordering: .relaxed) & call.rawValue != 0
    else { return nil }
    let left = remaining.load(ordering: .relaxed) - 1
    remaining.store(left, ordering: .relaxed)
    guard left == 0 || (left < 0 && repeats.load(ordering: .relaxed)) else { return nil }
    hits.add(1, ordering: .relaxed)
    return Errno(rawValue: error.load(ordering: .relaxed))
  }
}
