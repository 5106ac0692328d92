// Where a recording's text comes from: a file, standard input, or a file behind the tool that
// decompresses it. The child reads through our own descriptor, whose position therefore tells
// how far the recording has been read, compressed or not.

import Glibc

struct RecordingSource: ~Copyable {
  /// What messages call the recording.
  let name: String
  /// The file's size, when it has one.
  let fileBytes: Int?
  private let file: Descriptor
  private let tool: String?
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
    let decompressor = try tool.map { tool throws(ToolError) in
      try Decompressor(tool, reading: file, name: name)
    }
    self.fileBytes = fileBytes
    self.decompressor = decompressor
    self.file = file
    self.name = name
    self.tool = tool
  }

  /// The size of a regular file; nil for what has none, such as a pipe.
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
    case S_IFREG: return Int(status.st_size)
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

  /// Ends the reading; fails when the text was not the whole recording.
  mutating func finish() throws(ToolError) {
    if let ending = decompressor.take()?.finish() {
      throw .decompressorFailed(tool: tool!, name: name, ending: ending)
    }
  }
}
