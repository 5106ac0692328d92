// SPDX-License-Identifier: Apache-2.0
// A folder of tracefs of our own: making it makes a buffer and a set of all settings.

import Foundation
import Glibc

struct TraceInstance {
  private static let prefix = "slab-"

  let folder: TraceFolder

  /// Nil where the kernel has no instances.
  init?(in root: TraceFolder) throws(RecordError) {
    guard root.has("instances") else { return nil }
    folder = TraceFolder(path: "\(root.path)/instances/\(Self.prefix)\(getpid())")
    // SAFETY: the call reads the path, which lives for its duration.
    guard unsafe mkdir(folder.path, 0o700) == 0 else {
      if errno == EACCES || errno == EPERM { throw .notAllowed(path: root.path) }
      throw .cannotMakeInstance(path: folder.path, errno: errno)
    }
  }

  /// Why it is still there, or nil.
  func remove() -> RecordError? {
    // SAFETY: the call reads the path, which lives for its duration.
    unsafe rmdir(folder.path) == 0 ? nil : .cannotMakeInstance(path: folder.path, errno: errno)
  }
}

extension TraceInstance {
  /// Removes the instances of recordings that were killed (SIGKILL), which trace on into their buffers. What is to
  /// be said of each.
  static func removeAbandoned(in root: TraceFolder) -> [String] {
    let instances = "\(root.path)/instances"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: instances)) ?? []
    return names.sorted().compactMap { name in
      guard let owner = owner(of: name), isGone(owner) else { return nil }
      let path = "\(instances)/\(name)"
      // SAFETY: the call reads the path, which lives for its duration.
      if unsafe rmdir(path) == 0 {
        return "removed \(path), left by a recording that was killed"
      }
      // In use after all: by a recording that this process does not see, in another container.
      if errno == EBUSY { return nil }
      return "a recording that was killed left \(path), which is still recording: rmdir \(path)"
    }
  }

  private static func owner(of name: String) -> pid_t? {
    guard name.hasPrefix(prefix) else { return nil }
    return pid_t(name.dropFirst(prefix.count))
  }

  /// This process's own number, before it has an instance, was another one's.
  private static func isGone(_ process: pid_t) -> Bool {
    process == getpid() || (process > 0 && kill(process, 0) != 0 && errno == ESRCH)
  }
}
