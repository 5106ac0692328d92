// SPDX-License-Identifier: Apache-2.0
// A file that is there as a whole or not at all: written beside its place, then moved onto it.

import Glibc

enum WholeFile {
  /// Throws if the file could not be written, and leaves nothing.
  static func checkCanBeWritten(_ path: String) throws(ToolError) {
    let file = try TemporaryFile(for: path)
    _ = consume file
  }

  /// Writes the text. What was at the path stays until it is replaced as a whole.
  static func write(_ text: String, to path: String) throws(ToolError) {
    let file = try TemporaryFile(for: path)
    try file.write(text)
    try file.moveIntoPlace()
  }
}

/// A file beside the one that it is to become; removed with its owner if it does not.
private struct TemporaryFile: ~Copyable {
  /// As it was given, for messages; and with links followed.
  private let path: String
  private let place: String
  private let temporaryPath: String
  private let descriptor: CInt

  init(for path: String) throws(ToolError) {
    let place = try Self.place(of: path)
    var template = Array("\(place).XXXXXX".utf8CString)
    // SAFETY: the template is a NUL-terminated string, which mkstemp changes in place.
    let descriptor = unsafe mkstemp(&template)
    guard descriptor >= 0 else { throw .cannotWriteFile(path: path, errno: errno) }
    // As open would have made it.
    let mask = umask(0)
    umask(mask)
    fchmod(descriptor, 0o666 & ~mask)
    self.path = path
    self.place = place
    self.descriptor = descriptor
    let bytes = template.dropLast().map(UInt8.init(bitPattern:))
    temporaryPath = String(decoding: bytes, as: UTF8.self)
  }

  deinit {
    close(descriptor)
    // After the move there is nothing of this name.
    _ = unsafe unlink(temporaryPath)
  }

  /// Where the path leads. What is there must be a file: anything else would be replaced by one.
  private static func place(of path: String) throws(ToolError) -> String {
    var status = stat()
    // SAFETY: stat fills the structure that it is given.
    guard unsafe stat(path, &status) == 0 else {
      guard errno == ENOENT else { throw .cannotWriteFile(path: path, errno: errno) }
      return path
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .outputIsNoFile(path: path) }
    // SAFETY: realpath returns a NUL-terminated string that is ours to free, or nil.
    guard let resolved = unsafe realpath(path, nil) else {
      throw .cannotWriteFile(path: path, errno: errno)
    }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  func write(_ text: String) throws(ToolError) {
    let error = StandardStream.write(text, to: descriptor)
    guard error == 0 else { throw .cannotWriteFile(path: path, errno: error) }
  }

  func moveIntoPlace() throws(ToolError) {
    guard fsync(descriptor) == 0, unsafe rename(temporaryPath, place) == 0 else {
      throw .cannotWriteFile(path: path, errno: errno)
    }
  }
}
