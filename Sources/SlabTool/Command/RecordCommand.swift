// SPDX-License-Identifier: Apache-2.0
// `slab record`: options, help, and what is said at the end.

import ArgumentParser
import Glibc

struct RecordCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract: "Record this machine's slab events for slab replay. Needs root.",
    usage: """
      slab record [--output <file>] [--seconds <seconds>]
      slab record [--output <file>] [--cgroup] -- <command> ...
      """,
    discussion: """
      Records the whole machine through tracefs: allocations and frees of the kernel's slab \
      allocator, cgroups that are made or removed, and tasks that move, fork or exit. Without \
      --seconds and without a command, it records until Ctrl-C.

      The recording uses a trace instance of its own, so it does not disturb other tracing. On a \
      kernel without instances, it restores every setting at the end, even after a signal.

      The exit code is the command's; 128 plus the signal's number if a signal ended the recording \
      early (events up to then are kept); 126 or 127 if the command cannot be run; 1 if there is no \
      recording.
      """)

  static let bufferRange = 1...4096

  @Option(
    name: .shortAndLong,
    help: "The output file, compressed if its name ends in .gz, .zst or .xz; - for standard output."
  )
  var output = "recording.txt.gz"

  @Option(parsing: .unconditional, help: "Record for this many seconds.")
  var seconds: Double?

  @Option(
    parsing: .unconditional,
    help: "Size of the kernel's buffer per CPU in MiB, up to 4,096. Raise it if events are lost.")
  var bufferSize = 8

  @Flag(help: "Run the command in a new memory cgroup, which becomes a group of the replay.")
  var cgroup = false

  @Option(help: .hidden)
  var tracefs: String?

  @Argument(parsing: .postTerminator, help: "The command to run; the recording ends when it ends.")
  var command: [String] = []

  func validate() throws {
    guard Self.bufferRange ~= bufferSize else {
      throw ValidationError("--buffer-size must be 1 to 4,096, not \(bufferSize).")
    }
    if let seconds {
      guard seconds > 0, seconds <= 1e9 else {
        throw ValidationError("--seconds must be more than 0, not \(seconds).")
      }
      guard command.isEmpty else {
        throw ValidationError("Use either --seconds or a command, not both.")
      }
    }
    guard !cgroup || !command.isEmpty else {
      throw ValidationError("--cgroup needs a command to run in it.")
    }
    if output.isEmpty { throw ValidationError("--output needs a file name.") }
  }

  func run() throws {
    // A pipe that closes is an error of its write, which names it, not the end by a signal.
    signal(SIGPIPE, SIG_IGN)
    let code: CInt
    do throws(RecordError) {
      code = try record()
    } catch {
      StandardStream.writeMessage("slab: \(error)\n")
      throw ExitCode(error.exitCode)
    }
    guard code == 0 else { throw ExitCode(code) }
  }

  private func record() throws(RecordError) -> CInt {
    let signals = StopSignals()
    let root = try TraceFolder.find(at: tracefs)
    for note in TraceInstance.removeAbandoned(in: root) {
      StandardStream.writeMessage("slab: \(note)\n")
    }
    var file = try RecordingFile(output)
    let name = file.name
    try file.startCompressor()
    var session = try TraceSession(in: root)
    try session.setUp(bufferMebibytes: bufferSize)
    for note in session.notes { StandardStream.writeMessage("slab: \(note)\n") }
    var recorder = Recorder(signals, session, to: file, seconds: seconds)
    let code = try recorder.run(command, inCgroup: cgroup)
    tell(recorder.summary, name: name)
    return code
  }

  private func tell(_ summary: RecordSummary, name: String) {
    var text = "slab: recorded \(summary.line), to \(name)\n"
    if summary.lostEvents > 0 {
      text += """
        slab: \(summary.lostEvents.grouped) events were lost: record again with a --buffer-size above \
        \(bufferSize)

        """
    }
    StandardStream.writeMessage(text)
  }
}
