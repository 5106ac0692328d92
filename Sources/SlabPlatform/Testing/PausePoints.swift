// SPDX-License-Identifier: Apache-2.0
// Places where a test can stop a thread, so that every order of two threads around it can be forced. In
// debug builds only: in a release build `pause` is nothing. A place is a number up to 63; the layer above has their
// names.
//
// One test at a time arms them, in a process of its own. The first thread that comes to an armed
// point stops there, and disarms it; it goes on when the test says so.

internal import Synchronization

#if DEBUG
  /// What tests use. All of it blocks with a bound.
  package enum PausePoints {
    fileprivate static let armed = Atomic<UInt64>(0)
    fileprivate static let waiting = Atomic<UInt64>(0)
    fileprivate static let events = EventCount()
    private static var bound: UInt64 { 30_000_000_000 }

    /// The next thread that comes to the point stops there.
    package static func arm(_ point: UInt64) {
      armed.bitwiseOr(1 << point, ordering: .sequentiallyConsistent)
    }

    /// Waits until a thread has stopped at the point. False if none did within 30 s.
    package static func waitUntilReached(_ point: UInt64) -> Bool {
      wait { waiting.load(ordering: .acquiring) & 1 << point != 0 }
    }

    /// Lets the thread go on.
    package static func resume(_ point: UInt64) {
      waiting.bitwiseAnd(~(1 << point), ordering: .sequentiallyConsistent)
      events.signal()
    }

    fileprivate static func stop(at point: UInt64) {
      let bit: UInt64 = 1 << point
      let before = armed.bitwiseAnd(~bit, ordering: .sequentiallyConsistent).oldValue
      guard before & bit != 0 else { return }
      waiting.bitwiseOr(bit, ordering: .sequentiallyConsistent)
      events.signal()
      _ = wait { waiting.load(ordering: .acquiring) & bit == 0 }
    }

    private static func wait(until condition: () -> Bool) -> Bool {
      let end = SystemCall.monotonicNanoseconds + bound
      while true {
        let ticket = events.prepare()
        if condition() {
          events.cancel()
          return true
        }
        guard SystemCall.monotonicNanoseconds < end else {
          events.cancel()
          return false
        }
        events.wait(ticket, nanoseconds: 100_000_000)
      }
    }
  }
#endif

/// A place that tests can stop before.
@inline(__always)
package func pause(at point: UInt64) {
  #if DEBUG
    if PausePoints.armed.load(ordering: .relaxed) & 1 << point != 0 {
      PausePoints.stop(at: point)
    }
  #endif
}
