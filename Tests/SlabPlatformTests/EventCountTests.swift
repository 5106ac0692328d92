// SPDX-License-Identifier: Apache-2.0
// Sleeping until something happens: nobody sleeps through it.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

private final class Events: Sendable {
  let ping = EventCount()
  let pong = EventCount()
  let turn = Atomic<Int>(0)
}

@Suite(.inTurn) struct EventCountTests {
  @Test func signalWakesEverySleeper() {
    let events = Events()
    let identifiers = (0..<3).map { _ in SharedValue() }
    let sleepers = identifiers.map { identifier in
      TestThread {
        let ticket = events.ping.prepare()
        identifier.value.store(threadID(), ordering: .releasing)
        // Once only: a wake-up without a signal would end the thread too early.
        events.ping.wait(ticket)
        events.turn.add(1, ordering: .relaxed)
      }
    }
    for identifier in identifiers {
      while identifier.value.load(ordering: .acquiring) == 0 { sched_yield() }
      #expect(waitUntilAsleep(threadID: identifier.value.load(ordering: .acquiring)))
    }
    #expect(events.turn.load(ordering: .relaxed) == 0)
    events.ping.signal()
    for sleeper in sleepers { sleeper.join() }
    #expect(events.turn.load(ordering: .relaxed) == 3)
  }

  /// The signal comes between `prepare` and `wait`: the wait must not begin.
  @Test func signalBeforeTheWaitIsNotLost() {
    let events = Events()
    for _ in 0..<100 {
      let ticket = events.ping.prepare()
      events.ping.signal()
      events.ping.wait(ticket)
    }
    #expect(events.turn.load(ordering: .relaxed) == 0)
  }

  /// A tenant at its limit makes 2^32 events in 40 minutes.
  @Test func countWraps() {
    let old = EventCount(startingAt: .max)
    let ticket = old.prepare()
    #expect(ticket == .max)
    old.signal()
    // Would sleep for ever if the word had not changed.
    old.wait(ticket)
    let next = old.prepare()
    #expect(next == 0)
    old.cancel()
  }

  @Test func waitEndsWithItsTime() {
    let events = Events()
    let start = SystemCall.monotonicNanoseconds
    events.ping.wait(events.ping.prepare(), nanoseconds: 2_000_000)
    #expect(SystemCall.monotonicNanoseconds - start >= 2_000_000)
  }

  /// Two threads take turns and sleep without a timeout: one lost wake-up stops both for ever.
  @Test func noWakeUpIsLost() {
    let events = Events()
    let rounds = 5_000
    onThreads(2) { index in
      for round in 0..<rounds {
        let mine = 2 * round + index
        while true {
          let ticket = index == 0 ? events.ping.prepare() : events.pong.prepare()
          if events.turn.load(ordering: .acquiring) == mine {
            if index == 0 { events.ping.cancel() } else { events.pong.cancel() }
            break
          }
          if index == 0 { events.ping.wait(ticket) } else { events.pong.wait(ticket) }
        }
        events.turn.store(mine + 1, ordering: .releasing)
        if index == 0 { events.pong.signal() } else { events.ping.signal() }
      }
    }
    #expect(events.turn.load(ordering: .relaxed) == 2 * rounds)
  }

  /// Without a sleeper a signal makes no system call; after `cancel` and after fork there is none.
  @Test func signalWithoutASleeperStaysOutOfTheKernel() async {
    await #expect(processExitsWith: .success) {
      let events = Events()
      FaultInjection.failCall(1, of: .futexWake, with: .noFunction, repeating: true)
      events.ping.signal()
      _ = events.ping.prepare()
      events.ping.cancel()
      events.ping.signal()
      _ = events.ping.prepare()
      events.ping.resetAfterFork()
      events.ping.signal()
      #expect(FaultInjection.end() == 0)

      FaultInjection.failCall(1, of: .futexWake, with: .noFunction, repeating: true)
      _ = events.ping.prepare()
      events.ping.signal()
      #expect(FaultInjection.end() == 1)
    }
  }
}
