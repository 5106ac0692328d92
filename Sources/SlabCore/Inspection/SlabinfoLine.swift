// SPDX-License-Identifier: Apache-2.0
// A line of slabinfo, as the kernel's printf makes it.

internal import SlabPlatform

/// One line of text, formatted without the heap.
struct SlabinfoLine {
  // The longest line: a name of 63 bytes, 12 numbers of at most 20 digits, and the words.
  var bytes = InlineArray<384, UInt8>(repeating: 0)
  var count = 0

  mutating func append(_ byte: UInt8) {
    bytes[count] = byte
    count += 1
  }

  mutating func append(_ text: StaticString) {
    // SAFETY: the index is below the string's count.
    for index in 0..<text.utf8CodeUnitCount { append(unsafe text.utf8Start[index]) }
  }

  /// A number right-aligned in a column; a wider one pushes the rest to the right.
  mutating func append(_ number: Int, width: Int) {
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var length = 0
    var rest = max(0, number)
    repeat {
      digits[length] = UInt8(ascii: "0") + UInt8(rest % 10)
      rest /= 10
      length += 1
    } while rest > 0
    if length < width { for _ in length..<width { append(UInt8(ascii: " ")) } }
    while length > 0 {
      length -= 1
      append(digits[length])
    }
  }

  mutating func append(_ name: CacheName) {
    for index in 0..<Int(name.count) { append(name.bytes[index]) }
    if name.count < 17 { for _ in Int(name.count)..<17 { append(UInt8(ascii: " ")) } }
  }

  mutating func append(_ usage: CacheUsage) {
    let geometry = usage.geometry
    let slabBytes = UnitMap.unitBytes << geometry.fullOrder
    let slabs = (usage.slabBytes + slabBytes - 1) / slabBytes
    append(usage.name)
    // An array would come from the heap.
    append(" ")
    append(usage.objectsInUse + usage.objectsInSheaves, width: 6)
    append(" ")
    append(usage.objectsTotal, width: 6)
    append(" ")
    append(geometry.placeBytes, width: 6)
    append(" ")
    append(geometry.objectCount(order: geometry.fullOrder), width: 4)
    append(" ")
    append(1 << (geometry.fullOrder - UnitMap.pageOrder), width: 4)
    append(" : tunables    0    0    0 : slabdata ")
    append(slabs, width: 6)
    append(" ")
    append(slabs, width: 6)
    append(" ")
    append(0, width: 6)
    append("\n")
  }
}
