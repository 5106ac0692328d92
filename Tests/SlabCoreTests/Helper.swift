// SPDX-License-Identifier: Apache-2.0
// A thread that does something for a test which the test has to wait for, and that may have to wait itself.

import SlabPlatform
import SlabTestSupport
import Synchronization

final class Helper: Sendable {
  private final class Progress: Sendable {
    let threadID = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
  }

  let thread: TestThread
  private let progress = Progress()

  init(_ body: @escaping @Sendable () -> Void) {
    thread = TestThread { [progress] in
      progress.threadID.store(threadID(), ordering: .releasing)
      body()
      progress.isOver.store(true, ordering: .releasing)
    }
  }

  /// Returns when the thread waits for something, or has done all that it does.
  func waitUntilAsleepOrOver() {
    while true {
      let id = progress.threadID.load(ordering: .acquiring)
      if progress.isOver.load(ordering: .acquiring) || id != 0 && isAsleep(threadID: id) { return }
    }
  }
}

/// Whether something becomes true within 20 s.
func eventually(_ condition: () -> Bool) -> Bool {
  let deadline = SystemCall.monotonicNanoseconds + 20_000_000_000
  while SystemCall.monotonicNanoseconds < deadline {
    if condition() { return true }
    Threads.yield()
  }
  return false
}
