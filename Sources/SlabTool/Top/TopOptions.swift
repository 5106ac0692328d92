// SPDX-License-Identifier: Apache-2.0
// What a user of `slab top` has chosen to see, and how.

import ArgumentParser

enum GroupOrder: String, CaseIterable, ExpressibleByArgument {
  case current, peak, max, rate, dying, name
}

enum CacheOrder: String, CaseIterable {
  case waste, slabs, objects, size, name
}

struct TopOptions: Equatable {
  enum Pane: Equatable {
    case groups, caches
  }

  var groupOrder = GroupOrder.current
  var cacheOrder = CacheOrder.waste
  /// Smallest first.
  var isReversed = false
  /// Only what has this in its path or name, in upper or lower case; empty for all.
  var filter = ""
  var onlyDying = false
  /// Keys of groups whose children are not shown.
  var folded: Set<ByteString> = []
  var isFrozen = false
  var pane = Pane.groups
  /// Whether the pane has the screen alone.
  var isZoomed = false
}

extension CaseIterable where Self: Equatable, AllCases.Index == Int {
  /// The one behind it, and behind the last one the first.
  var next: Self {
    let all = Self.allCases
    return all[(all.firstIndex(of: self)! + 1) % all.count]
  }
}
