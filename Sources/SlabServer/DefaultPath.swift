// SPDX-License-Identifier: Apache-2.0
// Where a process listens that names no path, and where the tool looks for it: a folder of each user's own.

package import Glibc

package enum DefaultPath {
  /// The path of a process, whoever asks.
  package static func path(ofProcess process: pid_t, user: uid_t) -> String {
    "\(folder(ofUser: user))/\(process).sock"
  }

  /// Below /tmp whatever the environment says: a client may have another one.
  package static func folder(ofUser user: uid_t) -> String { "/tmp/slab-\(user)" }

  /// The calling process's path, in a folder that is there and is its user's alone.
  static func make() throws(SlabServerError) -> String {
    let user = geteuid()
    let folder = folder(ofUser: user)
    if unsafe mkdir(folder, 0o700) != 0, errno != EEXIST {
      throw .system(call: "mkdir", path: folder, errno: errno)
    }
    var status = stat()
    // SAFETY: the call fills the structure of this frame.
    guard unsafe lstat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
      status.st_uid == user, status.st_mode & 0o077 == 0
    else { throw .folderNotPrivate(path: folder) }
    return path(ofProcess: getpid(), user: user)
  }
}
