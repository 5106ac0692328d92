// SPDX-License-Identifier: Apache-2.0
// What a cache has that a reclaim could take: an empty slab, a sheaf, or one in the barn. Its group is told of the first, so
// that reclaims find it; `hasIdle` of the owner spares it the others. It is looked at under the cache's lock,
// and a reclaim clears it before it takes that lock to look: so the reclaim finds what the cache has, or the
// cache finds it cleared.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// After the cache may have got a sheaf or an empty slab. True if its group is to be told, by `tellOwner` when the
  /// caller holds no lock; until then the cache is pinned.
  func isNewlyIdle(under lock: borrowing CacheLocked) -> Bool {
    // The state first: the owner of a cache that is over changes without this lock, also beside a late free.
    guard state == .active, let owner = pointee.owner,
      !owner.pointee.hasIdle.load(ordering: .relaxed), hasIdle(under: lock), owner.pointee.isOnline
    else { return false }
    // At once, though the group is on no list yet: a thread at the limit of the group itself needs no list.
    // Relaxed: see above, the cache's lock orders it.
    owner.pointee.hasIdle.store(true, ordering: .relaxed)
    pin(under: lock)
    return true
  }

  @inline(__always)
  func hasIdle(under lock: borrowing CacheLocked) -> Bool {
    pointee.emptyCount > 0 || !sheaf(under: lock).isClosed || pointee.barn?.pointee.full != nil
  }
}
