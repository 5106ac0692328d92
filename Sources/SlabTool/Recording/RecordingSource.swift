// SPDX-License-Identifier: Apache-2.0
// Where a recording's text comes from: a file, standard input, or a file behind the tool that
// decompresses it. A file can be read again from its beginning. The child reads through our own descriptor, whose position therefore tells
// how far the recording has been read, compressed or not.

import Glibc

struct RecordingSource: ~Copyable {
  /// What messages call the recording.
  let name: String
  /// The file's size, when it has one.
  private(set) var fileBytes: Int?
  private var file: Descriptor
  /// Where the recording begins in the file.
  private var beginning: Int
  private var tool: String?
  private var decompressor: Decompressor?

  /// Opens `path`, or standard input for `-`, which must be plain text.
  init(_ path: String, name: String) throws(ToolError) {
    if path == "-" {
      try self.init(Descriptor(owning: dup(STDIN_FILENO)), name: name, tool: nil)
    } else {
      let tool = Decompressor.tool(for: path)
      try self.init(Descriptor(reading: path), name: name, tool: tool)
    }
  }

  private init(
    _ file: consuming Descriptor, name: String, tool: String?
  ) throws(ToolError) {
    let fileBytes = try Self.size(of: file, name: name)
    let beginning = fileBytes == nil ? 0 : Int(lseek(file.number, 0, SEEK_CUR))
    let decompressor = try Self.decompressor(tool, reading: file, name: name)
    self.fileBytes = fileBytes
    self.beginning = beginning
    self.decompressor = decompressor
    self.file = file
    self.name = name
    self.tool = tool
  }

  private static func decompressor(
    _ tool: String?, reading file: borrowing Descriptor, name: String
  ) throws(ToolError) -> Decompressor? {
    guard let tool else { return nil }
    return try Decompressor(tool, reading: file, name: name)
  }

  /// The size of a regular file; nil for what has none, such as a pipe, and the files of tracefs, which
  /// give another text each time.
  private static func size(
    of file: borrowing Descriptor, name: String
  ) throws(ToolError) -> Int? {
    var status = stat()
    // SAFETY: fstat fills the structure that it is given.
    guard unsafe fstat(file.number, &status) == 0 else {
      throw .cannotOpen(path: name, errno: errno)
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR: throw .isDirectory(path: name)
    case S_IFREG where status.st_size > 0 && lseek(file.number, 0, SEEK_CUR) >= 0:
      return Int(status.st_size)
    default: return nil
    }
  }

  /// Throws if what there is at `path` gives its text only once.
  static func checkCanBeReadAgain(_ path: String, name: String) throws(ToolError) {
    var status = stat()
    // SAFETY: stat fills the structure that it is given.
    guard unsafe stat(path, &status) == 0 else { throw .cannotOpen(path: path, errno: errno) }
    let type = status.st_mode & S_IFMT
    guard type == S_IFREG || type == S_IFDIR else { throw .readOnlyOnce(name: name) }
  }

  /// How much of the file has been read.
  var position: Int {
    Int(lseek(file.number, 0, SEEK_CUR))
  }

  /// Reads text into `bytes` from index `start` on; 0 at the end.
  func read(into bytes: inout [UInt8], from start: Int) throws(ToolError) -> Int {
    switch decompressor {
    case .some(let decompressor):
      try decompressor.read(into: &bytes, from: start, name: name)
    case .none:
      try Descriptor.read(file.number, into: &bytes, from: start, name: name)
    }
  }

  /// Goes back to the beginning of a file.
  mutating func rewind() throws(ToolError) {
    // A decompressor that has not come to its end is ended.
    decompressor = nil
    guard lseek(file.number, off_t(beginning), SEEK_SET) >= 0 else {
      throw .cannotRead(name: name, errno: errno)
    }
    decompressor = try Self.decompressor(tool, reading: file, name: name)
  }

  /// Goes on with a file that holds the same text.
  mutating func replaceFile(with file: consuming Descriptor) throws(ToolError) {
    fileBytes = try Self.size(of: file, name: name)
    beginning = 0
    tool = nil
    self.file = file
  }

  /// Ends the reading; fails when the text was not the whole recording.
  mutating func finish() throws(ToolError) {
    if let ending = decompressor.take()?.finish() {
      throw .decompressorFailed(tool: tool!, name: name, ending: ending)
    }
  }
}
