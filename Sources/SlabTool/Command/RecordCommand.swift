// `slab record`: options, help, and what is said at the end.

import ArgumentParser
import Glibc

struct RecordCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract: "Records this machine's slab events, for slab replay. Needs root.",
    usage: """
      slab record [--output <file>] [--seconds <seconds>]
      slab record [--output <file>] [--cgroup] -- <command> ...
      """,
    discussion: """
      The events come from tracefs, of the whole machine: allocations and frees of the kernel's slab \
      allocator, cgroups that are made and removed, and tasks that move, fork and exit. Without a \
      time and without a command, it records until Ctrl-C.

      Tracing has an instance of its own, so that whoever else traces is not disturbed; where the \
      kernel has no instances, every setting is put back at the end, also after a signal.

      The exit code is the command's; 128 and the signal's number when a signal ended the recording \
      early (what was recorded until then is kept); 126 or 127 when the command cannot be run; 1 when \
      there is no recording.
      """)

  static let bufferRange = 1...4096

  @Option(
    name: .shortAndLong,
    help: "The file, compressed if it ends in .gz, .zst or .xz; - for standard output.")
  var output = "recording.txt.gz"

  @Option(parsing: .unconditional, help: "How long to record.")
  var seconds: Double?

  @Option(
    parsing: .unconditional,
    help: "MiB of the kernel's buffer for each CPU, up to 4,096: more when events are lost.")
  var bufferSize = 8

  @Flag(help: "Run the command in a memory cgroup of its own, which becomes a group of the replay.")
  var cgroup = false

  @Option(help: .hidden)
  var tracefs: String?

  @Argument(parsing: .postTerminator, help: "What to run; the recording ends with it.")
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
        throw ValidationError("Either --seconds or a command: a recording ends only once.")
      }
    }
    guard !cgroup || !command.isEmpty else {
      throw ValidationError("--cgroup needs a command to run in the cgroup.")
    }
    if output.isEmpty { throw ValidationError("--output needs the name of a file.") }
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
