// SPDX-License-Identifier: Apache-2.0
// Where libslabmalloc.so is: where it is said to be, beside this program, or where both are installed.

import Glibc

struct MallocLibrary: Equatable {
  static let name = "libslabmalloc.so"
  let path: String

  /// - Throws: `.noLibrary`, `.unusablePath`.
  static func find(at wanted: String?, besides program: String? = nil) throws(RunError)
    -> MallocLibrary
  {
    let places: [String]
    if let wanted {
      places = [wanted]
    } else {
      let folder = (program ?? ownPath).split(separator: "/").dropLast().map { "/" + $0 }.joined()
      places = ["\(folder)/\(name)", "\(folder)/../lib/\(name)"]
    }
    guard let path = places.first(where: isReadable).flatMap(wholePath) else {
      throw .noLibrary(places: places)
    }
    // The loader takes both for the end of a name.
    guard !path.contains(":"), !path.contains(" ") else { throw .unusablePath(path) }
    return MallocLibrary(path: path)
  }

  private static func isReadable(_ path: String) -> Bool { unsafe access(path, R_OK) == 0 }

  /// This program's path.
  private static var ownPath: String { wholePath("/proc/self/exe") ?? "" }

  /// A path from the root, without links.
  private static func wholePath(_ path: String) -> String? {
    // SAFETY: a string that realpath allocates, copied and freed.
    unsafe realpath(path, nil).map { found in
      defer { unsafe free(found) }
      return unsafe String(cString: found)
    }
  }
}

/// Why a command cannot be run.
enum RunError: Error, Equatable {
  case noLibrary(places: [String])
  case unusablePath(String)
  case cannotRun(command: String, errno: CInt)

  /// As a shell's.
  var exitCode: CInt {
    switch self {
    case .noLibrary, .unusablePath: 1
    case .cannotRun(_, ENOENT): 127
    case .cannotRun: 126
    }
  }
}

extension RunError: CustomStringConvertible {
  var description: String {
    switch self {
    case .noLibrary(let places):
      "there is no \(MallocLibrary.name) at \(places.joined(separator: " or ")): "
        + "build it with Scripts/libslabmalloc, and name it with --library"
    case .unusablePath(let path):
      "the loader cannot preload \(path): its name contains a colon or a blank"
    case .cannotRun(let command, let errno):
      // SAFETY: strerror returns a NUL-terminated string for every number; it is copied at once.
      "cannot run \(command): \(unsafe String(cString: strerror(errno)))"
    }
  }
}
