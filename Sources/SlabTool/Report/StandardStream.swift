// SPDX-License-Identifier: Apache-2.0
// Standard output and standard error by write(2), every failure of which is seen: a report that
// a full disk swallowed is no report.

import Glibc

enum StandardStream {
  /// Writes the whole report.
  static func writeReport(_ text: String) throws(ToolError) {
    let error = write(text, to: STDOUT_FILENO)
    guard error == 0 else { throw .cannotWrite(errno: error) }
  }

  /// Writes a message. There is no place left to report when that fails.
  static func writeMessage(_ text: String) {
    _ = write(text, to: STDERR_FILENO)
  }

  /// The errno of the call that failed, or 0.
  static func write(_ text: String, to descriptor: CInt) -> CInt {
    var text = text
    // SAFETY: the calls read the text's own bytes, each time those behind the ones written.
    return text.withUTF8 { bytes in
      var written = 0
      while written < bytes.count {
        let rest = unsafe UnsafeBufferPointer(rebasing: bytes[written...])
        let count = unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
        if count >= 0 {
          written += count
        } else if errno != EINTR {
          return errno
        }
      }
      return 0
    }
  }
}
