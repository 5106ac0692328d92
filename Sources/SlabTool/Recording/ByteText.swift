// SPDX-License-Identifier: Apache-2.0
// Looking at a line of text as bytes: the few questions that reading ftrace text asks.
//
// Invariants: an offset handed in lies in 0...count; every offset handed out does too.
// Nothing here allocates. Searching and comparing go through libc, which is quick in debug
// builds as well; single bytes go through the span's checked subscript.

import Glibc

enum Byte {
  static let newline = UInt8(ascii: "\n")
  static let carriageReturn = UInt8(ascii: "\r")
  static let blank = UInt8(ascii: " ")
  static let dash = UInt8(ascii: "-")
  static let dot = UInt8(ascii: ".")
  static let colon = UInt8(ascii: ":")
  static let hash = UInt8(ascii: "#")
  static let underscore = UInt8(ascii: "_")
  static let openBracket = UInt8(ascii: "[")
  static let closeBracket = UInt8(ascii: "]")
  static let openParenthesis = UInt8(ascii: "(")
  static let closeParenthesis = UInt8(ascii: ")")

  static func isDigit(_ byte: UInt8) -> Bool {
    byte &- UInt8(ascii: "0") < 10
  }

  static func isWordCharacter(_ byte: UInt8) -> Bool {
    isDigit(byte) || (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte == underscore
  }
}

extension Span where Element == UInt8 {
  /// Whether the byte at `offset` exists and is `byte`.
  @inline(__always)
  func has(_ byte: UInt8, at offset: Int) -> Bool {
    offset < count && self[offset] == byte
  }

  /// Whether `text` stands at `offset`.
  func has(_ text: StaticString, at offset: Int) -> Bool {
    // Most texts that are not there differ in their first byte.
    // SAFETY: a literal text has a first byte.
    guard text.utf8CodeUnitCount <= count - offset, unsafe self[offset] == text.utf8Start.pointee
    else { return false }
    // SAFETY: the comparison reads the text's own bytes and as many of the span's, which the
    // guard above found to be there.
    return unsafe withUnsafeBytes { bytes in
      unsafe memcmp(bytes.baseAddress! + offset, text.utf8Start, text.utf8CodeUnitCount) == 0
    }
  }

  func isEqual(to other: Span<UInt8>) -> Bool {
    guard count == other.count else { return false }
    // SAFETY: both spans have the `count` bytes that are compared; an empty one may have no
    // address, and none of its bytes is read.
    return unsafe withUnsafeBytes { bytes in
      unsafe other.withUnsafeBytes { otherBytes in
        unsafe count == 0 || memcmp(bytes.baseAddress!, otherBytes.baseAddress!, count) == 0
      }
    }
  }

  /// Where `byte` next stands, from `offset` on.
  func firstIndex(of byte: UInt8, from offset: Int) -> Int? {
    guard offset < count else { return nil }
    // SAFETY: the search reads `count - offset` bytes from `offset`: the span's own. Its result
    // points into them.
    return unsafe withUnsafeBytes { bytes in
      let start = bytes.baseAddress!
      guard let found = unsafe memchr(start + offset, CInt(byte), count - offset) else {
        return nil
      }
      return unsafe UnsafeRawPointer(found) - start
    }
  }

  /// Where `text` next stands, from `offset` on.
  func firstIndex(of text: StaticString, from offset: Int) -> Int? {
    // SAFETY: a literal text has a first byte.
    let first = unsafe text.utf8Start.pointee
    var candidate = firstIndex(of: first, from: offset)
    while let index = candidate, !has(text, at: index) {
      candidate = firstIndex(of: first, from: index + 1)
    }
    return candidate
  }

  /// Where `text` last stands.
  func lastIndex(of text: StaticString) -> Int? {
    var offset = count - text.utf8CodeUnitCount
    while offset >= 0 {
      if has(text, at: offset) { return offset }
      offset -= 1
    }
    return nil
  }

  /// The first offset from `offset` on that holds no blank.
  func skippingBlanks(from offset: Int) -> Int {
    var offset = offset
    // SAFETY: an offset is not negative, and below the count when the byte is read.
    while offset < count, unsafe self[unchecked: offset] == Byte.blank { offset &+= 1 }
    return offset
  }

  /// Reads a decimal number and moves `offset` behind it; nil without a digit. A number beyond
  /// 64 bits becomes the greatest one: every limit that it is compared with refuses it.
  func decimal(at offset: inout Int) -> UInt64? {
    let start = offset
    var value: UInt64 = 0
    while offset < count, Byte.isDigit(self[offset]) {
      let digit = UInt64(self[offset] - UInt8(ascii: "0"))
      let (product, isTooLarge) = value.multipliedReportingOverflow(by: 10)
      value = isTooLarge || product > .max - digit ? .max : product + digit
      offset += 1
    }
    return offset > start ? value : nil
  }

  /// Reads a hexadecimal number of up to 64 bits, with or without `0x`, and moves `offset`
  /// behind it.
  func hexadecimal(at offset: inout Int) -> UInt64? {
    // The offset in a local: as a parameter it would be stored for each digit.
    let start = hasHexadecimalPrefix(at: offset) ? offset + 2 : offset
    var end = start
    var value: UInt64 = 0
    // SAFETY: an offset is not negative, and below the count when the byte is read.
    while end < count, let digit = Self.hexadecimalDigit(unsafe self[unchecked: end]) {
      value = value &<< 4 | UInt64(digit)
      end &+= 1
    }
    offset = end
    return 1...16 ~= end - start ? value : nil
  }

  @inline(__always)
  func hasHexadecimalPrefix(at offset: Int) -> Bool {
    has(UInt8(ascii: "x"), at: offset + 1) && self[offset] == UInt8(ascii: "0")
  }

  @inline(__always)
  private static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
    let digit = byte &- UInt8(ascii: "0")
    if digit < 10 { return digit }
    let letter = (byte | 0x20) &- UInt8(ascii: "a")
    return letter < 6 ? letter &+ 10 : nil
  }

  /// The bytes as text for a message or a name, repaired where they are not UTF-8.
  func text(_ range: Range<Int>) -> String {
    // SAFETY: the closure reads the span's own bytes, at an offset that the slice checks.
    unsafe withUnsafeBytes { bytes in
      unsafe String(decoding: bytes[range], as: UTF8.self)
    }
  }
}
