// SPDX-License-Identifier: Apache-2.0
// The root caches of a recording: from a name in the text to a dense number, without making a
// string of it.
//
// A cache is known by its name and object size together: the kernel may have several caches of
// one name, and objects of different sizes cannot come from one cache. The second cache of a
// name is called NAME:SIZE.
//
// Invariants: at most half of the places are taken; caches are never taken out.

struct CacheTable {
  private struct Cache {
    var name: Range<Int>
    var objectBytes: Int
    var hash: UInt64
  }

  private var caches: [Cache] = []
  /// The names of all caches, one behind the other.
  private var names: [UInt8] = []
  /// The number of a cache, or `free`.
  private var places = [Int32](repeating: free, count: 64)
  private static let free: Int32 = -1

  /// The number of the cache of this name and object size, and whether it is new.
  mutating func number(
    of name: Range<Int>, in line: Span<UInt8>, objectBytes: Int
  ) -> (cache: Int, isNew: Bool) {
    let hash = KeyTable.key(of: line.extracting(name), seed: UInt64(objectBytes))
    var place = Int(truncatingIfNeeded: hash >> 32) & (places.count - 1)
    while places[place] != Self.free {
      let cache = Int(places[place])
      if caches[cache].hash == hash, caches[cache].objectBytes == objectBytes,
        names.span.extracting(caches[cache].name).isEqual(to: line.extracting(name))
      {
        return (cache, false)
      }
      place = (place + 1) & (places.count - 1)
    }
    places[place] = Int32(caches.count)
    let start = names.count
    for offset in name { names.append(line[offset]) }
    caches.append(Cache(name: start..<names.count, objectBytes: objectBytes, hash: hash))
    if 2 * caches.count > places.count { grow() }
    return (caches.count - 1, true)
  }

  /// Whether a cache before the last one has the last one's name.
  var isLastNameTaken: Bool {
    guard let last = caches.last else { return false }
    let name = names.span.extracting(last.name)
    return caches.dropLast().contains { names.span.extracting($0.name).isEqual(to: name) }
  }

  private mutating func grow() {
    places = [Int32](repeating: Self.free, count: 2 * places.count)
    for (cache, entry) in caches.enumerated() {
      var place = Int(truncatingIfNeeded: entry.hash >> 32) & (places.count - 1)
      while places[place] != Self.free { place = (place + 1) & (places.count - 1) }
      places[place] = Int32(cache)
    }
  }
}
