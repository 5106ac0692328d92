// SPDX-License-Identifier: Apache-2.0
// `slab run`: what it accepts, and where it looks for the library. That a program runs with it is seen by .ci/malloc.

import Foundation
import SlabTestSupport
import Testing

@testable import SlabTool

@Suite struct RunTests {
  @Test(arguments: [
    ("1", 1), ("4096", 4096), ("1k", 1024), ("3K", 3072), ("2M", 2 << 20), ("2G", 2 << 30),
    ("1T", 1 << 40),
  ])
  func sizes(text: String, bytes: Int) {
    #expect(ByteCount(argument: text)?.bytes == bytes)
  }

  @Test(arguments: [
    "", "0", "-1", "G", "1X", "1GB2", "1.5G", "99999999999G", "9223372036854775808",
  ])
  func noSizes(text: String) { #expect(ByteCount(argument: text) == nil) }

  @Test(arguments: ["", "--report", "--max 1X -- true", "--report --report-file f -- true"])
  func refusedOptions(_ options: String) throws {
    let ending = try shell("\"$slab\" run \(options)")
    #expect(ending.exitCode == 64)
  }

  @Test func missingLibrary() throws {
    let ending = try shell("\"$slab\" run --library /does/not/exist.so -- true")
    #expect(ending.exitCode == 1)
    #expect(ending.messages.contains("there is no libslabmalloc.so at /does/not/exist.so"))
  }

  /// The loader passes over a file that is no library, with a line.
  @Test func environmentOfTheCommand() throws {
    let ending = try shell(
      "\"$slab\" run --library /etc/passwd --max 2G -- sh -c 'echo $SLAB_MALLOC_MAX $0' --max")
    #expect(ending.exitCode == 0)
    #expect(ending.output == "2147483648 --max\n")
  }

  /// Not with AddressSanitizer, which ends a process with 1 for what it had prepared for the command.
  @Test(.enabled(if: !isSanitized)) func missingCommand() throws {
    let ending = try shell("\"$slab\" run --library /etc/passwd -- /does/not/exist")
    #expect(ending.exitCode == 127)
  }

  @Test func placesOfTheLibrary() throws {
    let folder = FileManager.default.temporaryDirectory.resolvingSymlinksInPath()
      .appendingPathComponent("slab-run-\(UUID())")
    for name in ["bin", "lib", "other:lib"] {
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
    }
    defer { try? FileManager.default.removeItem(at: folder) }
    let program = folder.appendingPathComponent("bin/slab").path
    let beside = folder.appendingPathComponent("bin/libslabmalloc.so").path
    let installed = folder.appendingPathComponent("lib/libslabmalloc.so").path
    let unusable = folder.appendingPathComponent("other:lib/libslabmalloc.so").path

    #expect(throws: RunError.self) { try MallocLibrary.find(at: nil, besides: program) }
    for path in [installed, beside, unusable] {
      #expect(FileManager.default.createFile(atPath: path, contents: nil))
      let expected = path == installed ? installed : beside
      #expect(try MallocLibrary.find(at: nil, besides: program).path == expected)
    }
    #expect(try MallocLibrary.find(at: installed).path == installed)
    #expect(throws: RunError.unusablePath(unusable)) { try MallocLibrary.find(at: unusable) }
    let missing = folder.appendingPathComponent("missing.so").path
    #expect(throws: RunError.noLibrary(places: [missing])) { try MallocLibrary.find(at: missing) }
  }

  @Test func exitCodes() {
    #expect(RunError.noLibrary(places: []).exitCode == 1)
    #expect(RunError.cannotRun(command: "c", errno: ENOENT).exitCode == 127)
    #expect(RunError.cannotRun(command: "c", errno: EACCES).exitCode == 126)
  }
}
