// SPDX-License-Identifier: Apache-2.0
#if FUSE
  /// Why there is no mount.
  public enum SlabMountError: Error, Equatable, Sendable {
    /// There is no `/dev/fuse`: the kernel has no FUSE, or the container was given none.
    case noDevice
    /// `/dev/fuse` cannot be opened, with this error number.
    case deviceRefused(errno: CInt)
    /// The path cannot be looked at, with this error number.
    case unreachable(path: String, errno: CInt)
    /// The path is no directory.
    case notADirectory(path: String)
    /// Something is mounted there.
    case busy(path: String)
    /// What is mounted there has lost its process, and is no mount of this kind, or cannot be unmounted:
    /// `fusermount3 -u -z` or `umount -l` does that.
    case stale(path: String)
    /// A mount has 1 to 64 workers.
    case invalidWorkers(Int)
    /// libfuse refused, for this reason.
    case refused(path: String, reason: String)
  }

  extension SlabMountError: CustomStringConvertible {
    /// One line for people.
    public var description: String {
      switch self {
      case .noDevice:
        "there is no /dev/fuse: the kernel has no FUSE (modprobe fuse), or the container was given none (--device /dev/fuse)"
      case .deviceRefused(let errno): "cannot open /dev/fuse: \(Self.text(of: errno))"
      case .unreachable(let path, let errno): "cannot mount at \(path): \(Self.text(of: errno))"
      case .notADirectory(let path): "cannot mount at \(path): it is no directory"
      case .busy(let path): "cannot mount at \(path): something is mounted there"
      case .stale(let path):
        "cannot mount at \(path): what is mounted there has lost its process; unmount it with fusermount3 -u -z, or as root with umount -l"
      case .invalidWorkers(let count): "a mount has 1 to 64 workers, not \(count)"
      case .refused(let path, let reason): "cannot mount at \(path): \(reason)"
      }
    }
  }
#endif
