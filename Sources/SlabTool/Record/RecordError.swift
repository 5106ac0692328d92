// SPDX-License-Identifier: Apache-2.0
// Everything that can end a recording, with the words for it and what to do about it.

import Glibc

enum RecordError: Error, Equatable {
  case noTracefs
  case notMounted
  case notTracefs(path: String)
  case notAllowed(path: String)
  case missingEvent(name: String)
  case cannotRead(path: String, errno: CInt)
  case cannotSet(path: String, value: String, errno: CInt)
  case isBeingRead(path: String)
  case cannotMakeInstance(path: String, errno: CInt)
  case noMemory(mebibytes: Int)
  case noMemoryCgroup
  case cannotMakeCgroup(path: String, errno: CInt)
  case cannotWrite(path: String, errno: CInt)
  case compressorMissing(tool: String, path: String)
  case compressorFailed(tool: String, path: String, ending: String)
  case cannotStart(command: String, errno: CInt)
}

extension RecordError {
  /// As a shell has it: 127 for a command that is not there, 126 for one that cannot be run.
  var exitCode: CInt {
    guard case .cannotStart(_, let errno) = self else { return 1 }
    return errno == ENOENT ? 127 : 126
  }
}

extension RecordError: CustomStringConvertible {
  var description: String {
    switch self {
    case .noTracefs:
      "this kernel has no tracefs (CONFIG_TRACING): record on another kernel"
    case .notMounted:
      "tracefs is not mounted: mount -t tracefs nodev /sys/kernel/tracing"
    case .notTracefs(let path):
      "\(path) is not a tracefs: it has no events/kmem"
    case .notAllowed(let path):
      "cannot use \(path): recording needs root (sudo slab record ...), and in a container "
        + "the right to trace"
    case .missingEvent(let name):
      "this kernel has no event \(name): its slab allocator cannot be recorded"
    case .cannotRead(let path, let errno):
      "cannot read \(path): \(Self.text(of: errno))"
    case .cannotSet(let path, let value, let errno):
      "cannot write \(value) to \(path): \(Self.text(of: errno))"
    case .isBeingRead(let path):
      "another program is reading \(path): end it first"
    case .cannotMakeInstance(let path, let errno):
      "cannot make the instance \(path): \(Self.text(of: errno))"
    case .noMemory(let mebibytes):
      "not enough memory for a buffer of \(mebibytes) MiB per CPU: choose a smaller --buffer-size"
    case .noMemoryCgroup:
      "no cgroup file system with the memory controller is mounted: record without --cgroup"
    case .cannotMakeCgroup(let path, let errno):
      "cannot make the cgroup \(path): \(Self.text(of: errno))"
    case .cannotWrite(let path, let errno):
      "cannot write \(path): \(Self.text(of: errno))"
    case .compressorMissing(let tool, let path):
      "cannot compress \(path): \(tool) is not installed"
    case .compressorFailed(let tool, let path, let ending):
      "cannot compress \(path): \(tool) \(ending)"
    case .cannotStart(let command, let errno):
      "cannot start \(command): \(Self.text(of: errno))"
    }
  }

  private static func text(of errno: CInt) -> String {
    // SAFETY: strerror returns a NUL-terminated string for every number; it is copied at once.
    unsafe String(cString: strerror(errno))
  }
}
