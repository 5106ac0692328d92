// SPDX-License-Identifier: Apache-2.0
// Children of a cache, in the order in which they are listed, for the pieces of a listing that goes on: the cache has
// them in another order, so each beginning is a pass over all of them.

#if FUSE
  internal import Slab

  struct ChildListing {
    struct Child {
      let place: UInt64
      let name: String

      var number: UInt32 { UInt32(truncatingIfNeeded: place >> 24) }
      var id: Int { Int(place & 0xff_ffff) }
    }

    /// So many at a time: with names of 255 bytes 5 MB.
    static let most = 16_384

    private let cache: CacheKey
    private let start: UInt64
    /// By falling places.
    private var children: [Child] = []
    /// The place that the next ones are behind; `nil` without a next one.
    private(set) var goesOnBehind: UInt64?

    /// Those behind a place.
    init(of cache: RootCacheView, _ key: CacheKey, behind place: UInt64) {
      self.cache = key
      start = place
      var rest = false
      cache.forEachChild { id, number, name, _ in
        let child = UInt64(number) << 24 | UInt64(id)
        // Without a number it has no place.
        guard number != 0, child < place else { return true }
        children.append(Child(place: child, name: name()))
        guard children.count == 2 * Self.most else { return true }
        keepFirst()
        rest = true
        return true
      }
      rest = rest || children.count > Self.most
      keepFirst()
      if rest { goesOnBehind = children.last?.place }
    }

    private mutating func keepFirst() {
      children.sort { $0.place > $1.place }
      children.removeLast(max(0, children.count - Self.most))
    }

    /// Whether what is behind a place is here.
    func covers(_ place: UInt64, of key: CacheKey) -> Bool {
      cache == key && place <= start && place > goesOnBehind ?? 0
    }

    func behind(_ place: UInt64) -> ArraySlice<Child> {
      var (low, high) = (0, children.count)
      while low < high {
        let middle = (low + high) / 2
        if children[middle].place < place { high = middle } else { low = middle + 1 }
      }
      return children[low...]
    }
  }
#endif
