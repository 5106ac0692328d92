// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Why a server cannot be started.
public enum SlabServerError: Error, Equatable {
  /// The path is empty or has a zero byte.
  case invalidPath
  /// The path has more bytes than the address of a Unix socket.
  case pathTooLong(bytes: Int, most: Int)
  /// A process serves this path: its number, or 0 if it is in another name space.
  case inUse(path: String, process: Int32)
  /// What is at the path is no socket, and stays.
  case notASocket(path: String)
  /// Another process has been about to open a socket in this folder for a second.
  case folderBusy(path: String)
  /// The folder is not the user's alone, so that another one could put a socket there.
  case folderNotPrivate(path: String)
  /// A system call failed.
  case system(call: String, path: String, errno: Int32)
}

extension SlabServerError: CustomStringConvertible {
  /// What is wrong, in words.
  public var description: String {
    switch self {
    case .invalidPath: "the path of a socket is empty or has a zero byte"
    case .pathTooLong(let bytes, let most):
      "the path of the socket has \(bytes) bytes, and a Unix socket's has \(most) at most"
    case .inUse(let path, let process):
      "\(path) is in use"
        + (process > 0 ? " by process \(process)" : "") + ": stop that, or serve another path"
    case .notASocket(let path): "\(path) exists and is not a socket"
    case .folderBusy(let path): "another process opens a socket in \(path)"
    case .folderNotPrivate(let path):
      "\(path) is not a folder of this user alone: another one could put a socket there"
    case .system(let call, let path, let errno):
      // SAFETY: strerror returns a NUL-terminated string for every number; it is copied at once.
      "cannot serve \(path): \(call): \(unsafe String(cString: strerror(errno)))"
    }
  }
}
