// SPDX-License-Identifier: Apache-2.0
// The objects that live: from the kernel's address to a place, and from there to the owner.
//
// Invariants: every place is either in `addresses` exactly once or in `freePlaces` exactly once.
// Memory is in proportion to the greatest number of objects that lived at one time.

struct ObjectBook {
  private var addresses = KeyTable()
  /// The child cache of each place's object, or `uncharged`.
  private var owners: [Int32] = []
  private var freePlaces: [Int32] = []
  private static let uncharged: Int32 = -1

  /// How many objects live.
  var count: Int { addresses.count }
  /// The most that lived at one time.
  var peakCount: Int { owners.count }

  /// Gives the new object at `address`, where none lives, a place.
  mutating func add(_ address: UInt64, owner: Int?) -> Int {
    let place: Int
    if let free = freePlaces.popLast() {
      place = Int(free)
    } else {
      place = owners.count
      owners.append(Self.uncharged)
    }
    owners[place] = owner.map { Int32($0) } ?? Self.uncharged
    addresses.set(address, to: place)
    return place
  }

  /// Takes out the object at `address`, if one lives there.
  mutating func remove(_ address: UInt64) -> (place: Int, owner: Int?)? {
    guard let place = addresses.remove(address) else { return nil }
    freePlaces.append(Int32(place))
    let owner = owners[place]
    return (place, owner == Self.uncharged ? nil : Int(owner))
  }
}
