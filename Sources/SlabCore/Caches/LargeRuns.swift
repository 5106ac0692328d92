// SPDX-License-Identifier: Apache-2.0
// Runs of pages that caches of large objects keep for the next object. A large object has a run to itself
// (see SizeClasses.swift); to charge one, to make its slab and to give both back costs ten times what a pair
// of a sheaf does. So a cache that is hot, after as many slow operations as open a sheaf, *reserves* runs:
//
//   CPUs + 1   a sheaf of one object, and an empty slab
//   1          an empty slab, where the first is too much
//   none       where that is too much as well: each run goes back with its object, as it does in a cache
//              that is not hot
//
// What is reserved may lie idle. It is counted for the whole allocator when it is reserved, so that no pair
// touches a counter. Too much is more than a part of the least limit here or above (`max` and `high`), such
// that all classes of a group have less than an eighth of it; and what brings all caches of the allocator
// above 64 MiB or an eighth of the memory in use. A cache that is refused by the latter has those that are cold
// taken back: see ColdSheaves.swift.
//
// The reservation ends when the runs go back: with a reclaim, with `trim`, with the cold, with the cache.

internal import SlabPlatform
internal import Synchronization

enum LargeRuns {
  /// Bytes that all caches may reserve, however little is in use.
  static var leastBytes: Int { 64 << 20 }
  /// A class may reserve this part of a limit with a sheaf, or without one. Each class is twice as large as
  /// the one before: so those with a sheaf have less than two such parts, and those without as well.
  static var partOfLimit: Int { 32 }
}

extension Pointer where Pointee == Cache {
  /// Whether each object has a run of pages to itself.
  var hasLargeObjects: Bool { Int(pointee.placeBytes) >= SlabGeometry.pageRun }

  /// Of an active cache that is hot and has no sheaf: reserves as many runs as it may have. Whether they are enough
  /// for a sheaf. O(depth); takes the page lock.
  func reserveRuns(under lock: borrowing CacheLocked) -> Bool {
    let most = leastLimit(under: lock) / LargeRuns.partOfLimit
    let enough = pointee.allocator.region.pointee.stripeCount + 1
    if reserve(runs: enough, ofBytes: most, under: lock) { return true }
    _ = reserve(runs: 1, ofBytes: most, under: lock)
    return false
  }

  private func reserve(
    runs: Int, ofBytes most: Int, under lock: borrowing CacheLocked
  ) -> Bool {
    let more = runs - Int(pointee.reservedRuns)
    guard more > 0 else { return true }
    let bytes = Int(pointee.placeBytes)
    guard runs * bytes <= most,
      pointee.allocator.reserveIdle(bytes: more * bytes, under: lock)
    else { return false }
    pointee.reservedRuns = UInt32(runs)
    return true
  }

  /// When neither a sheaf nor an empty slab is left.
  func endReservation(under lock: borrowing CacheLocked) {
    guard pointee.reservedRuns > 0 else { return }
    let pages = pointee.allocator.pages
    let pagesLock = pages.pointee.lock.lock()
    pages.pointee.reservedBytes -= reservedBytes(under: lock)
    pagesLock.unlock()
    pointee.reservedRuns = 0
  }

  func reservedBytes(under lock: borrowing CacheLocked) -> Int {
    Int(pointee.reservedRuns) * Int(pointee.placeBytes)
  }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// Counts bytes that may lie idle, unless they are too many. `wakeForSheaves` follows when the lock is free.
  fileprivate func reserveIdle(bytes: Int, under lock: borrowing CacheLocked) -> Bool {
    let pagesLock = pages.pointee.lock.lock()
    let most = max(LargeRuns.leastBytes, pages.pointee.usedPages * PageAllocator.pageBytes / 8)
    let isEnough = pages.pointee.reservedBytes + bytes <= most
    if isEnough { pages.pointee.reservedBytes += bytes }
    pagesLock.unlock()
    // What others give back does not help one that alone is too much.
    if !isEnough, bytes <= most { takeBackCold(under: lock) }
    return isEnough
  }
}
