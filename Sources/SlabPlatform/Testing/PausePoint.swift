// Places where a test can stop a thread, so that every order of two threads around a hop of the life
// cycle can be forced. In debug builds only: in a release build `pausePoint` is nothing.
//
// One test at a time arms them, in a process of its own. The first thread that comes to an armed
// point stops there, and disarms it; it goes on when the test says so.

internal import Synchronization

/// The hops, and other places. The names say what is about to happen.
package enum PausePoint: UInt64, CaseIterable, Sendable {
  /// A slow allocation has seen that its cache serves, and has charged nothing.
  case beforeCharging
  /// First use: a child cache is built, and not linked.
  case beforeLinkingChild
  /// A slab is charged and made, and not on its cache's list.
  case beforeAddingSlab
  /// Slabs are off their list, and not given back.
  case beforeReleasingSlabs
  /// The fence worker has taken the batch, and closed nothing.
  case beforeClosingBatch
  /// The batch is closed, and not fenced.
  case beforeFence
  /// The batch is fenced, and not drained.
  case beforeDraining
  /// The caches of the batch are done, its groups are not.
  case beforeFinishingGroups
  /// The discard worker has a group in hand, and none of its slabs.
  case beforeDiscarding
  /// Some groups of those that are closed together are offline.
  case beforeClosingMore
  /// The destroy worker has a dying cache in hand.
  case beforeShutdown
  /// Type-safe caches are shut down, and no barrier has been asked for.
  case beforeBarrier
  /// A barrier has been asked for, and its cookie is not written.
  case beforeBarrierCookie
  /// The barrier is over, and its caches are not released.
  case beforeReleasingBatch
  /// A last handle is given back, and nothing else has happened.
  case beforeLastHandle
  /// The index that no section has is about to be the one in use.
  case beforeFlip
  /// The index has changed, and nobody has been waited for.
  case afterFlip
  /// A grace period is over, and the callbacks that it was for have not run.
  case beforeCallbacks
  /// A sheaf that is to grow is fenced, and not drained.
  case beforeGrowing

  // In the middle of something: of these, others wait for who stands there. Each is for a test of one
  // order of two threads.

  /// A charge fits, and has not been made.
  case beforeAddingCharge
  /// The group of a slab that goes back has been read, and not looked at; under the page lock.
  case beforeUncharging
  /// A barrier's head is in a queue that has callbacks; under the barrier's lock.
  case afterEntraining
  /// A queue's callbacks have been moved, and their grace period is not named; under the queue's lock.
  case beforeCookie
  /// Objects are not deferred any more, and not free.
  case beforeFreeingDeferred
  /// The sheaf of deferred frees is as good as flushed, and not closed; under the deferred lock.
  case beforeFlushing
  /// A worker has found nothing to do, and has not said so.
  case beforeSleeping
  /// The same of a worker of callbacks.
  case beforeSleepingWithoutCallbacks
  /// Descriptors are out of all lists, and not free.
  case beforeFreeingDescriptors
  /// There is work, and no worker is awake: one is about to be started.
  case beforeStartingWorker
}

#if DEBUG
  /// What tests use. All of it blocks with a bound.
  package enum PausePoints {
    fileprivate static let armed = Atomic<UInt64>(0)
    fileprivate static let waiting = Atomic<UInt64>(0)
    fileprivate static let events = EventCount()
    private static var bound: UInt64 { 30_000_000_000 }

    /// The next thread that comes to the point stops there.
    package static func arm(_ point: PausePoint) {
      armed.bitwiseOr(1 << point.rawValue, ordering: .sequentiallyConsistent)
    }

    /// Waits until a thread has stopped at the point. False if none did within 30 s.
    package static func waitUntilReached(_ point: PausePoint) -> Bool {
      wait { waiting.load(ordering: .acquiring) & 1 << point.rawValue != 0 }
    }

    /// Lets the thread go on.
    package static func resume(_ point: PausePoint) {
      waiting.bitwiseAnd(~(1 << point.rawValue), ordering: .sequentiallyConsistent)
      events.signal()
    }

    fileprivate static func stop(at point: PausePoint) {
      let bit: UInt64 = 1 << point.rawValue
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

/// A hop that tests can stop before.
@inline(__always)
package func pausePoint(_ point: PausePoint) {
  #if DEBUG
    if PausePoints.armed.load(ordering: .relaxed) & 1 << point.rawValue != 0 {
      PausePoints.stop(at: point)
    }
  #endif
}
