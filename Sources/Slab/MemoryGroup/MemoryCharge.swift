// SPDX-License-Identifier: Apache-2.0
// A charge for memory that is not the allocator's.

internal import SlabCore
internal import SlabPlatform

/// Bytes that are charged to a group without being the allocator's memory: a mapped file, a device's buffer, what a peer
/// holds for the tenant. Gives the charge back when it ends. Not copyable.
///
/// The group may end before it: then the charge is its parent's, or keeps it (`EndingPolicy`), as a live object's. A
/// `discard` leaves it as it is.
public struct MemoryCharge: ~Copyable, Sendable {
  /// Bytes that are charged: whole pages of 4 KiB, at least one.
  public let bytes: Int
  private let charge: UInt
  private let allocator: AllocatorHandle

  fileprivate init(bytes: Int, charge: UInt, allocator: AllocatorHandle) {
    self.bytes = bytes
    self.charge = charge
    self.allocator = allocator
  }

  deinit { allocator.ifMapped { $0.endCharge(charge) } }
}

extension MemoryGroup {
  /// Charges bytes that are not the allocator's memory to the group and to all above it, as an allocation of as many would be:
  /// with a reclaim at a limit, events, and by the group's `limitPolicy`. In `usage`; a line `charged-pages` of slabinfo.
  /// O(depth); locks and system calls as an allocation.
  ///
  /// - Parameter bytes: 0 to 1 TiB; rounded up to whole pages of 4 KiB.
  /// - Returns: what holds the charge until it ends.
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.allocationTooLarge`, `.invalidCapacity` below 0.
  public func charge(bytes: Int) throws(SlabError) -> MemoryCharge {
    guard bytes >= 0 else { throw .invalidCapacity }
    guard bytes <= Allocator.largestCharge else { throw .allocationTooLarge(bytes: bytes) }
    let pageBytes = 4096
    let charged = Swift.max(1, (bytes + pageBytes - 1) / pageBytes) * pageBytes
    do {
      let charge = try allocator.charge(bytes: bytes, to: core)
      return MemoryCharge(bytes: charged, charge: charge, allocator: handle.allocator)
    } catch { throw SlabError(error, bytes: bytes, of: self) }
  }
}
