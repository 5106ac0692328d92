// SPDX-License-Identifier: Apache-2.0
// How a user ends a root cache. What the root's last user leaves is the fence worker's (FenceBatch.swift), by way of
// the root batch; a user that is not the last only leaves (RootCache+Users.swift).

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Destroys a root cache and all its children, whatever state they are in: no allocation from it is served any
  /// more, its name can be used again at once, its memory goes back soon. Waits for no fence and no batch. Where it
  /// finds live objects it waits for deferred frees under way, a page of them for each thread, before it refuses. No
  /// thread may use the root while this runs or afterwards, with one exception: an allocation in a group that began
  /// before, and is just making the group's child. That allocation fails.
  ///
  /// Where others use the root as well (`mergesCaches`), this user only leaves it: O(1), its name is
  /// free, and what is live is taken for the others'. A user that leaves twice ends the process,
  /// unless its alias has been given to another user meanwhile.
  ///
  /// O(children), under the registry lock for 64 of them at a time. Objects that
  /// `freeAfterGracePeriod` has have no user, and hold it up for no longer than their grace period.
  ///
  /// - Throws: `.cacheBusy(objects:)` with the number of live objects, of the root and all its
  ///   children, and nothing has changed; `.cacheDestroyed` if another thread destroys it.
  package func destroy(_ reference: CacheReference) throws(AllocatorError) {
    let root = reference.root
    guard root.pointee.kind == .user else { fatal("destroy: a cache of the core's own") }
    guard let registry = try lockToEnd(reference) else { return }
    end(reference, under: registry)
  }

  /// For `destroy`: ends one user's share of a root. If it is the last one and there is no live object, the registry
  /// lock is held: the root is the caller's to end. If there are others, `nil`: the user's name is free, and that was
  /// all. Waits as `destroy` does.
  private func lockToEnd(
    _ reference: CacheReference
  ) throws(AllocatorError) -> RegistryLocked? {
    guard try !leaveUnlessLast(reference) else { return nil }
    return try lockToEnd(reference, live: try liveObjects(of: reference.root))
  }

  /// Ends a user's share of a root as `destroy`, also while objects are live: then the root ends with
  /// the last of them. No thread allocates from it any more; its name can be used again at once. O(1): the children are
  /// the workers'.
  /// (Under the rules of Linux 4.10 a cache with live objects stays.)
  package func abandon(_ reference: CacheReference) {
    rules.pointee.abandon(reference.root.address, reference.alias?.address ?? 0)
  }

  /// `abandon`, whatever is live.
  func leaveOrEnd(_ reference: CacheReference) {
    do throws(AllocatorError) {
      guard try !leaveUnlessLast(reference) else { return }
      end(reference, under: try lockToEnd(reference, live: 0))
    } catch {
      return
    }
  }

  /// The end of a root with its last user. Lets go of the lock.
  private func end(_ reference: CacheReference, under registry: consuming RegistryLocked) {
    let root = reference.root
    root.pointee.isDestroying = true
    removeName(of: reference, under: registry)
    rootGroup.leave(root, under: registry)
    endRoot(root, under: registry)
    freeAlias(of: reference)
  }

  /// A root that no user has any more is the fence worker's. Lets go of the lock.
  func batch(_ root: Pointer<RootCache>, under registry: consuming RegistryLocked) {
    root.pointee.nextInBatch = lifecycle.pointee.rootBatch
    lifecycle.pointee.rootBatch = root
    notePending()
    registry.unlock()
    kickWorkersOrHelp()
    // What waits to be free is this cache's, perhaps: no gathering.
    if hasDeferredFrees { kickCallbackWorker(isHurried: true) }
  }

  /// Objects of a root and its children that users have: those out of their slabs less those in
  /// sheaves and those that wait for a grace period to be free.
  package func liveObjects(of root: Pointer<RootCache>) throws(AllocatorError) -> Int {
    // Never too few: an object is counted as deferred before it is on its way, and until it is being
    // freed. So some of a larger number may be in the hand of a callback that frees them.
    guard try countLiveObjects(of: root) > 0 else { return 0 }
    return try withoutFreeing { () throws(AllocatorError) in
      try countLiveObjects(of: root)
    }
  }

  private func countLiveObjects(of root: Pointer<RootCache>) throws(AllocatorError) -> Int {
    var registry = lockRegistry()
    guard !root.pointee.isDestroying else { throw .cacheDestroyed }
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    defer { putDown() }
    var live = root.cache.liveObjects
    withCursor(in: root.children, under: &registry) { cursor, registry in
      var visited = 0
      while let node = cursor.advance(in: root.children) {
        let cache = Pointer<Cache>(siblingNode: node)
        // What a discarded group has, has no user.
        if !(cache.pointee.group?.pointee.isDiscarded ?? false) { live += cache.liveObjects }
        visited += 1
        if visited % 64 == 0 { registry.letGo {} }
      }
    }
    return live - root.sum(RootCache.Sum.deferred)
  }
}

extension Pointer where Pointee == Cache {
  /// Objects that users have. Exact while no thread uses the cache. O(CPUs).
  fileprivate var liveObjects: Int {
    let lock = pointee.lock.lock()
    return Int(pointee.objectsInUse) - objectsInSheaf(under: lock)
  }
}
