// SPDX-License-Identifier: Apache-2.0
// A root cache in use, with its children: how many slabs are partial, and whether slabs are whole.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Slabs with a free object of a root, on which the caller has a hold, and of all its children. O(children); takes the
  /// registry lock for 16 of them at a time.
  package func partialSlabCount(of root: Pointer<RootCache>) -> Int {
    var count = 0
    forEachCache(of: root) { cache, lock in
      count += Int(cache.pointee.partialCount)
      return false
    } then: { _ in
    }
    return count
  }

  /// Checks slabs of a root, on which the caller has a hold, and of all its children, as `validate_slab_cache` of
  /// mm/slub.c: their places on lists, what is free by counts and by bits, and the poison of free objects. Of each cache
  /// the first 1,024 partial slabs and, of a child, as many full ones. A broken slab ends the process, as a free into it
  /// may. O(slabs); a cache's lock for 16 slabs at a time, of a poisoned cache for one.
  package func validate(_ root: Pointer<RootCache>) {
    forEachCache(of: root) { cache, _ in
      !cache.hasBlocks && !cache.hasCharges
        && cache.state.rawValue <= CacheState.deactivated.rawValue
    } then: {
      $0.validate()
    }
  }

  /// Visits the caches of a root under their locks: its own one and the children, of which the one is that groups share. Those that
  /// `isPicked` says true for it visits again, without a lock; they must not be on their way out. The registry
  /// lock for 16 children at a time.
  private func forEachCache(
    of root: Pointer<RootCache>, where isPicked: (Pointer<Cache>, borrowing CacheLocked) -> Bool,
    then visit: (Pointer<Cache>) -> Void
  ) {
    var picked = PinnedCaches()
    picked.add(root.cache, where: isPicked)
    picked.visit(visit)
    var registry = lockRegistry()
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    withCursor(in: root.children, under: &registry) { cursor, registry in
      var isThrough = false
      while !isThrough {
        for _ in 0..<PinnedCaches.most {
          guard let node = cursor.advance(in: root.children) else {
            isThrough = true
            break
          }
          picked.add(Pointer<Cache>(siblingNode: node), where: isPicked)
        }
        registry.letGo { picked.visit(visit) }
      }
    }
    putDown()
  }
}

/// Caches that a thread goes on to look at without a lock.
private struct PinnedCaches {
  private var caches = InlineArray<16, Pointer<Cache>?>(repeating: nil)
  private var count = 0

  static var most: Int { 16 }

  mutating func add(
    _ cache: Pointer<Cache>, where isPicked: (Pointer<Cache>, borrowing CacheLocked) -> Bool
  ) {
    let lock = cache.pointee.lock.lock()
    guard isPicked(cache, lock) else { return }
    cache.pin(under: lock)
    caches[count] = cache
    count += 1
  }

  /// Visits them; they may be gone afterwards.
  mutating func visit(_ body: (Pointer<Cache>) -> Void) {
    for index in 0..<count {
      body(caches[index]!)
      caches[index]!.unpin()
    }
    count = 0
  }
}

extension Pointer where Pointee == Cache {
  private static var mostValidated: Int { 1024 }

  /// Of a pinned cache.
  fileprivate func validate() {
    pointee.allocator.expectNoLock(below: .gracePeriod, "a walk of slabs")
    validate(fullOnes: false)
    if !isRoot { validate(fullOnes: true) }
  }

  /// A list in pieces. Where it changes in between, a slab may be checked twice, or not.
  private func validate(fullOnes: Bool) {
    let most = pointee.root.pointee.isPoisoned ? 1 : 16
    var passed = 0
    while passed < Self.mostValidated {
      let lock = pointee.lock.lock()
      var slab = fullOnes ? pointee.fullFirst : pointee.partialFirst
      var previous: Pointer<Slab>?
      var index = 0
      while let current = slab, index < passed + most {
        if index >= passed { validate(current, behind: previous, under: lock) }
        index += 1
        previous = current
        slab = current.pointee.next
      }
      passed += most
      if slab == nil { return }
    }
  }

  private func validate(
    _ slab: Pointer<Slab>, behind previous: Pointer<Slab>?, under lock: borrowing CacheLocked
  ) {
    if slab.pointee.owner != address { fatal("validate: a slab of another cache") }
    if slab.pointee.previous != previous { fatal("validate: a broken list of slabs") }
    guard slab.areCountsWhole else { fatal("validate: a slab's free objects do not add up") }
    if pointee.root.pointee.isPoisoned { checkPoison(ofFreeObjectsIn: slab, under: lock) }
  }
}

extension Pointer where Pointee == Slab {
  /// Whether as many objects are free by the bits as by the count.
  var areCountsWhole: Bool {
    countedFreeObjects == Int(pointee.objectCount) - Int(pointee.inUse)
  }
}
