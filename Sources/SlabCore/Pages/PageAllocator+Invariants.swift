// SPDX-License-Identifier: Apache-2.0
// One function that says whether the page allocator is whole.

internal import SlabPlatform

extension PageAllocator {
  /// Checks every invariant of the page allocator; `nil`, or what is wrong. O(free runs).
  mutating func brokenInvariant(under lock: borrowing PagesLocked) -> StaticString? {
    var problem: StaticString?
    var pages = InlineArray<2, Int>(repeating: 0)
    let map = self.map
    let end = endUnit
    let freeChunks = self.freeChunks
    var chunks = 0
    for order in 0...Self.largestOrder {
      for kind in 0..<2 {
        let head = kind == 1 ? dirtyHeads[order] : cleanHeads[order]
        map.forEachFree(head: head) { unit, word in
          if !UnitMap.isFree(word) { problem = "pages: a used run on a free list" }
          if UnitMap.order(word) != order { problem = "pages: a run on the wrong list" }
          if UnitMap.isDirty(word) != (kind == 1) { problem = "pages: a run of the wrong kind" }
          if order < UnitMap.pageOrder { problem = "pages: a run below a page" }
          if unit & (1 << order - 1) != 0 { problem = "pages: an unaligned run" }
          if unit + 1 << order > end { problem = "pages: a run behind the end" }
          // The largest ones have none, and what would be its word may not be there.
          let buddy = order < Self.largestOrder ? map.words[unit ^ 1 << order] : 0
          if UnitMap.isFree(buddy), UnitMap.order(buddy) == order,
            UnitMap.isDirty(buddy) == UnitMap.isDirty(word)
          {
            problem = "pages: two free buddies"
          }
          if order == Self.largestOrder {
            chunks += 1
            if !freeChunks[unit >> order] { problem = "pages: a free chunk that is not in the set" }
          }
          pages[kind] += 1 << (order - UnitMap.pageOrder)
        }
      }
    }
    if chunks != freeChunks.count { problem = "pages: chunks in the set that are not free" }
    if pages[0] != cleanPages { problem = "pages: clean pages do not add up" }
    if pages[1] != dirtyPages { problem = "pages: dirty pages do not add up" }
    if usedPages + dirtyPages + cleanPages != endUnit >> UnitMap.pageOrder {
      problem = "pages: used, dirty and clean do not add up"
    }
    return problem
  }
}
