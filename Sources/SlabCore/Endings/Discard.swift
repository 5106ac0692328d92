// SPDX-License-Identifier: Apache-2.0
// Giving back all objects of a group at once, without a look at them (an arena's reset, at its end).
//
//   discard(group)   ends the group and those below it, as `close`, and marks each `isDiscarded`
//   fence worker     settles them as always; a marked one then goes to the discard queue, instead of
//                    being released or handed over: `isDiscarding`. A group that was settled before is
//                    put there by `discard` itself.
//   discard worker   while objects of the group await a grace period, puts it back on the queue; else takes
//                    every slab of the group's caches, own and inherited; then the group is settled and
//                    nothing else, and ends as any other
//
// By contract no thread uses or frees an object of the group, and what was deferred before is free when the
// worker begins. So the caches have no other mover than this worker: it takes the last slab, as a free does
// elsewhere. The group's handle, or the queue, keeps the group; its slabs keep its caches.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Ends a group and all groups below it, and gives back every object that is charged to them, those
  /// that they have inherited too. O(groups below, ended ones included); the registry lock for a few at
  /// a time. The slabs go back soon afterwards, in a worker: O(slabs).
  ///
  /// By contract no thread uses or frees an object of these groups any more. Those that await a grace
  /// period already are waited for by the worker. (Under the rules of Linux 4.10 it only closes.)
  ///
  /// - Throws: `.rootGroup`, `.groupShared` if this group or one below it has shared slabs, one that has ended too as long
  ///   as objects of it live. Then nothing has changed.
  package func discard(_ group: Pointer<Group>) throws(AllocatorError) {
    guard group.pointee.parent != nil else { throw .rootGroup }
    guard !hasShared(atOrBelow: group) else { throw .groupShared }
    letForkGoFirst()
    try Refusal.throwing(rules.pointee.discard, of: group)
  }

  /// `discard` of a group below the root group.
  func discardAll(_ group: Pointer<Group>) {
    discardSubtree(group)
    kickWorkersOrHelp()
  }

  /// The caller holds a handle. From its first moment the group gets no child group: those that were made
  /// before are found by the walk.
  private func discardSubtree(_ group: Pointer<Group>) {
    var registry = lockRegistry()
    group.pointee.isClosing = true
    registry.letGo {
      forEachChild(of: group, endedToo: true) { child in
        discardSubtree(child)
        release(child)
      }
      pausePoint(.beforeClosingMore)
    }
    group.pointee.isDiscarded = true
    switch group.state {
    case .online: takeOffline(group, under: registry)
    case .settled where !group.pointee.isDiscarding:
      group.beginEnding(under: registry)
      queueDiscarding(of: group, under: registry)
    default: break
    }
  }
}

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// For a settled group: from here until the worker is done it is neither released nor handed over.
  func queueDiscarding(of group: Pointer<Group>, under registry: borrowing RegistryLocked) {
    group.pointee.isDiscarding = true
    group.pointee.nextInBatch = lifecycle.pointee.discardQueue
    lifecycle.pointee.discardQueue = group
    notePending()
  }

  /// The discard worker: every group on the queue, or some at and below one. True if there was one.
  func runDiscardQueue(below group: Pointer<Group>? = nil) -> Bool {
    let registry = lockRegistry()
    var next = takeBatch(
      from: &lifecycle.pointee.discardQueue, below: group, under: registry)
    registry.unlock()
    var count = 0
    while let group = next {
      next = group.pointee.nextInBatch
      if group.mayAwaitGracePeriod { discardLater(group) } else { discardSlabs(of: group) }
      count += 1
    }
    if count > 0 { lifecycle.pointee.endingIsOver.signal() }
    noteDone(count)
    return count > 0
  }

  /// The callbacks that free its objects find their slabs in place; the worker looks again a little later.
  private func discardLater(_ group: Pointer<Group>) {
    let registry = lockRegistry()
    queueDiscarding(of: group, under: registry)
  }

  private func discardSlabs(of group: Pointer<Group>) {
    var released = ReleasedDescriptors()
    pausePoint(.beforeDiscarding)
    var registry = lockRegistry()
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    withCursor(in: group.caches, under: &registry) { cursor, registry in
      while let node = cursor.advance(in: group.caches) {
        let cache = Pointer<Cache>(groupNode: node)
        let lock = cache.pointee.lock.lock()
        // A cache without slabs is on its way already.
        let hasSlabs = cache.state == .deactivated
        if hasSlabs { cache.pin(under: lock) }
        lock.unlock()
        guard hasSlabs else { continue }
        registry.letGo {
          cache.giveBackAllSlabs()
          cache.unpin()
        }
      }
    }
    putDown()
    if group.pointee.reparentingChildGroupCount > 0 {
      // What they have is this group's soon: again, with the next look.
      queueDiscarding(of: group, under: registry)
    } else {
      group.pointee.isDiscarding = false
      group.finishEnding(under: registry)
      releaseIfUnused(group, released: &released, under: registry)
    }
    registry.unlock()
    released.free(to: endingsState)
  }
}
