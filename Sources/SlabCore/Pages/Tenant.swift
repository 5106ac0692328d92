// SPDX-License-Identifier: Apache-2.0
// The tenant whose bytes a run of memory holds. Memory that goes from one tenant to another is cleared before the
// new one sees it; what comes from the system is zero already, and what a tenant gives to itself keeps
// its content.
//
//   a free run of pages   remembers which tenant had all of it, in the word of its second unit; runs
//                         of two tenants that merge have none
//   a free unit           is the group's whose page it lies in; a bit says that another tenant's bytes
//                         may be in it
//   a slab                of foreign memory clears its objects, 1 KiB of them at a time, when the first of them is
//                         handed out (`Slab.firstUncleared`), under the tenant's own lock: so no tenant
//                         pays for much more than it uses, and no memory is cleared under a lock of all

/// A number that no two tenants of an allocator have: of a group from its making on, also after its end.
struct Tenant: Equatable, Sendable {
  let number: UInt32

  /// No tenant in particular: the core, several tenants, or one of those that got no number. What it leaves is
  /// foreign to every tenant.
  static var nobody: Tenant { Tenant(number: 0) }
  /// The root group.
  static var rootGroup: Tenant { Tenant(number: 1) }
  /// All groups that share slabs, whose free objects are zero.
  static var shared: Tenant { Tenant(number: 2) }

  init(number: UInt32) { self.number = number }

  /// A new group's, from how many there were before. Numbers are not used again: when they are used up,
  /// groups are `nobody`, and what they give to themselves is cleared as well.
  init(groupsBefore: Int) {
    number = groupsBefore <= Int(UInt32.max) - 3 ? UInt32(groupsBefore) + 3 : 0
  }

  /// Whether what the other one left must be cleared for this one.
  func isForeign(to other: Tenant) -> Bool { self != other || self == .nobody }
}
