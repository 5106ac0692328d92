// Whose bytes a run of memory holds. Memory that goes from one tenant to another is cleared before the
// new one sees it; what comes from the system is zero already, and what a tenant gives to itself keeps
// its content.
//
//   a free run of pages   remembers who had all of it, in the word of its second unit; runs of two
//                         tenants that merge are nobody's
//   a free unit           is the group's whose page it lies in; a bit says that somebody else's bytes
//                         may be in it
//   a slab                of foreign memory clears each object when it is handed out for the first time
//                         (`Slab.firstUncleared`), under the tenant's own lock: so nobody pays for more
//                         than is used, and no memory is cleared under a lock of all

/// A number that no two tenants of an allocator have: of a group from its making on, also after its end.
struct Tenant: Equatable, Sendable {
  let number: UInt32

  /// Nobody in particular: the core, several tenants, or one of those that got no number. What it
  /// leaves is foreign to everybody.
  static var nobody: Tenant { Tenant(number: 0) }
  /// The root group.
  static var rootGroup: Tenant { Tenant(number: 1) }

  init(number: UInt32) { self.number = number }

  /// A new group's, from how many there were before. Numbers are not used again: when they are used up,
  /// groups are nobody in particular, and what they give to themselves is cleared as well.
  init(groupsBefore: Int) {
    number = groupsBefore <= Int(UInt32.max) - 2 ? UInt32(groupsBefore) + 2 : 0
  }

  /// Whether what the other one left must be cleared for this one.
  func isForeign(to other: Tenant) -> Bool { self != other || self == .nobody }
}

/// Memory for a slab: 2^order units.
struct Run {
  var unit = 0
  var order = 0
  /// Whether it may hold bytes of another tenant than the one that takes it or gives it back.
  var isForeign = false

  var bytes: Int { UnitMap.unitBytes << order }
}
