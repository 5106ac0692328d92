// SPDX-License-Identifier: Apache-2.0
// Results by key, and by age: a list through all of them, from the one that was used last to the one
// that was used least recently. Every operation takes the same few steps, however many there are.

import Slab

struct CachedResult: ~Copyable {
  let key: Int
  let bytes: [1024 of UInt8]
  /// The places of the neighbours in the list.
  fileprivate var newer: Int?
  fileprivate var older: Int?

  init(key: Int, bytes: [1024 of UInt8]) {
    self.key = key
    self.bytes = bytes
  }
}

struct Results: ~Copyable {
  /// Without gaps: the last one moves to where one is removed.
  private var slots = SlabArray<Slot<CachedResult>>(in: .root)
  private var places: [Int: Int] = [:]
  private var newest: Int?
  private var oldest: Int?

  var count: Int { slots.count }
  var keyOfOldest: Int? { oldest.map { slots[$0].value.key } }

  /// The first byte of a result, which is the newest from now on.
  mutating func use(_ key: Int) -> UInt8? {
    guard let place = places[key] else { return nil }
    unlink(place)
    linkAsNewest(place)
    return slots[place].value.bytes[0]
  }

  /// Keeps a result, unless somebody else has made it meanwhile, or there is no memory for its place:
  /// then it will be made again.
  mutating func insert(_ slot: consuming Slot<CachedResult>) {
    let key = slot.value.key
    var slot: Slot<CachedResult>? = slot
    guard places[key] == nil, slots.appendIfPossible({ slot.take()! }) else { return }
    places[key] = slots.count - 1
    linkAsNewest(slots.count - 1)
  }

  /// Frees the oldest result; false if there is none.
  mutating func removeOldest() -> Bool {
    guard let place = oldest else { return false }
    unlink(place)
    places[slots[place].value.key] = nil
    let last = slots.count - 1
    if place != last {
      slots.swapAt(place, last)
      places[slots[place].value.key] = place
      relinkNeighbours(of: place)
    }
    _ = slots.popLast()
    return true
  }

  private mutating func linkAsNewest(_ place: Int) {
    slots[place].value.newer = nil
    slots[place].value.older = newest
    relinkNeighbours(of: place)
  }

  private mutating func unlink(_ place: Int) {
    let (newer, older) = (slots[place].value.newer, slots[place].value.older)
    link(newer, to: older)
  }

  /// The neighbours have it at this place from now on.
  private mutating func relinkNeighbours(of place: Int) {
    let (newer, older) = (slots[place].value.newer, slots[place].value.older)
    link(newer, to: place)
    link(place, to: older)
  }

  /// Makes two results neighbours; without one of them the other is an end of the list.
  private mutating func link(_ newer: Int?, to older: Int?) {
    if let newer { slots[newer].value.older = older } else { newest = older }
    if let older { slots[older].value.newer = newer } else { oldest = newer }
  }
}
