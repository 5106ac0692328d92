// SPDX-License-Identifier: Apache-2.0
// Many objects between the slabs and a sheaf, or a user's buffer: objects of one slab that follow each other touch it
// once, a word of its bits at a time, and it changes its list once.

internal import SlabPlatform

extension Pointer where Pointee == Cache {
  /// Takes objects from the slabs at hand, as many as there are or as the buffer has room for; how many.
  /// O(slabs + objects).
  func takeObjects(
    into objects: UnsafeMutableBufferPointer<UInt>, under lock: borrowing CacheLocked
  ) -> Int {
    lock.check(pointee.lock)
    var taken = 0
    while taken < objects.count, let slab = pointee.partialFirst {
      if slab.pointee.inUse == 0 { pointee.emptyCount -= 1 }
      let room = unsafe UnsafeMutableBufferPointer(rebasing: objects[taken...])
      taken += unsafe slab.takeObjects(into: room, placeBytes: Int(pointee.placeBytes))
      relistIfFull(slab, under: lock)
    }
    pointee.objectsInUse += UInt64(taken)
    if pointee.root.pointee.isPoisoned {
      for index in 0..<taken { unsafe checkPoison(of: objects[index], under: lock) }
    }
    return taken
  }

  /// Puts objects back into their slabs, as `putObject`. O(objects).
  func putObjects(
    _ objects: UnsafeMutableBufferPointer<UInt>, emptied chain: inout SlabChain,
    under lock: borrowing CacheLocked
  ) {
    lock.check(pointee.lock)
    var put = 0
    while put < objects.count {
      let rest = unsafe UnsafeMutableBufferPointer(rebasing: objects[put...])
      put += unsafe putObjectsOfOneSlab(rest, emptied: &chain, under: lock)
    }
    if pointee.root.pointee.isPoisoned {
      for index in 0..<put { unsafe poison(objects[index]) }
    }
  }

  /// Puts the objects at the start of the buffer that are of one slab back into it; how many.
  private func putObjectsOfOneSlab(
    _ objects: UnsafeMutableBufferPointer<UInt>, emptied chain: inout SlabChain,
    under lock: borrowing CacheLocked
  ) -> Int {
    let slab = unsafe slab(of: objects[0])
    let bytes = UInt(UnitMap.unitBytes * slab.units)
    let wasFull = !slab.hasFreeObjects
    var count = 0
    var word = 0
    var bits: UInt64 = 0
    while count < objects.count {
      // SAFETY: count < objects.count.
      let object = unsafe objects[count]
      guard count == 0 || object &- slab.pointee.address < bytes else { break }
      let place = place(of: object, in: slab)
      let bit: UInt64 = 1 << UInt64(place & 63)
      if place >> 6 != word || bits & bit != 0 {
        slab.put(bits: bits, ofWord: word)
        word = place >> 6
        bits = 0
      }
      bits |= bit
      count += 1
    }
    slab.put(bits: bits, ofWord: word)
    pointee.objectsInUse -= UInt64(count * slab.pagesOrObject)
    relist(slab, wasFull: wasFull, emptied: &chain, under: lock)
    return count
  }
}
