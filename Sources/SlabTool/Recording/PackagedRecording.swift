// SPDX-License-Identifier: Apache-2.0
// The recording that comes with the package.
//
// It is found beside the program, where SwiftPM puts a target's resources. `Bundle.module` does
// the same, but ends the process when the resources are missing; here that is an error.

import Glibc

enum PackagedRecording {
  static let name = "the packaged recording"

  private static let resource = "swift-slab_SlabTool.resources/transient.ftrace.txt.gz"

  static func path() throws(ToolError) -> String {
    let path = programDirectory() + resource
    // SAFETY: the call reads the path, which lives for its duration.
    guard unsafe access(path, F_OK) == 0 else { throw .packagedRecordingMissing(path: path) }
    return path
  }

  /// The directory of the running program, with a slash at its end.
  static func programDirectory() -> String {
    // SAFETY: realpath returns a new NUL-terminated string, which is copied and freed, or nil.
    guard let program = unsafe realpath("/proc/self/exe", nil) else { return "./" }
    defer { unsafe free(program) }
    let path = unsafe String(cString: program)
    let slash = path.lastIndex(of: "/") ?? path.startIndex
    return path[..<slash] + "/"
  }
}
