// SPDX-License-Identifier: Apache-2.0
// Charges for what is not the allocator's memory: mapped files, a device's buffers. To its cache a charge is a slab
// with one object and no run, so it is counted, shown, kept and moved to the parent as every slab is. A discard leaves
// charges alone: what they stand for is not the allocator's to end.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Whether each slab is a charge.
  var hasCharges: Bool { pointee.root.pointee.geometry.isOfCharges }

  /// Charges pages; for a holder of a handle. The descriptor's address, for `endCharge`.
  func makeCharge(pages: Int) throws(AllocatorError) -> UInt {
    try allocateSlab(RunShape(chargedPages: pages), isZeroed: false).address
  }

  /// Gives a charge back. The cache may be gone when this returns.
  static func endCharge(_ charge: UInt) {
    // SAFETY: a live charge's descriptor, which its owner ends once; its cache lives as long.
    let slab = unsafe Pointer<Slab>(nonzeroAddress: charge)
    let cache = unsafe Pointer<Cache>(nonzeroAddress: slab.pointee.owner)
    cache.letForkGoFirst()
    var chain = SlabChain()
    let lock = cache.pointee.lock.lock()
    let before = cache.pointee.objectsInUse
    cache.dropSlab(slab, to: &chain, under: lock)
    cache.countObjects(since: before, under: lock)
    lock.unlock()
    cache.release(chain)
  }
}
