// SPDX-License-Identifier: Apache-2.0
// Text of C's: bytes up to a zero byte.

internal import SlabPlatform

/// A text that a caller has passed, as long as the call lasts.
@safe
struct Text {
  private let start: UnsafePointer<UInt8>?
  private let count: Int

  init(_ text: UnsafePointer<CChar>?) {
    // SAFETY: the text's characters are bytes, and the last of them is followed by a zero byte.
    unsafe start = text.map { unsafe UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self) }
    var count = 0
    if let start = unsafe start { while unsafe start[count] != 0 { count += 1 } }
    self.count = count
  }

  /// Whether the caller has passed one.
  var isThere: Bool { unsafe start != nil }

  /// Its bytes, without the zero byte.
  var bytes: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      let bytes = unsafe UnsafeBufferPointer(start: start, count: count)
      return unsafe _overrideLifetime(bytes.span, borrowing: self)
    }
  }

  /// Whether the bytes are UTF-8: names stand in JSON and on terminals. O(length).
  var isUTF8: Bool {
    var index = 0
    while index < count {
      guard let scalar = scalarLength(at: index) else { return false }
      index += scalar
    }
    return true
  }

  /// The bytes of the scalar that begins at an index, as The Unicode Standard's table of well-formed sequences has it.
  private func scalarLength(at index: Int) -> Int? {
    let first = unsafe start![index]
    // Of the second byte; the others are 0x80 to 0xbf.
    var second: ClosedRange<UInt8> = 0x80...0xbf
    let length: Int
    switch first {
    case 0..<0x80: return 1
    case 0xc2...0xdf: length = 2
    case 0xe0...0xef:
      length = 3
      if first == 0xe0 { second = 0xa0...0xbf }
      if first == 0xed { second = 0x80...0x9f }
    case 0xf0...0xf4:
      length = 4
      if first == 0xf0 { second = 0x90...0xbf }
      if first == 0xf4 { second = 0x80...0x8f }
    default: return nil
    }
    // The zero byte behind the text ends a sequence that is too short.
    guard unsafe second.contains(start![index + 1]) else { return nil }
    for offset in 2..<max(2, length) where unsafe start![index + offset] & 0xc0 != 0x80 {
      return nil
    }
    return length
  }
}
