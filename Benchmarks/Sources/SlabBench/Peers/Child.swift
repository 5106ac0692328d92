// SPDX-License-Identifier: Apache-2.0
// Running this program again, with another malloc.

import Glibc

/// What a measurement in a process of its own said.
struct Answers {
  let values: [String: Double]

  func callAsFunction(_ key: String) throws(BenchError) -> Double {
    guard let value = values[key] else { throw .keyMissing(key: key) }
    return value
  }
}

enum Child {
  /// Path of this program.
  static var program: String {
    var path = [CChar](repeating: 0, count: 4096)
    // SAFETY: readlink writes at most as many bytes as it is told, which leaves the last one 0.
    let count = unsafe readlink("/proc/self/exe", &path, path.count - 1)
    return String(
      decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Runs `slab-bench measure` with these arguments under a peer's malloc.
  static func measure(
    _ arguments: [String], under peer: Peer? = nil
  ) throws(BenchError) -> Answers {
    var words: [String] = []
    if let path = peer?.path { words += ["LD_PRELOAD=" + quoted(path)] }
    words += ["exec", quoted(program), "measure"] + arguments.map(quoted)
    if let library = peer?.library { words += ["--preloaded", quoted(library)] }
    let text = try output(of: words.joined(separator: " "))
    var values: [String: Double] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: "=")
      if parts.count == 2, let value = Double(parts[1]) { values[String(parts[0])] = value }
    }
    return Answers(values: values)
  }

  /// The standard output of a shell command that must succeed.
  static func output(of command: String) throws(BenchError) -> String {
    fflush(nil)
    guard let stream = unsafe popen(command, "r") else { throw .cannotStart(command: command) }
    let text = unsafe SystemFile.text(of: stream)
    let status = unsafe pclose(stream)
    guard status == 0 else { throw .childFailed(command: command, status: Int(status)) }
    return text
  }

  static func quoted(_ word: String) -> String {
    "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
      + "'"
  }
}
