// SPDX-License-Identifier: Apache-2.0
// A folder of tracefs: a small file for each setting of the kernel's tracing.

import Glibc
import SlabMount

struct TraceFolder {
  let path: String

  func has(_ file: String) -> Bool {
    // SAFETY: the call reads the path, which lives for its duration.
    unsafe access("\(path)/\(file)", F_OK) == 0
  }

  /// The file's text, of at most a page.
  func text(of file: String) throws(RecordError) -> String {
    let name = "\(path)/\(file)"
    let descriptor = try open(file, O_RDONLY)
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count: Int
    do throws(ToolError) {
      count = try Descriptor.read(descriptor.number, into: &bytes, from: 0, name: name)
    } catch {
      throw .cannotRead(path: name, errno: errno)
    }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }

  /// The file's first word, which is a setting's value; the kernel may print a remark behind it.
  func value(of file: String) throws(RecordError) -> String {
    let word = try text(of: file).prefix { !$0.isWhitespace }
    // An event that something else has enabled as well has a star behind its value.
    return String(word.last == "*" ? word.dropLast() : word)
  }

  func set(_ file: String, to value: String) throws(RecordError) {
    let descriptor = try open(file, O_WRONLY | O_TRUNC)
    let error = StandardStream.write(value + "\n", to: descriptor.number)
    guard error == 0 else {
      throw .cannotSet(path: "\(path)/\(file)", value: value, errno: error)
    }
  }

  func open(_ file: String, _ flags: CInt) throws(RecordError) -> Descriptor {
    Descriptor(owning: try number(ofOpen: file, flags))
  }

  /// A descriptor that the caller closes.
  func number(ofOpen file: String, _ flags: CInt) throws(RecordError) -> CInt {
    let name = "\(path)/\(file)"
    // SAFETY: the call reads the path, which lives for its duration.
    let number = unsafe Glibc.open(name, flags | O_CLOEXEC)
    if number >= 0 { return number }
    switch errno {
    case EACCES, EPERM: throw .notAllowed(path: path)
    case EBUSY: throw .isBeingRead(path: name)
    default: throw .cannotRead(path: name, errno: errno)
    }
  }
}

extension TraceFolder {
  private static let usualPaths = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]

  /// The folder at `path`, or else where tracefs is mounted.
  static func find(at path: String?) throws(RecordError) -> TraceFolder {
    if let path {
      let folder = TraceFolder(path: path)
      guard folder.has("events/kmem") else {
        throw errno == EACCES ? .notAllowed(path: path) : .notTracefs(path: path)
      }
      return folder
    }
    let mounted = MountTable.current().filter { $0.type == "tracefs" }.map(\.path)
    for path in mounted + usualPaths {
      let folder = TraceFolder(path: path)
      if folder.has("events/kmem") { return folder }
      if errno == EACCES { throw .notAllowed(path: path) }
    }
    // Without the right to look into the folder, it is the kernel's list that tells.
    let known = (try? TraceFolder(path: "/proc").text(of: "filesystems")) ?? ""
    throw known.contains("tracefs") ? .notMounted : .noTracefs
  }
}
