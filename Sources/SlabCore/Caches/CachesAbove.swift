// SPDX-License-Identifier: Apache-2.0
// What caches need of the rooms above them, which they do not know: a table of functions, given when the
// allocator is made. A child cache's memory comes from its group, and its end is the life cycle's.
//
// All are called with addresses of descriptors, holding no lock of a cache, except where it is said. C functions cannot
// get the proof of a lock: those that are called under one are called by one function each, which has it.

internal import SlabPlatform

@safe
package struct CachesAbove: Sendable {
  /// Answers a `RunRequest`: a run for a slab of a child cache, charged to its group, after a reclaim if it
  /// must be.
  typealias TakeRun = @convention(c) (_ request: UnsafeMutableRawPointer) -> Void
  /// Runs of slabs of a child cache go back, and what is charged for them.
  typealias GiveBackRuns =
    @convention(c) (
      _ cache: UInt, _ runs: UnsafeRawPointer, _ count: Int
    ) -> Void
  typealias OfSlab = @convention(c) (_ slab: UInt) -> Void
  typealias OfCache = @convention(c) (_ cache: UInt) -> Void
  typealias OfAllocator = @convention(c) (_ state: UInt) -> Void

  let takeRun: TakeRun
  let giveBackRuns: GiveBackRuns
  /// The lowest limit of the group of an active child cache and of those above it, in bytes. Under the cache's
  /// lock.
  let leastLimit: @convention(c) (_ cache: UInt) -> Int
  /// Whether a cache may have so many bytes more in its barn, beside the other barns of its group. Under the cache's lock.
  let grantBarn: @convention(c) (_ cache: UInt, _ bytes: Int) -> Bool
  /// Bytes of `grantBarn` are not needed any more. Under the cache's lock.
  let endBarnGrant: @convention(c) (_ cache: UInt, _ bytes: Int) -> Void
  /// An active child cache has something idle, and its group is marked for nothing of that kind: a reclaim is
  /// to find it from now on. The cache is pinned.
  let becomesIdle: OfCache
  /// `giveBack` of a slab of a type-safe cache is due after a grace period.
  let giveBackLater: OfSlab
  /// An object of a shared cache is free: so many bytes of a payer are not in use any more.
  let giveBackShared: @convention(c) (_ state: UInt, _ payer: UInt32, _ bytes: Int) -> Void
  /// The last slab of a deactivated cache is back: it is dying, and the life cycle's from here on.
  let isDying: OfCache
  /// Under the registry lock: whether a user of a cache has this `CacheName`. How it is looked for is a rule of
  /// the life cycle.
  let isNameInUse: @convention(c) (_ state: UInt, _ name: UnsafeRawPointer) -> Bool
  /// There is something for a worker to do.
  let wakeWorkers: OfAllocator
}

/// What a child cache asks its group for.
struct RunRequest {
  let cache: Pointer<Cache>
  /// What it wants, and the least that will do.
  let shape: RunShape
  let smallest: RunShape
  /// How many it would take, where no limit is in the way: see SlabsAhead.swift.
  var count = 1
  // The answer: one run or more, or why there is none.
  var runs = RunBatch()
  var refusal: AllocatorError? = nil
  var ahead = AheadInHand.none
}

extension Pointer where Pointee == Cache {
  /// A run charged to the group, for a holder of a handle on it.
  func requestRun(
    _ shape: RunShape, atLeast smallest: RunShape
  ) throws(AllocatorError) -> Run {
    var request = RunRequest(cache: self, shape: shape, smallest: smallest)
    try answer(&request)
    return request.runs[0]
  }

  /// Has a request answered.
  func answer(_ request: inout RunRequest) throws(AllocatorError) {
    // SAFETY: the request lives as long as the call.
    unsafe withUnsafeMutablePointer(to: &request) { pointer in
      unsafe pointee.allocator.cachesState.pointee.above.takeRun(UnsafeMutableRawPointer(pointer))
    }
    if let refusal = request.refusal { throw refusal }
  }

  /// Gives runs back to the group that they are charged to now.
  func giveBackRuns(_ runs: UnsafeBufferPointer<Run>) {
    guard let first = runs.baseAddress else { return }
    unsafe pointee.allocator.cachesState.pointee.above.giveBackRuns(
      address, UnsafeRawPointer(first), runs.count)
  }

  /// Of an active cache: the lowest limit that its memory has, in bytes.
  func leastLimit(under lock: borrowing CacheLocked) -> Int {
    isRoot ? .max : pointee.allocator.cachesState.pointee.above.leastLimit(address)
  }

  /// Of an active cache: whether it may have so many bytes more in its barn.
  func grantBarn(bytes: Int, under lock: borrowing CacheLocked) -> Bool {
    pointee.allocator.cachesState.pointee.above.grantBarn(address, bytes)
  }

  /// Of a cache with a barn: until that has ended its group stays the same.
  func endBarnGrant(bytes: Int, under lock: borrowing CacheLocked) {
    guard bytes > 0 else { return }
    pointee.allocator.cachesState.pointee.above.endBarnGrant(address, bytes)
  }

  /// Holding no lock, after `isNewlyIdle`. The cache may be gone when this returns.
  @inline(never)
  func tellOwner() {
    pointee.allocator.cachesState.pointee.above.becomesIdle(address)
    unpin()
  }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// Passes a cache that has become dying to the life cycle. The caller must not touch it any more: it may be
  /// released before this returns.
  func handOver(_ cache: Pointer<Cache>) { cachesState.pointee.above.isDying(cache.address) }

  /// Whether a user has this name.
  func isInUse(_ name: CacheName, under registry: borrowing RegistryLocked) -> Bool {
    // SAFETY: the name lives as long as the call.
    unsafe withUnsafePointer(to: name) { name in
      unsafe cachesState.pointee.above.isNameInUse(address, UnsafeRawPointer(name))
    }
  }

  func wakeWorkers() { cachesState.pointee.above.wakeWorkers(address) }
}
