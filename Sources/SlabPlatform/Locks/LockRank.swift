// SPDX-License-Identifier: Apache-2.0
// The lock order. A thread takes a lock only while all that it holds stand above it in this list; debug builds
// end a process that does otherwise. What each lock guards, and for how long it is held, is in
// docs/lock-order.md, whose table a test compares with this list.

/// The ranks of the locks, the outermost first.
///
/// Two locks of one rank are never held together. The one exception is fork, which takes all of them: see
/// `HeldLocks.beginFork`.
@usableFromInline
package enum LockRank: UInt8, CaseIterable {
  /// No lock in memory, but fork waits for it as for one: see SlabCore's Base/ForkGate.swift. Fork alone waits
  /// for it, holding nothing; so other threads may take it under any lock.
  case inHand
  /// The process's list of allocators.
  case forkHandlers
  /// Only ever tried, but by fork.
  case workerBusy
  case batch
  /// The rules of Linux 4.10 only.
  case group
  case deferred
  /// Not taken by fork.
  case gracePeriod
  case barrier
  case registry
  case idleClock
  /// Of the registry's own caches as well, whose objects come and go under the registry lock.
  case cache
  case workers
  case callbackQueue
  case callbackWorkers
  case tracking
  case pages
  case region
  /// Of the fallback's stripes, and of the one that all CPUs share.
  case stripe

  /// As docs/lock-order.md has it, and the line that ends a process.
  package var name: StaticString {
    switch self {
    case .inHand: "what is in hand"
    case .forkHandlers: "fork handlers' lock"
    case .workerBusy: "a worker's busy lock"
    case .batch: "batch lock"
    case .group: "group lock"
    case .deferred: "deferred lock"
    case .gracePeriod: "gate of grace periods"
    case .barrier: "barrier lock"
    case .registry: "registry lock"
    case .idleClock: "the idle clock's lock"
    case .cache: "a cache's lock"
    case .workers: "workers' lock"
    case .callbackQueue: "a callback queue's lock"
    case .callbackWorkers: "callback workers' lock"
    case .tracking: "tracking lock"
    case .pages: "page lock"
    case .region: "region lock"
    case .stripe: "a stripe's lock"
    }
  }

  /// How high it stands, from 1: what is in a lock's word. 0 is a lock outside of the order.
  @usableFromInline
  var height: UInt32 { UInt32(Self.stripe.rawValue - rawValue) + 1 }

  init?(height: UInt32) {
    guard height > 0 else { return nil }
    self.init(rawValue: Self.stripe.rawValue + 1 - UInt8(height))
  }
}
