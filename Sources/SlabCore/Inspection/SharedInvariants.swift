// SPDX-License-Identifier: Apache-2.0
// Whether what groups share is whole: each object that is not free has a payer, and the payers are charged for these
// objects and for what is in stock, and for nothing else (in a child of fork perhaps for a little more). For tests, as Invariants.swift.

internal import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Caches of objects that groups share. O(caches).
  package var sharedCacheCount: Int {
    let registry = lockRegistry()
    var count = 0
    forEachCache(under: registry) { if $0.pointee.kind == .shared { count += 1 } }
    return count
  }

  func brokenShared(under registry: borrowing RegistryLocked) -> StaticString? {
    guard hasStocks else { return nil }
    var bytes = 0
    var groups = 0
    var unlisted = 0
    let group = shared.pointee.group!
    if let broken = group.brokenInvariant(
      bytes: &bytes, groups: &groups, unlisted: &unlisted, under: registry)
    {
      return broken
    }
    if groups != 1 { return "shared: a group below that of the shared caches" }
    // What threads of the parent had in their hands in a fork.
    let mayHaveLost = shared.pointee.isForked
    var charged = 0
    var problem: StaticString?
    forEachCache(under: registry) { cache in
      guard cache.pointee.kind == .shared else { return }
      let lock = cache.pointee.lock.lock()
      let paid = cache.paidObjects(under: lock)
      charged += paid * Int(cache.pointee.placeBytes)
      let live = Int(cache.pointee.objectsInUse) - cache.objectsInSheaf(under: lock)
      if mayHaveLost ? paid > live : paid != live {
        problem = "shared: live objects without a payer, or free ones with one"
      }
    }
    if let problem { return problem }
    forEachStockWord { word in charged += word.value?.bytes ?? 0 }
    let below = rootGroup.chargedToPayersBelow(under: registry)
    if mayHaveLost ? charged > below : charged != below {
      return "shared: payers are charged for something else than objects and stocks"
    }
    return nil
  }
}

extension Pointer where Pointee == Cache {
  /// Objects that have a payer. O(objects).
  fileprivate func paidObjects(under lock: borrowing CacheLocked) -> Int {
    var count = 0
    func add(_ first: Pointer<Slab>?) {
      var next = first
      while let slab = next {
        next = slab.pointee.next
        for place in 0..<Int(slab.pointee.objectCount) where slab[payerOf: place] != 0 {
          count += 1
        }
      }
    }
    add(pointee.partialFirst)
    add(pointee.fullFirst)
    return count
  }
}

extension Pointer where Pointee == Group {
  /// What the group itself is charged by payers.
  var bytesOfPayer: Int {
    guard let payer = pointee.payer else { return 0 }
    return payer.pointee.charged.load(ordering: .relaxed) + payer.pointee.inherited
  }

  fileprivate func chargedToPayersBelow(under registry: borrowing RegistryLocked) -> Int {
    var bytes = bytesOfPayer
    var child = childGroups.successor(in: childGroups)
    while let current = child {
      child = current.successor(in: childGroups)
      bytes += Pointer<Group>(siblingNode: current).chargedToPayersBelow(under: registry)
    }
    return bytes
  }
}
