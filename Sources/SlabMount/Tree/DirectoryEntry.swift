// SPDX-License-Identifier: Apache-2.0
#if FUSE
  internal import Glibc

  /// What a client is told of a file.
  struct DirectoryEntry {
    let node: Node
    /// Type and permissions.
    let mode: UInt32
    var links = 1
    var bytes: UInt64 = 0
  }

  /// A name in a directory.
  enum FileName {
    case fixed(String)
    /// With a zero behind it.
    case bytes([UInt8])
  }

  /// Why a client's call fails, with the kernel's number for it.
  enum FileError: Error {
    case noEntry
    /// What it was a file of has ended.
    case noDevice
    case busy
    case invalid
    case refused
    case exists
    case nameTooLong
    case noMemory
    /// Less was reclaimed than was asked for.
    case tryAgain
    case tooManyFiles
    case outOfRange
    case notADirectory

    var errno: CInt {
      switch self {
      case .noEntry: ENOENT
      case .noDevice: ENODEV
      case .busy: EBUSY
      case .invalid: EINVAL
      case .refused: EACCES
      case .exists: EEXIST
      case .nameTooLong: ENAMETOOLONG
      case .noMemory: ENOMEM
      case .tryAgain: EAGAIN
      case .tooManyFiles: ENFILE
      case .outOfRange: ERANGE
      case .notADirectory: ENOTDIR
      }
    }
  }
#endif
