// SPDX-License-Identifier: Apache-2.0
// The file that a recording goes to, behind the tool that compresses it if its name asks for one.
//
// Invariant: under the file's own name there is a whole recording or what was there before. The text goes to a file
// beside it, which `finish` renames, and which otherwise goes with the owner. What is no regular file (a pipe,
// /dev/null, standard output) is written directly.

import Glibc

struct RecordingFile: ~Copyable {
  private let path: String
  /// What messages call it.
  let name: String
  private let partialPath: String?
  private let tool: String?
  /// Where text is written to; -1 when it is closed.
  private var target: CInt
  private var compressor: pid_t?
  private var isFinished = false

  /// Opens `path`, or standard output for `-`.
  init(_ path: String) throws(RecordError) {
    self.path = path
    name = path == "-" ? "standard output" : path
    tool = Decompressor.tool(for: path)
    partialPath = path == "-" || Self.isSomethingElse(path) ? nil : "\(path).partial-\(getpid())"
    target =
      path == "-" ? dup(STDOUT_FILENO) : try Self.create(partialPath ?? path, for: path)
  }

  deinit {
    guard !isFinished else { return }
    // Its input ends, so it does.
    if target >= 0 { close(target) }
    if let compressor { _ = ChildProcess.wait(for: compressor) }
    if let partialPath { Self.remove(partialPath) }
  }

  /// Starts the tool that compresses, if there is to be one.
  mutating func startCompressor() throws(RecordError) {
    guard let tool else { return }
    var ends: [CInt] = [-1, -1]
    // SAFETY: pipe writes the two numbers that the array has room for.
    guard unsafe pipe(&ends) == 0 else { throw .cannotWrite(path: name, errno: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let output = Descriptor(owning: target)
    let reading = Descriptor(owning: ends[0])
    target = ends[1]
    let (process, error) = ChildProcess.start(
      [tool, "-c"], input: reading.number, output: output.number, group: .itsOwn)
    guard error == 0 else {
      throw error == ENOENT
        ? .compressorMissing(tool: tool, path: path) : .cannotWrite(path: name, errno: error)
    }
    compressor = process
  }

  mutating func write(_ bytes: ArraySlice<UInt8>) throws(RecordError) {
    let number = target
    // SAFETY: the calls read the slice's own bytes, each time those behind the ones written.
    let error = unsafe bytes.withUnsafeBytes { bytes in
      var written = 0
      while written < bytes.count {
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[written...])
        let count = unsafe Glibc.write(number, rest.baseAddress, rest.count)
        if count >= 0 { written += count } else if errno != EINTR { return errno }
      }
      return 0
    }
    guard error != 0 else { return }
    // The tool has ended, and knows why.
    if error == EPIPE, compressor != nil { try endCompressor() }
    throw .cannotWrite(path: name, errno: error)
  }

  /// Everything is written, and has its name.
  mutating func finish() throws(RecordError) {
    try endCompressor()
    if target >= 0, partialPath != nil, fsync(target) != 0 {
      throw .cannotWrite(path: name, errno: errno)
    }
    closeTarget()
    // SAFETY: the call reads both paths, which live for its duration.
    if let partialPath, unsafe rename(partialPath, path) != 0 {
      throw .cannotWrite(path: name, errno: errno)
    }
    isFinished = true
  }

  private mutating func endCompressor() throws(RecordError) {
    guard let process = compressor.take() else { return }
    closeTarget()
    if let ending = ChildProcess.failure(of: ChildProcess.wait(for: process)) {
      throw .compressorFailed(tool: tool!, path: path, ending: ending)
    }
  }

  private mutating func closeTarget() {
    if target >= 0 { close(target) }
    target = -1
  }

  private static func create(_ file: String, for path: String) throws(RecordError) -> CInt {
    // SAFETY: the call reads the path, which lives for its duration.
    let number = unsafe open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard number >= 0 else { throw .cannotWrite(path: path, errno: errno) }
    return number
  }

  private static func isSomethingElse(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: stat fills the structure that it is given.
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
  }

  private static func remove(_ path: String) {
    // SAFETY: the call reads the path, which lives for its duration.
    _ = unsafe unlink(path)
  }
}
