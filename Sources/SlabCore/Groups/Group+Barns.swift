// SPDX-License-Identifier: Apache-2.0
// How much a group may have in the barns of its caches: see Caches/Barn.swift. The bound is in bytes and for all of them
// together, whatever sizes it uses. It hangs on what the group has charged, since a part of that may well lie idle,
// and on its limits, since what lies idle is missing there.

internal import SlabPlatform
internal import Synchronization

/// Bounds of what a group has in barns.
enum BarnBounds {
  /// However little is charged.
  static var leastBytes: Int { 2 << 20 }
  /// The root group, which is charged for nothing of its own.
  static var bytesOfRootGroup: Int { 16 << 20 }
  /// The part of what is charged.
  static var partOfCharge: Int { 8 }
  /// The part of the least limit.
  static var partOfLimit: Int { 16 }
}

extension Pointer where Pointee == Cache {
  /// The group whose bound its barn is within: of a child its own, of a root the root group.
  var barnGroup: Pointer<Group> {
    pointee.group ?? Pointer<GroupsState>(seenAs: pointee.allocator).rootGroup
  }
}

extension Pointer where Pointee == Group {
  private var mostBarnBytes: Int {
    guard pointee.parent != nil else { return BarnBounds.bytesOfRootGroup }
    let charged = pointee.current.load(ordering: .relaxed)
    return Swift.min(
      Swift.max(BarnBounds.leastBytes, charged / BarnBounds.partOfCharge),
      leastLimit / BarnBounds.partOfLimit)
  }

  /// Counts bytes, unless they are too many. O(depth).
  func grantBarn(bytes: Int) -> Bool {
    let most = mostBarnBytes
    // Relaxed: a number that guards no memory. A thread that adds first and looks then keeps all of them below.
    guard pointee.barnBytes.add(bytes, ordering: .relaxed).newValue > most else { return true }
    endBarnGrant(bytes: bytes)
    return false
  }

  func endBarnGrant(bytes: Int) { pointee.barnBytes.subtract(bytes, ordering: .relaxed) }
}
