// SPDX-License-Identifier: Apache-2.0
// The directory: whether it can be mounted at, and what a process that was killed has left there.

#if FUSE
  internal import Glibc

  enum MountPoint {
    /// What `/proc/self/mounts` calls a mount of this kind.
    static let type = "fuse.slab"

    static func prepare(_ path: String) throws(SlabMountError) {
      try checkDevice()
      if hasLostItsProcess(path) { try removeStale(path) }
      let error = status(of: path)
      guard error == 0 else { throw .unreachable(path: path, errno: error) }
      guard isDirectory(path) else { throw .notADirectory(path: path) }
      if let real = realPath(path), typeOfMount(at: real) != nil { throw .busy(path: path) }
    }

    /// libfuse would say the same, on standard error.
    private static func checkDevice() throws(SlabMountError) {
      // SAFETY: a text for the length of the call.
      let device = unsafe open("/dev/fuse", O_RDWR | O_CLOEXEC)
      guard device < 0 else {
        close(device)
        return
      }
      guard errno != ENOENT, errno != ENODEV, errno != ENXIO else { throw .noDevice }
      throw .deviceRefused(errno: errno)
    }

    /// Opened, since the kernel believes for a moment what it was told of the directory itself.
    private static func hasLostItsProcess(_ path: String) -> Bool {
      // SAFETY: a text for the length of the call.
      let directory = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard directory >= 0 else { return errno == ENOTCONN }
      close(directory)
      return false
    }

    /// 0, or the error number of stat(2).
    private static func status(of path: String) -> CInt {
      var status = stat()
      // SAFETY: the call fills the structure of this frame.
      return unsafe stat(path, &status) == 0 ? 0 : errno
    }

    private static func isDirectory(_ path: String) -> Bool {
      var status = stat()
      // SAFETY: the call fills the structure of this frame.
      return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Unmounts what has lost its process, if it is of this kind.
    private static func removeStale(_ path: String) throws(SlabMountError) {
      // The mount itself cannot be looked at; what it lies in can.
      // By bytes: a slash and a mark behind it are one character.
      let slash = UInt8(ascii: "/")
      var bytes = Array(path.utf8)
      while bytes.last == slash { bytes.removeLast() }
      let start = bytes.lastIndex(of: slash).map { $0 + 1 } ?? 0
      let name = String(decoding: bytes[start...], as: UTF8.self)
      let parent = start == 0 ? "." : String(decoding: bytes[..<start], as: UTF8.self)
      guard let folder = realPath(parent) else { throw .stale(path: path) }
      let real = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
      guard typeOfMount(at: real) == type else { throw .stale(path: path) }
      // SAFETY: a text for the length of the call.
      guard unsafe umount2(real, CInt(MNT_DETACH) | CInt(UMOUNT_NOFOLLOW)) != 0 else { return }
      guard run(["fusermount3", "-u", "-z", real]) else { throw .stale(path: path) }
    }

    private static func realPath(_ path: String) -> String? {
      // SAFETY: the call returns a text of malloc's, or none.
      guard let real = unsafe realpath(path, nil) else { return nil }
      defer { unsafe free(real) }
      return unsafe String(cString: real)
    }

    /// The type of what was mounted last at a path without links.
    private static func typeOfMount(at path: String) -> String? {
      MountTable.current().last { $0.path.utf8.elementsEqual(path.utf8) }?.type
    }

    private static func run(_ arguments: [String]) -> Bool {
      var process: pid_t = 0
      // SAFETY: the texts live until they are freed below, and the list ends with nil.
      var texts = unsafe arguments.map { unsafe strdup($0) } + [nil]
      let error = unsafe posix_spawnp(&process, arguments[0], nil, nil, &texts, environ)
      for index in unsafe texts.indices { unsafe free(texts[index]) }
      guard error == 0 else { return false }
      var status: CInt = 0
      // SAFETY: waitpid writes one number.
      while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
      return status == 0
    }
  }

  extension SlabMountError {
    static func text(of errno: CInt) -> String {
      // SAFETY: strerror returns a text for every number; it is copied at once.
      unsafe String(cString: strerror(errno))
    }
  }
#endif
