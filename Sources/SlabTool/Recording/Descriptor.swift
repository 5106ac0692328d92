// SPDX-License-Identifier: Apache-2.0
// A file descriptor with one owner, closed when the owner ends.

import Glibc

struct Descriptor: ~Copyable {
  let number: CInt

  init(owning number: CInt) {
    self.number = number
  }

  /// Opens `path` for reading.
  init(reading path: String) throws(ToolError) {
    // SAFETY: the call reads the path, which lives for its duration.
    number = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw .cannotOpen(path: path, errno: errno) }
  }

  deinit {
    close(number)
  }

  /// Reads into `bytes` from index `start` on; 0 at the end of the file. `name` is for messages.
  static func read(
    _ number: CInt, into bytes: inout [UInt8], from start: Int, name: String
  ) throws(ToolError) -> Int {
    while true {
      // SAFETY: the call writes at most the bytes behind `start`, which the array owns.
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[start...])
        return unsafe Glibc.read(number, room.baseAddress, room.count)
      }
      if count >= 0 { return count }
      guard errno == EINTR else { throw .cannotRead(name: name, errno: errno) }
    }
  }
}
