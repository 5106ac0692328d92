// SPDX-License-Identifier: Apache-2.0
// Clocks, in nanoseconds.

import Glibc

enum Time {
  /// For differences; 20 to 50 ns a reading.
  static var now: Int { read(CLOCK_MONOTONIC) }
  /// What this process has used of all CPUs, its children not counted.
  static var ofProcess: Int { read(CLOCK_PROCESS_CPUTIME_ID) }
  /// What this thread has used.
  static var ofThread: Int { read(CLOCK_THREAD_CPUTIME_ID) }

  private static func read(_ clock: clockid_t) -> Int {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }

  /// Passes time without giving up the CPU.
  static func spin(nanoseconds: Int) {
    let end = now + nanoseconds
    while now < end {}
  }

  /// What one reading of `now` adds to a duration: the median of many.
  static var readingCost: Double {
    var samples: [Double] = []
    for _ in 0..<1001 {
      let start = now
      samples.append(Double(now - start))
    }
    return samples.median
  }
}
