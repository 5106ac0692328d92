// SPDX-License-Identifier: Apache-2.0
// The directories below `slab`. A cache's place is its index, and each of its links is behind that; a child's is the number
// and the id of its group: the children are listed by falling numbers.

#if FUSE
  internal import Slab
  internal import Synchronization

  extension MountServer {
    /// Above the places of the dots.
    private static let firstPlace: UInt64 = 1 << 20
    /// Links of one cache that are listed.
    private static let mostLinks = (1 << 16) - 1

    func listCaches(behind place: UInt64, _ add: AddEntry) throws(FileError) {
      guard try addFixed(.caches, .top, behind: place, names: [], add) else { return }
      let start = place < Self.firstPlace ? Self.firstPlace : place
      let index = Int((start - Self.firstPlace) >> 16)
      allocator.forEachRootCache(from: index) { cache in
        let base = Self.firstPlace + UInt64(cache.index) << 16
        // Its own place is behind the directory; each link is one further.
        let done = cache.index == index && start > base ? Int(start - base) : 0
        if done < 1,
          !add(.fixed(cache.directoryName), entry(of: .cache(CacheKey(cache))), base + 1)
        {
          return false
        }
        guard cache.mayHaveAliases else { return true }
        for (number, name) in cache.names.prefix(Self.mostLinks - 1).enumerated()
        where number + 1 >= done {
          let name = name.asFileName
          let link = Node.alias(CacheKey(index: cache.index, hash: name.fileHash))
          guard add(.fixed(name), entry(of: link), base + UInt64(number) + 2) else { return false }
        }
        return true
      }
    }

    func list(cache key: CacheKey, behind place: UInt64, _ add: AddEntry) throws(FileError) {
      guard let cache = cache(key) else { throw .noEntry }
      let isOfUsers = cache.isOfUsers
      var names = CacheFile.allCases.map {
        ($0.name, entry(of: $0, in: key, isOfUsers: isOfUsers))
      }
      names.append((Self.childrenName, entry(of: .children(key))))
      try addFixed(.cache(key), .caches, behind: place, names: names, add)
    }

    func list(child key: ChildKey, behind place: UInt64, _ add: AddEntry) throws(FileError) {
      guard let (cache, _) = child(key) else { throw .noEntry }
      try addFixed(
        .child(key), .children(CacheKey(cache)), behind: place,
        names: CacheFile.ofChild.map { ($0.name, entry(of: $0, in: key)) }, add)
    }

    func list(childrenOf key: CacheKey, behind place: UInt64, _ add: AddEntry) throws(FileError) {
      guard let cache = cache(key) else { throw .noEntry }
      guard try addFixed(.children(key), .cache(key), behind: place, names: [], add) else { return }
      let limit = place >> 24 == 0 ? UInt64.max : place
      // From the beginning each listing is a new one.
      let kept = limit == .max ? nil : childListing.withLock { $0 }
      var listing =
        if let kept, kept.covers(limit, of: key) { kept } else {
          ChildListing(of: cache, key, behind: limit)
        }
      let prefix = cache.childPrefix
      while true {
        for child in listing.behind(limit) {
          let id = ChildKey(cache: cache.index, id: child.id, number: child.number)
          let name = Self.childName(prefix, child.number, child.name)
          guard add(.fixed(name), entry(of: .child(id)), child.place) else {
            return childListing.withLock { $0 = listing }
          }
        }
        guard let last = listing.goesOnBehind else { break }
        listing = ChildListing(of: cache, key, behind: last)
      }
      childListing.withLock { $0 = nil }
    }
  }
#endif
