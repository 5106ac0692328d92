// SPDX-License-Identifier: Apache-2.0

/// What a client has to present.
struct Token: Sendable {
  private let bytes: [UInt8]

  init(_ text: String) { bytes = Array(text.utf8) }

  static func isStrong(_ text: String) -> Bool {
    text.utf8.count >= 16 && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
  }

  /// Whether a header's value is `Bearer` and this token. Takes as long for a token that differs in its first
  /// character as for one that differs in its last, so that a client cannot find it a character at a time.
  func isPresented(by header: String?) -> Bool {
    guard let header else { return false }
    let words = header.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
    guard words.count == 2, words[0].lowercased() == "bearer" else { return false }
    let presented = Array(words[1].utf8)
    var difference = presented.count ^ bytes.count
    for (index, byte) in presented.enumerated() {
      difference |= Int(byte ^ bytes[index % bytes.count])
    }
    return difference == 0
  }
}
