// SPDX-License-Identifier: Apache-2.0
// Numbers as clients write them: bytes, as the kernel's memparse reads them.

#if FUSE
  enum Limit {
    /// Limits are whole pages, rounded down.
    private static let pageBytes = 4096

    /// `max` for `nil`, or bytes.
    static func parse(_ text: [UInt8]) throws(FileError) -> Int? {
      let word = stripped(text)
      guard !word.elementsEqual("max".utf8) else { return nil }
      let bytes = try Self.bytes(word)
      return bytes == .max ? nil : bytes / pageBytes * pageBytes
    }

    /// A number with K, M, G, T, P or E perhaps; what is too large is the largest there is.
    static func bytes(_ word: some Collection<UInt8>) throws(FileError) -> Int {
      let digits = word.prefix { 0x30...0x39 ~= $0 }
      guard !digits.isEmpty else { throw .invalid }
      var value = 0
      for digit in digits { value = multiplied(value, by: 10, adding: Int(digit) - 0x30) }
      let rest = word.dropFirst(digits.count)
      guard let suffix = rest.first else { return value }
      guard rest.count == 1, let step = Array("KMGTPE".utf8).firstIndex(of: suffix & 0xdf) else {
        throw .invalid
      }
      for _ in 0...step { value = multiplied(value, by: 1024, adding: 0) }
      return value
    }

    private static func multiplied(_ value: Int, by factor: Int, adding more: Int) -> Int {
      let (product, overflows) = value.multipliedReportingOverflow(by: factor)
      let (sum, overflowsToo) = product.addingReportingOverflow(more)
      return overflows || overflowsToo ? .max : sum
    }

    /// Without blanks and ends of lines around it.
    static func stripped(_ text: [UInt8]) -> ArraySlice<UInt8> {
      func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0d ~= byte }
      let start = text.drop(while: isBlank)
      guard let last = start.lastIndex(where: { !isBlank($0) }) else { return [] }
      return start[...last]
    }
  }
#endif
