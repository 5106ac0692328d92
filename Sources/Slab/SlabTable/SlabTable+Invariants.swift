// SPDX-License-Identifier: Apache-2.0
// What must hold of a table while it is not in use; for tests.

internal import SlabCore
internal import SlabPlatform
internal import Synchronization

extension TableCore {
  /// The first invariant that does not hold, if there is one. Nothing may be at work, and no
  /// `Entry` be held. O(entries + buckets).
  func brokenInvariant() -> String? {
    var array = Optional(currentArray)
    var linked = 0
    var isCurrent = true
    while let checked = array {
      guard let entries = countEntries(of: checked) else {
        return "a chain of \(checked.bucketCount) buckets"
      }
      linked += entries
      let moved = (0..<checked.bucketCount).count { checked[$0].isMoved }
      if moved != checked.pointee.movedCount.load(ordering: .relaxed) { return "moved buckets" }
      if moved == checked.bucketCount { return "an array without entries is the current one" }
      if moved > 0, checked.future == nil { return "buckets moved to nowhere" }
      if !isCurrent, checked.future != nil { return "two arrays have a future" }
      if let future = checked.future, future.bucketCount != 2 * checked.bucketCount {
        return "a future of another size"
      }
      isCurrent = false
      array = checked.future
    }
    return linked == count ? nil : "\(linked) entries, counted \(count)"
  }

  /// `nil` if a chain is broken.
  private func countEntries(of array: Pointer<BucketArray>) -> Int? {
    var count = 0
    for index in 0..<array.bucketCount {
      guard array[index].pointee.lock.tryLock() else { return nil }
      array[index].pointee.lock.unlock()
      var link = array.first(of: index)
      if array[index].isMoved, link != array.end(of: index) { return nil }
      while !BucketArray.isEnd(link) {
        // SAFETY: a link is an entry's address, which lives until a grace period after it is taken out.
        let entry = unsafe Pointer<TableEntry>(nonzeroAddress: link)
        let hash = entry.pointee.hash.load(ordering: .relaxed)
        guard array.index(of: hash) == index,
          entry.pointee.count.load(ordering: .relaxed) == 1,
          allocator.cache(of: link) != nil
        else { return nil }
        count += 1
        link = entry.next
      }
      guard link == array.end(of: index) else { return nil }
    }
    return count
  }
}
