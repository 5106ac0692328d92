// SPDX-License-Identifier: Apache-2.0
// Snapshots from a file or standard input: one JSON object in a line, as slab top --json writes them; or one object over
// many lines.

import Glibc

enum SnapshotFile {
  /// In the order of the file; one at least.
  static func read(_ path: String) throws -> [ObservedSnapshot] {
    let name = path == "-" ? "standard input" : path
    let text = String(decoding: try bytes(of: path), as: UTF8.self)
    if let whole = try? ObservedSnapshot(text) { return [whole] }
    var snapshots: [ObservedSnapshot] = []
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    where !line.allSatisfy(\.isWhitespace) {
      do throws(ObservationError) {
        snapshots.append(try ObservedSnapshot(line))
      } catch {
        guard case .notASnapshot(let reason) = error else { throw error }
        throw ObservationError.badLine(name: name, line: number + 1, reason: reason)
      }
    }
    guard !snapshots.isEmpty else { throw ObservationError.noSnapshots(name: name) }
    return snapshots
  }

  private static func bytes(of path: String) throws -> [UInt8] {
    let descriptor = path == "-" ? STDIN_FILENO : unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ToolError.cannotOpen(path: path, errno: errno) }
    defer { if path != "-" { close(descriptor) } }
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      // SAFETY: the call fills the array, and is told its count.
      let count = unsafe Glibc.read(descriptor, &piece, piece.count)
      guard count >= 0 else {
        if errno == EISDIR { throw ToolError.isDirectory(path: path) }
        throw ToolError.cannotRead(name: path, errno: errno)
      }
      if count == 0 { return all }
      all += piece[..<count]
    }
  }
}
