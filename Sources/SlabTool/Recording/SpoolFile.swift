// SPDX-License-Identifier: Apache-2.0
// A file without a name that keeps what comes from a pipe, to be read a second time. It goes with its
// descriptor. It stands in the folder that TMPDIR names, else in /tmp.

import Glibc

struct SpoolFile: ~Copyable {
  private let descriptor: Descriptor
  private let name: String

  /// For the recording that messages call `name`.
  init(name: String) throws(ToolError) {
    // SAFETY: getenv returns a NUL-terminated string, which is copied at once, or nil.
    let folder = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    var path = Array("\(folder)/slab-XXXXXX".utf8CString)
    // SAFETY: both calls read the NUL-terminated path that the array holds; mkstemp replaces its X's.
    let number = unsafe mkstemp(&path)
    guard number >= 0 else { throw .cannotKeep(name: name, errno: errno) }
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    unsafe unlink(path)
    descriptor = Descriptor(owning: number)
    self.name = name
  }

  func write(_ bytes: Span<UInt8>) throws(ToolError) {
    // SAFETY: the calls read the span's own bytes, each time those behind the ones written.
    let error = unsafe bytes.withUnsafeBytes { buffer -> CInt in
      var written = 0
      while written < buffer.count {
        let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[written...])
        let count = unsafe Glibc.write(descriptor.number, rest.baseAddress, rest.count)
        if count >= 0 {
          written += count
        } else if errno != EINTR {
          return errno
        }
      }
      return 0
    }
    guard error == 0 else { throw .cannotKeep(name: name, errno: error) }
  }

  /// The file, to be read.
  consuming func finish() -> Descriptor { descriptor }
}
