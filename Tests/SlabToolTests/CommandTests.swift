// SPDX-License-Identifier: Apache-2.0
// The program as a user runs it: exit codes and messages.

import SlabTestSupport
import Testing

@testable import SlabTool

@Suite(.inTurn) struct CommandTests {
  @Test func withoutAnArgument() throws {
    let ending = try shell("\"$slab\" replay --json")
    #expect(ending.exitCode == 0)
    #expect(ending.messages == "")
    #expect(ending.output.contains("\"charged\" : 43761,"))
  }

  @Test func slabinfoComesBeforeTheReport() throws {
    let ending = try shell("\"$slab\" replay --slabinfo")
    #expect(ending.exitCode == 0)
    #expect(ending.output.hasPrefix("slabinfo - version: 2.1\n"))
    #expect(ending.output.contains("slab replay of the packaged recording\n"))
  }

  @Test func standardInput() throws {
    let ending = try shell(
      "gzip -dc \"$1\" | \"$slab\" replay - --json", PackagedRecording.path())
    #expect(ending.exitCode == 0)
    #expect(ending.output.contains("\"charged\" : 43761,"))
  }

  @Test(arguments: ["0", "-1", "10001", "9223372036854775807", "99999999999999999999", "x"])
  func copies(_ number: String) throws {
    let ending = try shell("\"$slab\" replay --copies \(number)")
    #expect(ending.exitCode == 64)
    #expect(ending.messages.contains("--copies"))
    #expect(ending.messages.contains(number))
  }

  @Test(arguments: [("keep", 50), ("reparent", 0)])
  func endings(_ policy: String, pinnedGroups: Int) throws {
    let ending = try shell("\"$slab\" replay --json --endings \(policy)")
    #expect(ending.exitCode == 0)
    #expect(ending.output.contains("\"endings\" : \"\(policy)\","))
    #expect(ending.output.contains("\"pinned_groups_at_end\" : \(pinnedGroups),"))
    let refused = try shell("\"$slab\" replay --endings never")
    #expect(refused.exitCode == 64)
    #expect(refused.messages.contains("--endings"))
  }

  @Test(arguments: [
    ("\"$slab\" replay /does/not/exist", "cannot open /does/not/exist: No such file"),
    ("\"$slab\" replay /", "cannot read /: it is a directory"),
    ("\"$slab\" replay - </", "cannot read standard input: it is a directory"),
    ("\"$slab\" replay - <&-", "cannot open standard input: Bad file descriptor"),
    ("\"$slab\" replay /dev/null", "/dev/null: the recording contains no events"),
    (
      "echo hello | \"$slab\" replay -",
      "standard input:1: not an event of tracefs, trace-cmd or perf script: \"hello\""
    ),
    ("\"$slab\" replay >/dev/full", "cannot write the report: No space left on device"),
    ("\"$slab\" replay --json >&-", "cannot write the report: Bad file descriptor"),
  ])
  func errors(_ script: String, _ message: String) throws {
    let ending = try shell(script)
    #expect(ending.exitCode == 1)
    #expect(ending.messages.hasPrefix("slab: \(message)"))
    #expect(ending.messages.hasSuffix("\n"))
    #expect(ending.output == "")
  }

  @Test func aPipeThatCloses() throws {
    // The pipe has closed when nothing more can be written to it.
    let ending = try shell(
      "{ (while echo; do :; done) 2>/dev/null; \"$slab\" replay; } | true")
    #expect(ending.exitCode == 1)
    #expect(ending.messages == "slab: cannot write the report: Broken pipe\n")
  }

  @Test func noPermission() throws {
    let ending = try shell(
      """
      file=$(mktemp); chmod 000 "$file"; trap 'rm -f "$file"' EXIT
      # Root may read it all the same, unless it gives these rights up.
      [ "$(id -u)" = 0 ] && unprivileged="setpriv --bounding-set -dac_override,-dac_read_search"
      $unprivileged "$slab" replay "$file"
      """)
    #expect(ending.exitCode == 1)
    #expect(ending.messages.hasPrefix("slab: cannot open /"))
    #expect(ending.messages.hasSuffix(": Permission denied\n"))
  }

  @Test func aMissingTool() throws {
    let ending = try shell("PATH=/nowhere; \"$slab\" replay")
    #expect(ending.exitCode == 1)
    #expect(
      ending.messages
        == "slab: cannot decompress the packaged recording: gzip is not installed\n")
  }

  @Test(arguments: [("gzip", ".gz"), ("zstd -q", ".zst"), ("xz -0", ".xz")])
  func anArchiveThatIsCutOff(_ tool: String, _ suffix: String) throws {
    let file = try TemporaryFile("", suffix: suffix)
    let ending = try shell(
      "gzip -dc \"$1\" | \(tool) -c | head -c 200000 > \"$2\"; \"$slab\" replay \"$2\"",
      PackagedRecording.path(), file.path)
    #expect(ending.exitCode == 1)
    #expect(ending.messages.contains("slab: cannot decompress \(file.path): "))
    #expect(ending.messages.contains("failed with exit code 1\n"))
  }

  @Test func textThatOnlyLooksCompressed() throws {
    let file = try TemporaryFile(Line.kfree("1"), suffix: ".gz")
    let ending = try shell("\"$slab\" replay \"$1\"", file.path)
    #expect(ending.exitCode == 1)
    #expect(ending.messages.contains("gzip failed with exit code 1\n"))
  }

  @Test func warningsNameFileAndLine() throws {
    let file = try TemporaryFile(Line.allocate("a1") + Line.rmdir(7) + "cut")
    let ending = try shell("\"$slab\" replay \"$1\"", file.path)
    #expect(ending.exitCode == 0)
    #expect(
      ending.messages == """
        slab: \(file.path):2: warning: rmdir of an unknown group: ignored
        slab: \(file.path):3: warning: the last line is truncated: ignored

        """)
  }

  /// The decompressor still has megabytes to write when its reader gives up.
  @Test func anErrorEndsTheDecompressor() throws {
    let file = try TemporaryFile("hello\n" + String(repeating: "x\n", count: 1 << 20))
    let ending = try shell(
      "gzip -f \"$1\"; \"$slab\" replay \"$1.gz\"; code=$?; rm \"$1.gz\"; exit $code", file.path)
    #expect(ending.exitCode == 1)
    #expect(ending.messages.hasPrefix("slab: \(file.path).gz:1: not an event of tracefs"))
  }
}
