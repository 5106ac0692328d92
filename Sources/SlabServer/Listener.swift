// SPDX-License-Identifier: Apache-2.0
// The listening socket at a path. One that a dead process left is replaced, one that is served is not. Of two processes
// that find a dead one only one replaces it: the folder is locked meanwhile.

internal import Glibc

struct Listener: Sendable {
  let path: String
  let descriptor: SocketDescriptor
  /// Which file it is: at the end another server's may be there.
  private let device: dev_t
  private let inode: ino_t

  init(at path: String, access: SlabServer.Access) throws(SlabServerError) {
    let address = try SocketAddress(path)
    guard let descriptor = SocketDescriptor.socket() else {
      throw .system(call: "socket", path: path, errno: errno)
    }
    do throws(SlabServerError) {
      let folder = try FolderLock(above: path)
      defer { folder.unlock() }
      try Self.removeStale(address)
      guard address.bind(descriptor) else {
        throw .system(call: "bind", path: path, errno: errno)
      }
      do throws(SlabServerError) {
        // Before it listens no client gets in, whatever the umask has let through.
        let mode: mode_t = access == .ownUser ? 0o600 : 0o666
        var status = stat()
        // SAFETY: the calls read the path, and fill the structure of this frame.
        guard unsafe chmod(path, mode) == 0, unsafe lstat(path, &status) == 0,
          listen(descriptor.number, 16) == 0
        else { throw .system(call: "listen", path: path, errno: errno) }
        self.path = path
        self.descriptor = descriptor
        (device, inode) = (status.st_dev, status.st_ino)
      } catch {
        _ = unsafe unlink(path)
        throw error
      }
    } catch {
      descriptor.close()
      throw error
    }
  }

  /// Closes it and removes its file, if it is still there.
  func remove() {
    var status = stat()
    // SAFETY: the calls read the path, and fill the structure of this frame.
    if unsafe lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode {
      _ = unsafe unlink(path)
    }
    _ = shutdown(descriptor.number, CInt(SHUT_RDWR))
    descriptor.close()
  }

  private static func removeStale(_ address: SocketAddress) throws(SlabServerError) {
    let path = address.path
    var status = stat()
    // SAFETY: the call fills the structure of this frame.
    guard unsafe lstat(path, &status) == 0 else {
      guard errno == ENOENT else { throw .system(call: "stat", path: path, errno: errno) }
      return
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
    guard let probe = SocketDescriptor.socket() else {
      throw .system(call: "socket", path: path, errno: errno)
    }
    defer { probe.close() }
    if address.connect(probe) {
      // The process that began to listen. If it is gone, its children have the socket, and none of them serves it.
      let server = probe.peer?.process ?? 0
      guard server > 0, kill(server, 0) != 0, errno == ESRCH else {
        throw .inUse(path: path, process: server)
      }
    } else if errno == EAGAIN {
      throw .inUse(path: path, process: 0)
    } else if errno != ECONNREFUSED && errno != ENOENT {
      throw .system(call: "connect", path: path, errno: errno)
    }
    guard unsafe unlink(path) == 0 || errno == ENOENT else {
      throw .system(call: "unlink", path: path, errno: errno)
    }
  }
}

/// The right to open a socket in a folder.
private struct FolderLock {
  private let descriptor: CInt

  /// Waits for another process, for a second at most: any user that may read the folder can lock it.
  init(above path: String) throws(SlabServerError) {
    // By bytes: a slash and a mark behind it are one character.
    let end = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let name = end.map { String(decoding: path.utf8[...$0], as: UTF8.self) } ?? "."
    descriptor = unsafe open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(call: "open \(name)", path: path, errno: errno) }
    var tries = 0
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      guard errno == EWOULDBLOCK || errno == EINTR, tries < 100 else {
        close(descriptor)
        throw .folderBusy(path: name)
      }
      tries += 1
      usleep(10_000)
    }
  }

  /// By itself, since a child of fork may have the descriptor as well.
  func unlock() {
    _ = flock(descriptor, LOCK_UN)
    close(descriptor)
  }
}
