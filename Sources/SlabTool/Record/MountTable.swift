// What is mounted where, from /proc/mounts.

import Glibc

enum MountTable {
  struct Entry: Equatable {
    var path: String
    var type: String
    var options: [Substring]
  }

  static func current() -> [Entry] {
    guard let file = try? Descriptor(reading: "/proc/self/mounts") else { return [] }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    var end = 0
    while end < bytes.count,
      let count = try? Descriptor.read(file.number, into: &bytes, from: end, name: ""), count > 0
    {
      end += count
    }
    return entries(of: String(decoding: bytes[..<end], as: UTF8.self))
  }

  static func entries(of text: String) -> [Entry] {
    text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count >= 4 else { return nil }
      return Entry(
        path: unescaped(words[1]), type: String(words[2]),
        options: words[3].split(separator: ","))
    }
  }

  /// The kernel prints blanks in a path as octal numbers.
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
