// SPDX-License-Identifier: Apache-2.0
// What the tests of the tool share: recordings from text, and the program run as a user runs it.

import Foundation
import Testing

@testable import SlabTool

/// Lives `text` on a counting target.
func interpret(_ text: String) throws -> (target: CountingTarget, counts: RecordingCounts) {
  let file = try TemporaryFile(text)
  return try interpret(path: file.path, name: "test")
}

/// Lives a recording on a counting target.
func interpret(
  path: String, name: String
) throws -> (target: CountingTarget, counts: RecordingCounts) {
  var interpreter = RecordingInterpreter(CountingTarget(), recording: name)
  try interpreter.interpret(RecordingSource(path, name: name)) { _ in }
  #expect(interpreter.target.breaches == [])
  return (interpreter.target, interpreter.currentCounts)
}

/// Where the recording `name`.gz of these tests lies.
func resource(_ name: String) throws -> String {
  try #require(Bundle.module.path(forResource: name, ofType: "gz", inDirectory: "Resources"))
}

extension NotUnderstood {
  init(_ text: String, line: Int) {
    let bytes = Array(text.utf8)
    self.init(bytes.span, line: line)
  }
}

/// A file that is removed with its owner.
final class TemporaryFile {
  let path: String

  init(_ content: some StringProtocol, suffix: String = ".txt") throws {
    path = NSTemporaryDirectory() + "slab-\(UUID().uuidString)\(suffix)"
    try String(content).write(toFile: path, atomically: false, encoding: .utf8)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }
}

struct Ending {
  var exitCode: Int32
  var output: String
  var messages: String
}

/// Runs a shell script in which `$slab` is the program and `$1`, `$2`, … are `arguments`.
func shell(_ script: String, _ arguments: String...) throws -> Ending {
  let output = try TemporaryFile("")
  let messages = try TemporaryFile("")
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/bin/bash")
  process.arguments = ["-c", "set -o pipefail; slab=$0; \(script)"]
  process.arguments! += [PackagedRecording.programDirectory() + "slab"] + arguments
  process.standardInput = FileHandle.nullDevice
  process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output.path))
  process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: messages.path))
  try process.run()
  process.waitUntilExit()
  return Ending(
    exitCode: process.terminationStatus,
    output: try String(contentsOfFile: output.path, encoding: .utf8),
    messages: try String(contentsOfFile: messages.path, encoding: .utf8))
}

/// Lines of a recording, as the kernel prints them.
enum Line {
  static func event(_ event: String, comm: String = "bash", pid: Int = 7) -> String {
    let padding = String(repeating: " ", count: max(0, 16 - comm.utf8.count))
    return "\(padding)\(comm)-\(pid)       [000] d..1.  1382.733671: \(event)\n"
  }

  static func mkdir(_ id: Int, _ path: String) -> String {
    event("cgroup_mkdir: root=4 id=\(id) level=2 path=\(path)")
  }

  static func rmdir(_ id: Int, _ path: String = "/a") -> String {
    event("cgroup_rmdir: root=4 id=\(id) level=2 path=\(path)")
  }

  static func attach(_ pid: Int, to id: Int) -> String {
    event(
      "cgroup_attach_task: dst_root=4 dst_id=\(id) dst_level=2 dst_path=/a pid=\(pid) comm=bash")
  }

  static func fork(_ parent: Int, _ child: Int) -> String {
    event(
      "sched_process_fork: comm=bash pid=\(parent) child_comm=bash child_pid=\(child)",
      pid: parent)
  }

  static func allocate(
    _ address: String, cache: String = "dentry", bytes: String = "192", accounted: Bool = true,
    pid: Int = 7
  ) -> String {
    event(
      "kmem_cache_alloc: call_site=d_alloc+0x24/0x1f0 ptr=\(address) name=\(cache) "
        + "bytes_req=\(bytes) bytes_alloc=\(bytes) gfp_flags=GFP_KERNEL node=-1 "
        + "accounted=\(accounted)", pid: pid)
  }

  static func free(_ address: String, cache: String = "dentry") -> String {
    event("kmem_cache_free: call_site=d_free+0x71/0xb0 ptr=\(address) name=\(cache)")
  }

  static func kfree(_ address: String) -> String {
    event("kfree: call_site=d_free+0x71/0xb0 ptr=\(address)")
  }
}
