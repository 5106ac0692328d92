// SPDX-License-Identifier: Apache-2.0
// Charging what is not the allocator's memory.

package import SlabPlatform

extension Allocator {
  /// The most bytes of one charge.
  package static var largestCharge: Int { 1 << 40 }

  /// Charges bytes, in whole pages, to a group and to all above it, as an allocation is: with a reclaim, and by the group's
  /// policy. What `endCharge` needs; the charge outlives the group, and is its parent's then.
  ///
  /// - Throws: `.invalidObjectSize` above `largestCharge` or below 0; what an allocation throws.
  package func charge(
    bytes: Int, to group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    guard bytes >= 0, bytes <= Self.largestCharge else { throw .invalidObjectSize }
    let root = try rootCache(ofSizeClass: SizeClasses.charges)
    let pages = max(1, SizeClasses.pages(forBytes: bytes))
    return try group.makeOrFindChild(of: root).makeCharge(pages: pages)
  }

  /// Gives a charge back, once; to whomever it is charged by now. O(depth).
  package func endCharge(_ charge: UInt) { Pointer<Cache>.endCharge(charge) }
}
