// SPDX-License-Identifier: Apache-2.0
// The futex lock: exclusion, the way through the kernel, and a child of fork.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

/// A lock with what it guards; deliberately not atomic.
private final class Guarded: @unchecked Sendable {
  // Unchecked since `value` is guarded by `lock`, which is what the tests examine.
  let lock = Lock(outsideOfTheOrder: ())
  var value = 0
  var isInside = false
  var collisions = 0

  func tryLock() -> Bool { lock.tryLock() }
}

@Suite(.inTurn) struct LockTests {
  @Test func excludesOtherThreads() {
    let guarded = Guarded()
    let rounds = 100_000
    onThreads(4) { _ in
      for _ in 0..<rounds {
        guarded.lock.lock()
        if guarded.isInside { guarded.collisions += 1 }
        guarded.isInside = true
        guarded.value += 1
        guarded.isInside = false
        guarded.lock.unlock()
      }
    }
    #expect(guarded.value == 4 * rounds)
    #expect(guarded.collisions == 0)
  }

  @Test func tryLockTakesOnlyAFreeLock() {
    let guarded = Guarded()
    #expect(guarded.tryLock())
    #expect(!guarded.tryLock())
    guarded.lock.unlock()
    #expect(guarded.tryLock())
    guarded.lock.unlock()
  }

  /// Waiters leave the CPU, and each of them gets the lock in the end although `unlock` wakes one.
  @Test func waitersSleepAndAllOfThemWake() {
    let guarded = Guarded()
    let identifiers = (0..<3).map { _ in SharedValue() }
    guarded.lock.lock()
    let waiters = identifiers.map { identifier in
      TestThread {
        identifier.value.store(threadID(), ordering: .releasing)
        guarded.lock.lock()
        guarded.value += 1
        guarded.lock.unlock()
      }
    }
    for identifier in identifiers {
      while identifier.value.load(ordering: .acquiring) == 0 { sched_yield() }
      #expect(waitUntilAsleep(threadID: identifier.value.load(ordering: .acquiring)))
    }
    #expect(guarded.value == 0)
    guarded.lock.unlock()
    for waiter in waiters { waiter.join() }
    #expect(guarded.value == 3)
    #expect(guarded.tryLock())
    guarded.lock.unlock()
  }

  /// A signal handler that allocates in the middle of an allocation: instead of a deadlock there is a line.
  @Test func lockingTwiceEndsTheProcess() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      _ = signal(SIGABRT, SIG_DFL)
      let guarded = Guarded()
      guarded.lock.lock()
      guarded.lock.lock()
    }
    #expect(
      try #require(result).standardErrorContent
        == Array("slab: lock: a signal handler allocates or frees (deadlock)\n".utf8))
  }

  /// Every wait answers with an error: the lock then spins, and still excludes. (A wake that fails
  /// would be a lost one; the kernel refuses it for bad addresses only.)
  @Test func worksWhereWaitingFails() async {
    await #expect(processExitsWith: .success) {
      let guarded = Guarded()
      onThreads(2) { index in
        if index == 0 {
          FaultInjection.failCall(1, of: .futexWait, with: .interrupted, repeating: true)
        }
        for _ in 0..<20_000 {
          guarded.lock.lock()
          guarded.value += 1
          guarded.lock.unlock()
        }
      }
      _ = FaultInjection.end()
      #expect(guarded.value == 40_000)
    }
  }

  /// A child may release what its parent's thread took, and use the lock on.
  @Test func childOfForkReleasesTheParentsLock() async {
    await #expect(processExitsWith: .success) {
      let guarded = Guarded()
      guarded.lock.lock()
      prepareForForks()
      let child = forkProcess()
      if child == 0 {
        guarded.lock.unlock()
        guarded.lock.lock()
        let isHeld = !guarded.lock.tryLock()
        guarded.lock.unlock()
        _exit(isHeld ? 42 : 1)
      }
      guarded.lock.unlock()
      #expect(exitCode(ofChild: child) == 42)
    }
  }
}
