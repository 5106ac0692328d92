// SPDX-License-Identifier: Apache-2.0
// Poison (the kernel's SLAB_POISON): a free object of such a cache is filled with a pattern, which must still be
// there when the object is handed out. Code that uses an object after its end is found by
// what it writes, and reads nothing that looks like an object.
//
// It costs other caches nothing: a poisoned cache never has a sheaf, so that all its objects go
// through `takeObject` and `putObject`, under its lock.

internal import SlabPlatform

/// What free objects are filled with, and their last byte (POISON_FREE, POISON_END).
private let freeByte: UInt8 = 0x6b
private let endByte: UInt8 = 0xa5

extension Pointer where Pointee == Cache {
  /// Fills a free object. O(object size).
  func poison(_ object: UInt) {
    let bytes = Int(pointee.placeBytes)
    // SAFETY: the object is free, and ours under the lock or before another thread knows its slab.
    let start = unsafe UnsafeMutableRawPointer(bitPattern: object)!
    unsafe start.initializeMemory(as: UInt8.self, repeating: freeByte, count: bytes - 1)
    unsafe start.storeBytes(of: endByte, toByteOffset: bytes - 1, as: UInt8.self)
  }

  /// Looks at the free objects of a slab that leaves the cache as `checkPoison(of:)` does, since they will not be
  /// handed out. O(slab).
  func checkPoison(ofFreeObjectsIn slab: Pointer<Slab>, under lock: borrowing CacheLocked) {
    for place in 0..<Int(slab.pointee.objectCount) where slab.isFree(place: place) {
      checkPoison(
        of: slab.pointee.address + UInt(place) * UInt(pointee.placeBytes), under: lock)
    }
  }

  /// Ends the process if a free object has been written to. O(object size).
  func checkPoison(of object: UInt, under lock: borrowing CacheLocked) {
    let last = Int(pointee.placeBytes) - 1
    // SAFETY: an object that has just been taken from its slab; `poison` has initialised it.
    let bytes = unsafe UnsafePointer<UInt8>(bitPattern: object)!
    var isIntact = unsafe bytes[last] == endByte
    for index in 0..<last where unsafe bytes[index] != freeByte { isIntact = false }
    guard isIntact else { fatal("allocate: a free object was written to (poison overwritten)") }
  }
}
