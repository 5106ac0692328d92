// SPDX-License-Identifier: Apache-2.0
// gzip, zstd or xz as a child process, from a file's descriptor into a pipe.
//
// Invariants: the child is waited for exactly once, in `finish` or at the end of the owner.
// Before the wait the pipe's reading end is closed, so a child that still writes ends by
// SIGPIPE instead of waiting for ever.

import Glibc

struct Decompressor: ~Copyable {
  private let process: pid_t
  private let output: CInt

  /// The tool that unpacks the file, by the file's name; nil for plain text.
  static func tool(for path: String) -> String? {
    if path.hasSuffix(".gz") { return "gzip" }
    if path.hasSuffix(".zst") { return "zstd" }
    if path.hasSuffix(".xz") { return "xz" }
    return nil
  }

  /// Starts `tool` on the file behind `input`; `name` is for messages.
  init(_ tool: String, reading input: borrowing Descriptor, name: String) throws(ToolError) {
    var ends: [CInt] = [-1, -1]
    // SAFETY: pipe writes the two numbers that the array has room for.
    guard unsafe pipe(&ends) == 0 else { throw .cannotRead(name: name, errno: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let writing = Descriptor(owning: ends[1])
    let (process, error) = ChildProcess.start(
      [tool, "-dc"], input: input.number, output: writing.number)
    guard error == 0 else {
      close(ends[0])
      throw error == ENOENT
        ? .decompressorMissing(tool: tool, name: name)
        : .decompressorRefused(tool: tool, name: name, errno: error)
    }
    self.process = process
    output = ends[0]
  }

  deinit {
    _ = Self.end(process, output)
  }

  func read(into bytes: inout [UInt8], from start: Int, name: String) throws(ToolError) -> Int {
    try Descriptor.read(output, into: &bytes, from: start, name: name)
  }

  /// Waits for the child. Nil when all went well, else how it ended.
  consuming func finish() -> String? {
    let status = Self.end(process, output)
    discard self
    return ChildProcess.failure(of: status)
  }

  /// The child's wait status.
  private static func end(_ process: pid_t, _ output: CInt) -> CInt {
    close(output)
    return ChildProcess.wait(for: process)
  }
}
