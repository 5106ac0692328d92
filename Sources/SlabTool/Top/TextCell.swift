// SPDX-License-Identifier: Apache-2.0
// Text in columns of a terminal: how many it takes, cut and padded to as many as there are.

enum TextCell {
  /// Columns that a character takes: none for marks upon the one before, two for wide ones.
  static func width(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format, .control: return 0
    default: break
    }
    switch scalar.value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
      0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF,
      0x20000...0x3FFFD:
      return 2
    default: return 1
    }
  }

  /// The text with a `?` for each character that a terminal would obey or that hides others: names come from another
  /// process.
  static func printable(_ text: String) -> String {
    var printable = ""
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
        printable.append("?")
      default: printable.unicodeScalars.append(scalar)
      }
    }
    return printable
  }

  static func width(_ text: some StringProtocol) -> Int {
    text.unicodeScalars.reduce(0) { $0 + width($1) }
  }

  /// Exactly `columns` wide: padded behind, or cut, with a `~` at the end.
  static func left(_ text: String, _ columns: Int) -> String {
    let width = width(text)
    if width <= columns { return text + String(repeating: " ", count: columns - width) }
    guard columns > 0 else { return "" }
    var cut = ""
    var used = 0
    for scalar in text.unicodeScalars {
      let next = Self.width(scalar)
      if used + next > columns - 1 { break }
      cut.unicodeScalars.append(scalar)
      used += next
    }
    return cut + String(repeating: " ", count: columns - 1 - used) + "~"
  }

  /// Padded ahead, or cut.
  static func right(_ text: String, _ columns: Int) -> String {
    let width = width(text)
    return width <= columns
      ? String(repeating: " ", count: columns - width) + text : left(text, columns)
  }
}
