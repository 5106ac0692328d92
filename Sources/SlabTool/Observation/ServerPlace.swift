// SPDX-License-Identifier: Apache-2.0
// Where a process is found that is to be looked at: by a path, by its number, or as the only one there is.

import Glibc
import SlabServer

enum ServerPlace {
  /// The path of the socket.
  static func find(_ argument: String?) throws(ObservationError) -> String {
    guard let argument else { return try onlyOne(in: DefaultPath.folder(ofUser: geteuid())) }
    guard let process = Int(argument) else { return argument }
    var status = stat()
    // SAFETY: the call fills the structure of this frame.
    guard process > 0, unsafe stat("/proc/\(process)", &status) == 0 else {
      throw .noSuchProcess(process)
    }
    let path = DefaultPath.path(ofProcess: pid_t(process), user: status.st_uid)
    guard unsafe access(path, F_OK) == 0 else {
      throw .noServer(process: process, path: path)
    }
    return path
  }

  /// Of a folder of sockets the one that is served.
  static func onlyOne(in folder: String) throws(ObservationError) -> String {
    var served: [String] = []
    for name in entries(of: folder).sorted() where name.hasSuffix(".sock") {
      let path = "\(folder)/\(name)"
      if (try? ServerConnection(path)) != nil { served.append(path) }
    }
    guard let first = served.first else { throw .noProcessServes(folder: folder) }
    guard served.count == 1 else { throw .severalServe(served) }
    return first
  }

  private static func entries(of folder: String) -> [String] {
    guard let stream = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      // SAFETY: the name is NUL-terminated, and is copied before the next call.
      names.append(
        unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        })
    }
    return names
  }
}
