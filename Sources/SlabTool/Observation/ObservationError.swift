// SPDX-License-Identifier: Apache-2.0
// What can stand against looking at a process, with the words for it.

import Glibc

enum ObservationError: Error, Equatable {
  case cannotConnect(path: String, errno: CInt)
  case nothingServed(path: String)
  case noSuchProcess(Int)
  case noServer(process: Int, path: String)
  case noProcessServes(folder: String)
  case severalServe([String])
  case pathTooLong(String)
  case serverGone(path: String)
  case noAnswer(path: String)
  case refused(String)
  case notASnapshot(String)
  case badLine(name: String, line: Int, reason: String)
  case noSnapshots(name: String)
  case notATerminal
}

extension ObservationError: CustomStringConvertible {
  var description: String {
    switch self {
    case .cannotConnect(let path, let errno):
      "cannot connect to \(path): \(Self.text(of: errno))"
    case .nothingServed(let path):
      "\(path) is a socket that no process serves any more"
    case .noSuchProcess(let process):
      "there is no process \(process)"
    case .noServer(let process, let path):
      "process \(process) does not serve its allocator at \(path): SlabServer.start() does that, and "
        + "for a path of its own name the path"
    case .noProcessServes(let folder):
      "no process serves its allocator in \(folder): name a path, or try it with slab churn "
        + "--groups 1000 --serve PATH"
    case .severalServe(let paths):
      "several processes serve their allocators, name one: " + paths.joined(separator: ", ")
    case .pathTooLong(let path):
      "\(path) cannot be the path of a socket"
    case .serverGone(let path):
      "the process that served \(path) has ended, or serves it no more"
    case .noAnswer(let path):
      "\(path) does not answer"
    case .refused(let words):
      "the server refuses: \(TextCell.printable(words))"
    case .notASnapshot(let reason):
      "the answer is no snapshot: \(reason)"
    case .badLine(let name, let line, let reason):
      "\(name):\(line): not a snapshot: \(reason)"
    case .noSnapshots(let name):
      "\(name) has no snapshot"
    case .notATerminal:
      "standard input is not a terminal: --once and --json need none"
    }
  }

  private static func text(of errno: CInt) -> String {
    // SAFETY: strerror returns a NUL-terminated string for every number; it is copied at once.
    unsafe String(cString: strerror(errno))
  }
}
