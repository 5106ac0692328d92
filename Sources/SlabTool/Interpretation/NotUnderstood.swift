// SPDX-License-Identifier: Apache-2.0
// A line that could not be read as what it should be, for messages.

struct NotUnderstood: Equatable {
  var line: Int
  /// Its beginning, with what cannot be printed replaced.
  var excerpt: String

  init(_ text: Span<UInt8>, line: Int) {
    self.line = line
    excerpt = text.text(0..<Swift.min(text.count, 60)).unicodeScalars.map { scalar in
      scalar.properties.generalCategory == .control ? "\u{FFFD}" : String(scalar)
    }.joined()
  }
}
