// A folder of tracefs of our own: making it makes a buffer and a set of all settings.

import Glibc

struct TraceInstance {
  let folder: TraceFolder

  /// Nil where the kernel has no instances.
  init?(in root: TraceFolder) throws(RecordError) {
    guard root.has("instances") else { return nil }
    folder = TraceFolder(path: "\(root.path)/instances/slab-\(getpid())")
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
