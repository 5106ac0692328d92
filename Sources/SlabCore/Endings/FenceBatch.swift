// SPDX-License-Identifier: Apache-2.0
// The fence worker: what `call_rcu_sched` and the deferred deactivation of patches 7 and 8 do, for
// a whole batch with one fence.
//
//   1  under the registry lock, take the whole batch and chain its caches; close their sheaves
//   2  one fence, if any sheaf was open
//   3  flush the sheaves, give empty slabs back; a cache without slabs is shut down at once, and
//      with it its names go (patch 9)
//
// Why the fence: an operation reads the sheaf word without a lock. After the fence every CPU reads
// "closed", so nothing can be parked behind the flush's back; otherwise a parked object would hold
// its slab, the slab a charge, and the group would never die.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Does one batch, if there is one and no other thread is at it: of everything that there is, or of some groups
  /// at and below one. True if there was something to do, and it could be done. Where the fence fails
  /// (membarrier can run out of memory, or be refused) nothing may be flushed: the closed batch is kept, and
  /// tried again by the next look, so that no thread holds a lock meanwhile that fork needs.
  func runFenceBatch(below group: Pointer<Group>? = nil) -> Bool {
    guard let lock = lifecycle.pointee.batchLock.tryLock() else { return false }
    guard let batch = lifecycle.pointee.unfenced ?? closeBatch(below: group, under: lock) else {
      return false
    }
    pausePoint(.beforeFence)
    if batch.chain.needsFence {
      do { try fence() } catch {
        lifecycle.pointee.unfenced = batch
        return false
      }
      counters.pointee.fences += 1
    }
    lifecycle.pointee.unfenced = nil
    pausePoint(.beforeFlush)
    finish(batch.chain, under: lock)
    pausePoint(.beforeFinishingGroups)
    finish(batch.groups, under: lock)
    noteDone(batch.rootCount)
    return true
  }

  /// Takes the whole batch and closes its sheaves; `nil` if nothing has ended.
  private func closeBatch(
    below limit: Pointer<Group>?, under lock: borrowing BatchLocked
  ) -> ClosedBatch? {
    let registry = lockRegistry()
    let groups = takeBatch(
      from: &lifecycle.pointee.offlineBatch, below: limit, under: registry)
    var roots: Pointer<RootCache>?
    if limit == nil { swap(&roots, &lifecycle.pointee.rootBatch) }
    registry.unlock()
    guard groups != nil || roots != nil else { return nil }
    counters.pointee.fenceBatches += 1
    pausePoint(.beforeClosingBatch)

    var batch = ClosedBatch(groups: groups)
    var group = groups
    while let current = group {
      batch.chain.close(cachesOf: current)
      group = current.pointee.nextInBatch
    }
    var root = roots
    while let current = root {
      batch.chain.close(current, of: endingsState)
      root = current.pointee.nextInBatch
      batch.rootCount += 1
    }
    return batch
  }

  /// Step 3 for every cache of the chain.
  private func finish(_ chain: DeactivationChain, under batch: borrowing BatchLocked) {
    var next = chain.first
    while let cache = next {
      // Read before the state changes: then a last free may hand the cache on.
      next = cache.pointee.nextInChain
      if let next { prefetch(next.address) }
      var slabs = SlabChain()
      var lock = cache.pointee.lock.lock()
      // Nothing comes into it any more, and it must be over before the cache may end.
      if cache.pointee.barn != nil { lock.letGo { cache.endBarn() } }
      let isDying = cache.finishDeactivation(emptied: &slabs, under: lock)
      lock.unlock()
      if isDying {
        shutDown(cache)
      } else {
        cache.release(slabs)
      }
    }
  }

  /// After its caches: a group is settled, and released if nothing holds it, or else perhaps
  /// reparented.
  private func finish(_ groups: Pointer<Group>?, under batch: borrowing BatchLocked) {
    var count = 0
    var next = groups
    while let group = next {
      next = group.pointee.nextInBatch
      if let next { prefetch(next.address) }
      var released = ReleasedDescriptors()
      let registry = lockRegistry()
      // Releasing: pairs with the acquiring load in `state`.
      group.pointee.owner.state.store(GroupState.settled.rawValue, ordering: .releasing)
      if group.pointee.isDiscarded {
        queueDiscarding(of: group, under: registry)
      } else {
        group.finishEnding(under: registry)
      }
      releaseIfUnused(group, released: &released, under: registry)
      registry.unlock()
      released.free(to: endingsState)
      count += 1
    }
    if count > 0 { lifecycle.pointee.endingIsOver.signal() }
    noteDone(count)
  }
}

/// What has ended, with its sheaves closed.
struct ClosedBatch {
  var chain = DeactivationChain()
  let groups: Pointer<Group>?
  var rootCount = 0

  init(groups: Pointer<Group>?) { self.groups = groups }
}

/// Caches on their way from active to deactivated, chained by `nextInChain`.
struct DeactivationChain {
  private(set) var first: Pointer<Cache>? = nil
  private(set) var needsFence = false

  /// Step 1 for the caches of a group that is offline. Takes the registry lock, for a few caches at a
  /// time. O(own caches): what it inherited, at the end of its list, is past this.
  mutating func close(cachesOf group: Pointer<Group>) {
    let state = group.pointee.allocator
    var registry = state.lockRegistry()
    withCursor(in: group.caches, under: &registry) { cursor, registry in
      var visited = 0
      while let node = cursor.advance(in: group.caches) {
        let cache = Pointer<Cache>(groupNode: node)
        if cache.pointee.isInherited { break }
        close(cache)
        state.counters.pointee.listSteps += 1
        visited += 1
        if visited % Self.cachesPerPiece == 0 { registry.letGo {} }
      }
    }
  }

  /// Caches that are closed while the registry lock is held once.
  private static var cachesPerPiece: Int { 16 }

  /// Step 1 for a root that is destroyed, and for its children. Takes the registry lock, for a few
  /// children at a time. O(children).
  mutating func close(_ root: Pointer<RootCache>, of state: Pointer<EndingsState>) {
    var registry = state.lockRegistry()
    withCursor(in: root.children, under: &registry) { cursor, registry in
      var visited = 0
      while let node = cursor.advance(in: root.children) {
        let cache = Pointer<Cache>(siblingNode: node)
        if let group = cache.pointee.group, group.isOnline {
          group.unpublish(cache, under: registry)
        }
        close(cache)
        state.counters.pointee.listSteps += 1
        visited += 1
        if visited % Self.cachesPerPiece == 0 { registry.letGo {} }
      }
    }
    registry.unlock()
    close(root.cache)
  }

  /// Closes a cache's sheaf and chains the cache, unless it is past this already.
  private mutating func close(_ cache: Pointer<Cache>) {
    guard cache.beginDeactivation() else { return }
    if !cache.pointee.retiredSheaf.isClosed { needsFence = true }
    cache.pointee.nextInChain = first
    first = cache
  }
}

extension Pointer where Pointee == Cache {
  /// Closes the sheaf of an active cache, for good: it is deactivating from now on, and its opened
  /// sheaf awaits the fence in `retiredSheaf`. False if the cache is past this already.
  func beginDeactivation() -> Bool {
    let lock = pointee.lock.lock()
    guard state == .active else { return false }
    moveState(to: .deactivating, under: lock)
    // One that another thread has retired is flushed by the fence worker too, after its own fence.
    _ = retireSheaf(under: lock)
    return true
  }

  /// After the fence: empties the sheaf and gives the empty slabs up. True if the cache has no slab left, and is dying.
  func finishDeactivation(
    emptied slabs: inout SlabChain, under lock: borrowing CacheLocked
  ) -> Bool {
    flushAndDetach(emptied: &slabs, under: lock)
    moveState(to: .deactivated, under: lock)
    return becomesDyingIfEmpty(under: lock)
  }

  /// The first half of `finishDeactivation`.
  func flushAndDetach(emptied slabs: inout SlabChain, under lock: borrowing CacheLocked) {
    let before = pointee.objectsInUse
    flushRetiredSheaf(emptied: &slabs, under: lock)
    detachEmptySlabs(to: &slabs, under: lock)
    endReservation(under: lock)
    countObjects(since: before, under: lock)
  }
}
