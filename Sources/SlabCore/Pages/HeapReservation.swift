// SPDX-License-Identifier: Apache-2.0
// Where an allocator's heap lies.

internal import SlabPlatform

/// The heap's addresses and the page map's, in one reservation: the map first.
struct HeapReservation {
  let map: UnitMap

  private static var smallestBytes: Int { 16 << 20 }
  static var fewestBytes: Int { reservationBytes(smallestBytes) }
  static var largestBytes: Int { 128 << 30 }
  private static var alignment: Int { 4 << 20 }

  init(map: UnitMap) { self.map = map }

  /// As much as is wanted, or halves of it until the system agrees. Where it does not agree at
  /// once there is a limit on address space, and half of what fits is left to the process.
  init(wanted: Int) throws(Errno) {
    var bytes = min(max(wanted, Self.smallestBytes), Self.largestBytes)
    bytes = (bytes + Self.alignment - 1) & ~(Self.alignment - 1)
    var refused = false
    while true {
      let size = Self.reservationBytes(bytes)
      let half = max(Self.smallestBytes, bytes / 2 & ~(Self.alignment - 1))
      let start: UInt
      do throws(Errno) { start = try SystemCall.reserve(bytes: size) } catch {
        guard bytes > Self.smallestBytes else { throw error }
        refused = true
        bytes = half
        continue
      }
      if refused, bytes > Self.smallestBytes {
        try? SystemCall.unmap(at: start, bytes: size)
        refused = false
        bytes = half
        continue
      }
      map = Self.map(bytes: bytes, in: start, size: size)
      // All of it can be read, though little can be written yet: a look at an address that the
      // heap has not grown to finds no cache, as outside the heap.
      do throws(Errno) {
        try SystemCall.protectRead(at: map.words.address, bytes: Self.mapBytes(bytes))
      } catch {
        unmap()
        throw error
      }
      return
    }
  }

  /// Where the two lie in a reservation, which is cut to them.
  private static func map(bytes: Int, in start: UInt, size: Int) -> UnitMap {
    let heap = (start + UInt(mapBytes(bytes)) + UInt(alignment) - 1) & ~UInt(alignment - 1)
    let words = heap - UInt(mapBytes(bytes))
    // What the alignment left over, on both sides.
    if words > start { try? SystemCall.unmap(at: start, bytes: Int(words - start)) }
    let end = heap + UInt(bytes)
    let rest = Int(start + UInt(size) - end)
    if rest > 0 { try? SystemCall.unmap(at: end, bytes: rest) }
    return UnitMap(
      words: Words(at: words), heapBase: heap, unitLimit: bytes / UnitMap.unitBytes)
  }

  private static func mapBytes(_ bytes: Int) -> Int {
    SystemCall.wholePages(bytes / UnitMap.unitBytes * 8)
  }
  private static func reservationBytes(_ bytes: Int) -> Int {
    mapBytes(bytes) + bytes + alignment
  }

  func unmap() {
    let bytes = map.unitLimit * UnitMap.unitBytes
    let start = map.words.address
    try? SystemCall.unmap(at: start, bytes: Self.mapBytes(bytes) + bytes)
  }
}
