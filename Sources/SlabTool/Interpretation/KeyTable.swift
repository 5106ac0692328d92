// SPDX-License-Identifier: Apache-2.0
// A hash table from 64-bit keys (addresses, ids) to dense numbers.
//
// Open addressing with linear probing. Invariants: at most half of the places are taken; every
// key is reachable from its home place without crossing a free place (removal closes the gap).
// Memory is in proportion to the greatest number of keys held at one time.

struct KeyTable {
  private struct Place {
    var key: UInt64
    var value: UInt32
    var isTaken: Bool

    static let free = Self(key: 0, value: 0, isTaken: false)
  }

  private(set) var count = 0
  private var places = [Place](repeating: .free, count: 64)

  /// A key for a text: FNV-1a, which does not repeat among the few thousand texts of a recording.
  static func key(of text: Span<UInt8>, seed: UInt64) -> UInt64 {
    var hash = 0xCBF2_9CE4_8422_2325 ^ seed
    for offset in text.indices { hash = (hash ^ UInt64(text[offset])) &* 0x100_0000_01B3 }
    return hash
  }

  /// The value of `key`.
  subscript(key: UInt64) -> Int? {
    let place = place(of: key)
    return places[place].isTaken ? Int(places[place].value) : nil
  }

  /// Gives `key` a value, instead of the one that it may have had.
  mutating func set(_ key: UInt64, to value: Int) {
    let place = place(of: key)
    if places[place].isTaken {
      places[place].value = UInt32(value)
      return
    }
    places[place] = Place(key: key, value: UInt32(value), isTaken: true)
    count += 1
    if 2 * count > places.count { grow() }
  }

  /// Takes `key` out; its value, if it had one.
  mutating func remove(_ key: UInt64) -> Int? {
    var gap = place(of: key)
    guard places[gap].isTaken else { return nil }
    let value = Int(places[gap].value)
    count -= 1
    // Every later key of the run whose home is not behind the gap moves into it.
    var next = following(gap)
    while places[next].isTaken {
      let distanceFromHome = distance(from: home(of: places[next].key), to: next)
      if distanceFromHome >= distance(from: gap, to: next) {
        places[gap] = places[next]
        gap = next
      }
      next = following(next)
    }
    places[gap].isTaken = false
    return value
  }

  /// The place that holds `key`, else the free place where it would go.
  private func place(of key: UInt64) -> Int {
    var place = home(of: key)
    while places[place].isTaken, places[place].key != key { place = following(place) }
    return place
  }

  /// Addresses differ in their middle bits; the product carries these into its upper half.
  private func home(of key: UInt64) -> Int {
    let product = key &* 0x9E37_79B9_7F4A_7C15
    return Int(truncatingIfNeeded: product >> 32) & (places.count - 1)
  }

  private func following(_ place: Int) -> Int {
    (place + 1) & (places.count - 1)
  }

  private func distance(from first: Int, to second: Int) -> Int {
    (second - first) & (places.count - 1)
  }

  private mutating func grow() {
    let old = places
    places = [Place](repeating: .free, count: 2 * old.count)
    for taken in old where taken.isTaken { places[place(of: taken.key)] = taken }
  }
}
