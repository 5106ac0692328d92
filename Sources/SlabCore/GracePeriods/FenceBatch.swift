// The fence worker: what `call_rcu_sched` and the deferred deactivation of patches 7 and 8 do, for
// a whole batch with one fence.
//
//   1  under the registry lock, take the whole batch and chain its caches; close their sheaves
//   2  one fence, if any sheaf was open
//   3  drain the sheaves, give empty slabs back; a cache without slabs is shut down at once, and
//      with it its names go (patch 9)
//
// Why the fence: an operation reads the sheaf word without a lock. After the fence every CPU reads
// "closed", so nothing can be parked behind the drain's back; otherwise a parked object would hold
// its slab, the slab a charge, and the group would never die.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == AllocatorState {
  /// Does one batch, if there is one and nobody else is at it: of everything that there is, or of some groups
  /// at and below one. True if there was something to do, and it could be done. Where the fence fails
  /// (membarrier can run out of memory, or be refused) nothing may be drained: the closed batch is kept, and
  /// tried again by the next look, so that nobody holds a lock meanwhile that fork needs.
  func runFenceBatch(below group: Pointer<Group>? = nil) -> Bool {
    guard pointee.lifecycle.batchLock.tryLock() else { return false }
    defer { pointee.lifecycle.batchLock.unlock() }
    guard let batch = pointee.lifecycle.unfenced ?? closeBatch(below: group) else { return false }
    pausePoint(.beforeFence)
    if batch.chain.needsFence {
      do { try fence() } catch {
        pointee.lifecycle.unfenced = batch
        return false
      }
      pointee.lifecycle.fences.add(1, ordering: .relaxed)
    }
    pointee.lifecycle.unfenced = nil
    pausePoint(.beforeDraining)
    finish(batch.chain)
    pausePoint(.beforeFinishingGroups)
    finish(batch.groups)
    noteDone(batch.rootCount)
    return true
  }

  /// Takes the whole batch and closes its sheaves; `nil` if nothing has ended.
  private func closeBatch(below limit: Pointer<Group>?) -> ClosedBatch? {
    pointee.registry.lock.lock()
    let groups = takeBatch(from: &pointee.lifecycle.offlineBatch, below: limit)
    var roots: Pointer<RootCache>?
    if limit == nil { swap(&roots, &pointee.lifecycle.rootBatch) }
    pointee.registry.lock.unlock()
    guard groups != nil || roots != nil else { return nil }
    pointee.lifecycle.fenceBatches.add(1, ordering: .relaxed)
    pausePoint(.beforeClosingBatch)

    var batch = ClosedBatch(groups: groups)
    var group = groups
    while let current = group {
      batch.chain.close(cachesOf: current)
      group = current.pointee.nextInBatch
    }
    var root = roots
    while let current = root {
      batch.chain.close(current, of: self)
      root = current.pointee.nextInBatch
      batch.rootCount += 1
    }
    return batch
  }

  /// The fence of Linux 4.10's rules, which wait for it: until it works.
  func waitForFence(counted isCounted: Bool = true) {
    while true {
      do {
        try fence()
        if isCounted { pointee.lifecycle.fences.add(1, ordering: .relaxed) }
        return
      } catch {
        checkFence()
        pauseWorker(nanoseconds: 1_000_000)
      }
    }
  }

  /// Step 3 for every cache of the chain.
  private func finish(_ chain: DeactivationChain) {
    var next = chain.first
    while let cache = next {
      // Read before the state changes: then a last free may hand the cache on.
      next = cache.pointee.nextInChain
      if let next { prefetch(next.address) }
      var slabs = SlabChain()
      cache.pointee.lock.lock()
      let isDying = cache.finishDeactivation(emptied: &slabs)
      cache.pointee.lock.unlock()
      if isDying {
        shutDown(cache)
      } else {
        cache.release(slabs)
      }
    }
  }

  /// After its caches: a group is drained, and released if nothing holds it, or else perhaps
  /// reparented.
  private func finish(_ groups: Pointer<Group>?) {
    var count = 0
    var next = groups
    while let group = next {
      next = group.pointee.nextInBatch
      if let next { prefetch(next.address) }
      var released = ReleasedDescriptors()
      pointee.registry.lock.lock()
      // Releasing: pairs with the acquiring load in `state`.
      group.pointee.state.store(GroupState.drained.rawValue, ordering: .releasing)
      if group.pointee.isDiscarded { queueDiscarding(of: group) } else { group.finishEnding() }
      releaseIfUnused(group, released: &released)
      pointee.registry.lock.unlock()
      released.free(to: self)
      count += 1
    }
    if count > 0 { pointee.lifecycle.endingIsOver.signal() }
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
    state.pointee.registry.lock.lock()
    withCursor(in: group.caches) { cursor in
      var visited = 0
      while let node = cursor.advance(in: group.caches) {
        let cache = Pointer<Cache>(groupNode: node)
        if cache.pointee.isInherited { break }
        close(cache)
        state.pointee.registry.listSteps += 1
        visited += 1
        if visited % Self.cachesPerPiece == 0 {
          state.pointee.registry.lock.unlock()
          state.pointee.registry.lock.lock()
        }
      }
    }
    state.pointee.registry.lock.unlock()
  }

  /// Caches that are closed while the registry lock is held once.
  private static var cachesPerPiece: Int { 16 }

  /// Step 1 for a root that is destroyed, and for its children. Takes the registry lock, for a few
  /// children at a time. O(children).
  mutating func close(_ root: Pointer<RootCache>, of state: Pointer<AllocatorState>) {
    state.pointee.registry.lock.lock()
    withCursor(in: root.children) { cursor in
      var visited = 0
      while let node = cursor.advance(in: root.children) {
        let cache = Pointer<Cache>(siblingNode: node)
        if let group = cache.pointee.group, group.isOnline { group.unpublish(cache) }
        close(cache)
        state.pointee.registry.listSteps += 1
        visited += 1
        if visited % Self.cachesPerPiece == 0 {
          state.pointee.registry.lock.unlock()
          state.pointee.registry.lock.lock()
        }
      }
    }
    state.pointee.registry.lock.unlock()
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
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    guard state == .active else { return false }
    moveState(to: .deactivating)
    // One that somebody else has retired is drained by the fence worker too, after its own fence.
    _ = retireSheaf()
    return true
  }

  /// After the fence, under the cache's lock: nothing stays in the sheaf, no empty slab in the
  /// cache. True if that was all it had, and it is dying.
  func finishDeactivation(emptied slabs: inout SlabChain) -> Bool {
    drainAndDetach(emptied: &slabs)
    moveState(to: .deactivated)
    return becomesDyingIfEmpty()
  }

  /// The first half of `finishDeactivation`.
  func drainAndDetach(emptied slabs: inout SlabChain) {
    let before = pointee.objectsInUse
    drainRetiredSheaf(emptied: &slabs)
    detachEmptySlabs(to: &slabs)
    countObjects(since: before)
  }
}
