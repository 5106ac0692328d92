// SPDX-License-Identifier: Apache-2.0
// The places of the core where a test can stop a thread: see Testing/PausePoints.swift of the layer below.

internal import SlabPlatform

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
  /// The batch is fenced, and not flushed.
  case beforeFlush
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
  /// The index has changed, and no section has been waited for.
  case afterFlip
  /// A grace period is over, and the callbacks that it was for have not run.
  case beforeCallbacks
  /// A sheaf that is to grow is fenced, and not flushed.
  case beforeGrowing
  /// A barn, or a full sheaf for it, has memory, and the cache does not have it yet.
  case beforeGrowingBarn

  // In the middle of something: other threads wait for the one that stands there. Each is for a test of one order of
  // two threads.

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
  /// No cache of a group is found any more, and the group is still online; under the registry lock.
  case beforeGoingOffline
  /// An object of a shared slab is free, its group was seen online, and its bytes are in no stock.
  case beforeStocking
  /// A shared cache has been made, and its maker has not looked at it.
  case beforeUsingSharedCache
}

#if DEBUG
  extension PausePoints {
    /// The next thread that comes to the point stops there.
    package static func arm(_ point: PausePoint) { arm(point.rawValue) }

    /// Waits until a thread has stopped at the point. False if none did within 30 s.
    package static func waitUntilReached(_ point: PausePoint) -> Bool {
      waitUntilReached(point.rawValue)
    }

    /// Lets the thread go on.
    package static func resume(_ point: PausePoint) { resume(point.rawValue) }
  }
#endif

/// A hop that tests can stop before.
@inline(__always)
func pausePoint(_ point: PausePoint) { pause(at: point.rawValue) }
