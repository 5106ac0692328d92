// SPDX-License-Identifier: Apache-2.0
// Lines that fit a terminal of 80 columns.

extension String {
  static let reportColumns = 80

  /// The words in lines of at most `columns`; a longer word, such as a file's path, goes on in the next line.
  func wrapped(columns: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    var width = 0
    for word in split(separator: " ") {
      var word = word
      if width > 0, width + 1 + word.count > columns {
        lines.append(line)
        (line, width) = ("", 0)
      }
      while word.count > columns {
        lines.append(String(word.prefix(columns)))
        word = word.dropFirst(columns)
      }
      line += width == 0 ? "\(word)" : " \(word)"
      width += width == 0 ? word.count : word.count + 1
    }
    if width > 0 { lines.append(line) }
    return lines
  }
}
