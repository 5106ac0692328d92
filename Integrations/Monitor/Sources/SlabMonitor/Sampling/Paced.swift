// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// Something that costs, made at most every so often, by the thread that asks for it first, and shared by all.
final class Paced<Value: Sendable>: Sendable {
  private struct Made: Sendable {
    let value: Value
    let due: ContinuousClock.Instant
  }

  private let interval: Duration
  private let now: @Sendable () -> ContinuousClock.Instant
  private let make: @Sendable () -> Value
  /// Held while the value is made: threads that want it as well wait for it, and make none.
  private let last = Mutex<Made?>(nil)

  /// - Parameter now: the clock, for tests.
  init(
    every interval: Duration, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
    _ make: @escaping @Sendable () -> Value
  ) {
    self.interval = interval
    self.now = now
    self.make = make
  }

  /// The value, and when there will be a new one. What took long is made less often, so that it takes a twentieth of
  /// a CPU at most.
  func value() -> (Value, due: ContinuousClock.Instant) {
    last.withLock { last in
      let start = now()
      if let last, start < last.due { return (last.value, last.due) }
      let value = make()
      let took = start.duration(to: now())
      let made = Made(value: value, due: start + max(interval, took * 20))
      last = made
      return (made.value, made.due)
    }
  }
}
