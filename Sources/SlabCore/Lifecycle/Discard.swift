// Giving back all objects of a group at once, without a look at them (an arena's reset, at its end).
//
//   discard(group)   ends the group and those below it, as `close`, and marks each `isDiscarded`
//   fence worker     drains them as always; a marked one then goes to the discard queue, instead of
//                    being released or handed over: `isDiscarding`. A group that was drained before is
//                    put there by `discard` itself.
//   discard worker   while objects of the group await a grace period, puts it back on the queue; else takes
//                    every slab of the group's caches, own and inherited; then the group is drained and
//                    nothing else, and ends as any other
//
// By contract nobody uses or frees an object of the group, and what was deferred before is free when the
// worker begins. So the caches have no other mover than this worker: it takes the last slab, as a free does
// elsewhere. The group's handle, or the queue, keeps the group; its slabs keep its caches.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Ends a group and all groups below it, and gives back every object that is charged to them, those
  /// that they have inherited too. O(groups below, ended ones included); the registry lock for a few at
  /// a time. The slabs go back soon afterwards, in a worker: O(slabs).
  ///
  /// By contract nobody uses an object of these groups any more, nor frees one. Those that await a grace
  /// period already are waited for by the worker. (Under the rules of Linux 4.10 it only closes.)
  ///
  /// - Throws: `.rootGroup`.
  package func discard(_ group: Pointer<Group>) throws(AllocatorError) {
    guard group.pointee.parent != nil else { throw .rootGroup }
    guard !state.isLinux410 else { return try close(group) }
    state.letForkGoFirst()
    discardSubtree(group)
    state.kickWorkersOrHelp()
  }

  /// The caller holds a handle. From its first moment the group gets no child group: whoever came before
  /// is found by the walk.
  private func discardSubtree(_ group: Pointer<Group>) {
    state.pointee.registry.lock.lock()
    group.pointee.isClosing = true
    state.pointee.registry.lock.unlock()
    forEachChild(of: group, endedToo: true) { child in
      discardSubtree(child)
      release(child)
    }
    pausePoint(.beforeClosingMore)
    state.pointee.registry.lock.lock()
    group.pointee.isDiscarded = true
    switch group.state {
    case .online: takeOffline(group)
    case .drained where !group.pointee.isDiscarding:
      group.beginEnding()
      state.queueDiscarding(of: group)
    default: break
    }
    state.pointee.registry.lock.unlock()
  }
}

extension Pointer where Pointee == AllocatorState {
  /// Under the registry lock, for a drained group: from here until the worker is done nobody releases
  /// it or hands it over.
  func queueDiscarding(of group: Pointer<Group>) {
    group.pointee.isDiscarding = true
    group.pointee.nextInBatch = pointee.lifecycle.discardQueue
    pointee.lifecycle.discardQueue = group
    notePending()
  }

  /// The discard worker: every group on the queue, or some at and below one. True if there was one.
  func runDiscardQueue(below group: Pointer<Group>? = nil) -> Bool {
    pointee.registry.lock.lock()
    var next = takeBatch(from: &pointee.lifecycle.discardQueue, below: group)
    pointee.registry.lock.unlock()
    var count = 0
    while let group = next {
      next = group.pointee.nextInBatch
      if group.mayAwaitGracePeriod { discardLater(group) } else { discardSlabs(of: group) }
      count += 1
    }
    if count > 0 { pointee.lifecycle.endingIsOver.signal() }
    noteDone(count)
    return count > 0
  }

  /// The callbacks that free its objects find their slabs in place; the worker looks again a little later.
  private func discardLater(_ group: Pointer<Group>) {
    pointee.registry.lock.lock()
    queueDiscarding(of: group)
    pointee.registry.lock.unlock()
  }

  private func discardSlabs(of group: Pointer<Group>) {
    var released = ReleasedDescriptors()
    pausePoint(.beforeDiscarding)
    pointee.registry.lock.lock()
    // The cursor stands on this thread's stack.
    takeInHand()
    withCursor(in: group.caches) { cursor in
      while let node = cursor.advance(in: group.caches) {
        let cache = Pointer<Cache>(groupNode: node)
        cache.pointee.lock.lock()
        // A cache without slabs is on its way already.
        let hasSlabs = cache.state == .deactivated
        if hasSlabs { cache.pin() }
        cache.pointee.lock.unlock()
        guard hasSlabs else { continue }
        pointee.registry.lock.unlock()
        cache.giveBackAllSlabs()
        cache.unpin()
        pointee.registry.lock.lock()
      }
    }
    putDown()
    if group.pointee.reparentingChildGroupCount > 0 {
      // What they have is this group's soon: again, with the next look.
      queueDiscarding(of: group)
    } else {
      group.pointee.isDiscarding = false
      group.finishEnding()
      releaseIfUnused(group, released: &released)
    }
    pointee.registry.lock.unlock()
    released.free(to: self)
  }
}
