// SPDX-License-Identifier: Apache-2.0
// Reading what the kernel shows as text.

import Glibc

enum SystemFile {
  /// The text of a file; empty if it cannot be read.
  static func text(of path: String) -> String {
    guard let file = unsafe fopen(path, "r") else { return "" }
    defer { unsafe fclose(file) }
    return unsafe text(of: file)
  }

  /// The rest of a stream.
  @unsafe
  static func text(of file: UnsafeMutablePointer<FILE>) -> String {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      // SAFETY: fread writes at most as many bytes as the array has.
      let count = unsafe fread(&piece, 1, piece.count, file)
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += piece[..<count]
    }
  }
}
