// SPDX-License-Identifier: Apache-2.0

/// A text as its bytes. Names and paths are bytes to the library, so that two of them can be different ones which Swift
/// holds for equal, such as `é` in one scalar and in two.
struct ByteString: Hashable, Comparable, ExpressibleByStringLiteral {
  private let bytes: [UInt8]

  init(_ text: some StringProtocol) { bytes = Array(text.utf8) }
  init(stringLiteral text: String) { self.init(text) }

  static func < (left: ByteString, right: ByteString) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}
