// SPDX-License-Identifier: Apache-2.0
// Threads that begin together.

import Glibc
import Synchronization

/// A thread and what it answers.
///
/// `@unchecked Sendable`: `answer` is written by the thread and read after the join.
private final class Job<Answer>: @unchecked Sendable {
  let body: @Sendable () -> Answer
  var answer: Answer?
  private var thread = pthread_t()

  init(_ body: @escaping @Sendable () -> Answer) { self.body = body }

  func start() {
    let argument = unsafe Unmanaged.passRetained(self as AnyObject).toOpaque()
    // SAFETY: the thread takes over the reference that was just retained.
    let error = unsafe pthread_create(
      &thread, nil,
      { argument in
        let job = unsafe Unmanaged<AnyObject>.fromOpaque(argument!).takeRetainedValue()
        (job as! any Runnable).run()
        return nil
      }, argument)
    guard error == 0 else { fatalError("slab-bench: no thread") }
  }

  func join() -> Answer {
    pthread_join(thread, nil)
    return answer!
  }
}

private protocol Runnable { func run() }

extension Job: Runnable {
  func run() { answer = body() }
}

/// Lets threads wait for each other, spinning.
final class StartLine: Sendable {
  private let missing: Atomic<Int>

  init(count: Int) { missing = Atomic(count) }

  func wait() {
    missing.subtract(1, ordering: .acquiringAndReleasing)
    while missing.load(ordering: .acquiring) > 0 {}
  }
}

/// Says that something is over.
final class FinishFlag: Sendable {
  private let isFinished = Atomic<Bool>(false)

  var isOver: Bool { isFinished.load(ordering: .acquiring) }
  func set() { isFinished.store(true, ordering: .releasing) }
}

/// Counts what one thread has done, for others.
final class Progress: Sendable {
  private let steps = Atomic<Int>(0)

  var count: Int { steps.load(ordering: .relaxed) }
  func add() { steps.store(count + 1, ordering: .relaxed) }
}

enum Threads {
  /// Runs the bodies at the same time, each on a CPU of its own, and waits for them.
  static func run<Answer>(_ bodies: [@Sendable () -> Answer]) -> [Answer] {
    let jobs = bodies.enumerated().map { index, body in
      Job {
        Processors.pin(to: index)
        return body()
      }
    }
    for job in jobs { job.start() }
    return jobs.map { $0.join() }
  }

  /// Runs the bodies at the same time, each wherever the system puts it, and waits for them.
  static func runUnpinned<Answer>(_ bodies: [@Sendable () -> Answer]) -> [Answer] {
    let jobs = bodies.map { Job($0) }
    for job in jobs { job.start() }
    return jobs.map { $0.join() }
  }

  /// Runs a body on the `index`-th CPU and waits for it.
  static func run<Answer>(
    onProcessor index: Int, _ body: @escaping @Sendable () -> Answer
  ) -> Answer {
    let job = Job {
      Processors.pin(to: index)
      return body()
    }
    job.start()
    return job.join()
  }
}
