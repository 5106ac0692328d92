// SPDX-License-Identifier: Apache-2.0
// A memory cgroup for the recorded command, so that the recording has a group. It is removed with its owner.

import Glibc
import SlabMount

struct MemoryCgroup: ~Copyable {
  let path: String

  init() throws(RecordError) {
    guard let mountPoint = Self.mountPoint(in: MountTable.current()) else { throw .noMemoryCgroup }
    let path = "\(mountPoint)/slab-record-\(getpid())"
    // SAFETY: the call reads the path, which lives for its duration.
    guard unsafe mkdir(path, 0o755) == 0 else {
      throw .cannotMakeCgroup(path: path, errno: errno)
    }
    self.path = path
  }

  deinit {
    // SAFETY: the call reads the path, which lives for its duration.
    guard unsafe rmdir(path) != 0 else { return }
    StandardStream.writeMessage(
      "slab: the cgroup \(path) is still in use; remove it later with rmdir\n")
  }

  /// The command, behind a shell that enters the group first: what it allocates on its way is charged already.
  func entering(_ command: [String]) throws(RecordError) -> [String] {
    // The shell's own complaint would be taken for the command's end.
    let error = Self.errorOfFinding(command[0])
    guard error == 0 else { throw .cannotStart(command: command[0], errno: error) }
    return ["/bin/sh", "-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"", path] + command
  }

  /// The errno with which the program would not start, or 0.
  private static func errorOfFinding(_ program: String) -> CInt {
    // SAFETY: getenv returns a NUL-terminated string or nil, and it is copied at once.
    let search = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/bin:/usr/bin"
    let folders = program.contains("/") ? [""] : search.split(separator: ":").map { "\($0)/" }
    var error = ENOENT
    for folder in folders {
      // SAFETY: the call reads the path, which lives for its duration.
      if unsafe access(folder + program, X_OK) == 0 { return 0 }
      if errno == EACCES { error = EACCES }
    }
    return error
  }

  /// The hierarchy that has the memory controller: one of v1's own, or else that of v2.
  static func mountPoint(in mounts: [MountTable.Entry]) -> String? {
    let own = mounts.first { $0.type == "cgroup" && $0.options.contains("memory") }
    return (own ?? mounts.first { $0.type == "cgroup2" })?.path
  }
}
