// SPDX-License-Identifier: Apache-2.0
// The clock that latencies and durations are taken from.

import Glibc

enum MonotonicTime {
  /// Nanoseconds of CLOCK_MONOTONIC.
  static func nanoseconds() -> Int {
    var time = timespec()
    // SAFETY: the call fills the structure that it is given.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }

  /// Seconds since `start`.
  static func seconds(since start: Int) -> Double {
    Double(nanoseconds() - start) / 1e9
  }
}
