// SPDX-License-Identifier: Apache-2.0
// What is mounted where. Without the trait as well: `slab record` looks for tracefs and cgroups.

internal import Glibc

package enum MountTable {
  package struct Entry: Equatable {
    package var path: String
    package var type: String
    package var options: [Substring]
  }

  /// Of the calling process, what was mounted last at the end; empty if it cannot be read.
  package static func current() -> [Entry] {
    // SAFETY: a text for the length of the call.
    let file = unsafe open("/proc/self/mounts", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var text: [UInt8] = []
    while true {
      // SAFETY: the buffer has room for as many bytes as are asked for.
      let piece = unsafe [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
        unsafe count = max(0, read(file, buffer.baseAddress, buffer.count))
      }
      if piece.isEmpty { break }
      text += piece
    }
    return entries(of: String(decoding: text, as: UTF8.self))
  }

  package static func entries(of text: String) -> [Entry] {
    text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count >= 4 else { return nil }
      return Entry(
        path: unescaped(words[1]), type: String(words[2]),
        options: words[3].split(separator: ","))
    }
  }

  /// The kernel prints blanks and backslashes in a path as octal numbers.
  private static func unescaped(_ word: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(word.utf8)[...]
    while let byte = rest.popFirst() {
      let digits = String(decoding: rest.prefix(3), as: UTF8.self)
      if byte == UInt8(ascii: "\\"), digits.utf8.count == 3, let code = UInt8(digits, radix: 8) {
        bytes.append(code)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
