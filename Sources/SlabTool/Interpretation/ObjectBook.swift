// The objects that live: from the kernel's address to a slot, and from there to the owner.
//
// Invariants: every slot is either in `addresses` exactly once or in `freeSlots` exactly once.
// Memory is in proportion to the greatest number of objects that lived at one time.

struct ObjectBook {
  private var addresses = KeyTable()
  /// The child cache of each slot's object, or `uncharged`.
  private var owners: [Int32] = []
  private var freeSlots: [Int32] = []
  private static let uncharged: Int32 = -1

  /// How many objects live.
  var count: Int { addresses.count }
  /// The most that lived at one time.
  var peakCount: Int { owners.count }

  /// Gives the new object at `address`, where none lives, a slot.
  mutating func add(_ address: UInt64, owner: Int?) -> Int {
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = Int(free)
    } else {
      slot = owners.count
      owners.append(Self.uncharged)
    }
    owners[slot] = owner.map { Int32($0) } ?? Self.uncharged
    addresses.set(address, to: slot)
    return slot
  }

  /// Takes out the object at `address`, if one lives there.
  mutating func remove(_ address: UInt64) -> (slot: Int, owner: Int?)? {
    guard let slot = addresses.remove(address) else { return nil }
    freeSlots.append(Int32(slot))
    let owner = owners[slot]
    return (slot, owner == Self.uncharged ? nil : Int(owner))
  }
}
