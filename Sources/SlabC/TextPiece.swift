// SPDX-License-Identifier: Apache-2.0
// A piece of a text that is made as it is read, without the heap.

internal import SlabPlatform

struct TextPiece {
  // The longest one: a counter with its sentence, or a group with its numbers.
  private var bytes = InlineArray<768, UInt8>(repeating: 0)
  var count = 0

  /// Whether there is room for a byte, however it is escaped, and for an end.
  var hasRoomForText: Bool { count + 8 < bytes.count }

  subscript(index: Int) -> UInt8 { bytes[index] }

  mutating func append(_ byte: UInt8) {
    bytes[count] = byte
    count += 1
  }

  mutating func append(_ text: StaticString) {
    // SAFETY: the index is below the string's count.
    for index in 0..<text.utf8CodeUnitCount { append(unsafe text.utf8Start[index]) }
  }

  /// A byte of a JSON string; control characters are in no name.
  mutating func append(escaped byte: UInt8) {
    if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { append(UInt8(ascii: "\\")) }
    append(byte)
  }

  mutating func append(_ number: Int) {
    if number < 0 { append(UInt8(ascii: "-")) }
    appendDigits(number.magnitude)
  }

  private mutating func appendDigits(_ number: UInt) {
    if number >= 10 { appendDigits(number / 10) }
    append(UInt8(ascii: "0") + UInt8(number % 10))
  }
}
