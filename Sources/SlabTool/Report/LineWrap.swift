// Lines that fit a terminal of 80 columns.

extension String {
  static let reportColumns = 80

  /// The words in lines of at most `columns`; a longer word has a line of its own.
  func wrapped(columns: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    var width = 0
    for word in split(separator: " ") {
      let length = word.count
      if width > 0, width + 1 + length > columns {
        lines.append(line)
        (line, width) = ("", 0)
      }
      line += width == 0 ? "\(word)" : " \(word)"
      width += width == 0 ? length : length + 1
    }
    if width > 0 { lines.append(line) }
    return lines
  }
}
