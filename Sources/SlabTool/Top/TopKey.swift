// SPDX-License-Identifier: Apache-2.0
// Keys, from the bytes that a terminal sends.

enum TopKey: Equatable {
  case up, down, left, right, pageUp, pageDown, home, end
  case enter, escape, backspace, tab
  case character(Character)
  case control(Character)

  private static let sequences: [String: TopKey] = [
    "[A": .up, "[B": .down, "[C": .right, "[D": .left, "[H": .home, "[F": .end,
    "OA": .up, "OB": .down, "OC": .right, "OD": .left, "OH": .home, "OF": .end,
    "[5~": .pageUp, "[6~": .pageDown, "[1~": .home, "[4~": .end, "[7~": .home, "[8~": .end,
  ]

  /// Keys of what was read at once, in which an escape with nothing behind is the key. Sequences that mean nothing here
  /// are left out; the bytes of a character that is not there as a whole stay.
  static func take(from bytes: inout [UInt8]) -> [TopKey] {
    var keys: [TopKey] = []
    var rest = bytes[...]
    while let first = rest.first {
      if first == 0x1B {
        let sequence = sequence(rest.dropFirst())
        if let key = sequences[String(decoding: sequence, as: UTF8.self)] {
          keys.append(key)
        } else if sequence.isEmpty {
          keys.append(.escape)
        }
        rest = rest.dropFirst(1 + sequence.count)
      } else if first >= 0x80 {
        let count = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        guard rest.count >= count else { break }
        keys += String(decoding: rest.prefix(count), as: UTF8.self).map(TopKey.character)
        rest = rest.dropFirst(count)
      } else {
        keys.append(key(first))
        rest = rest.dropFirst()
      }
    }
    bytes = Array(rest)
    return keys
  }

  /// What stands behind an escape: `[` or `O`, then anything up to a letter or a tilde.
  private static func sequence(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    guard let first = bytes.first, first == UInt8(ascii: "[") || first == UInt8(ascii: "O") else {
      return []
    }
    let end = bytes.dropFirst().firstIndex { 0x40...0x7E ~= $0 }
    return end.map { bytes[...$0] } ?? bytes
  }

  private static func key(_ byte: UInt8) -> TopKey {
    switch byte {
    case 0x0D, 0x0A: .enter
    case 0x09: .tab
    case 0x7F, 0x08: .backspace
    case 0..<0x20: .control(Character(Unicode.Scalar(byte + 0x40)))
    default: .character(Character(Unicode.Scalar(byte)))
    }
  }
}
