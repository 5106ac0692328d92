// SPDX-License-Identifier: Apache-2.0
// `slab run`: another program with this allocator in place of its malloc. It becomes that program: what is left is
// the environment, which says the rest (docs/malloc.md).

import ArgumentParser
import Glibc

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a command with this allocator as its malloc, perhaps with a limit.",
    usage: "slab run [--max <bytes>] [--report] [--report-file <file>] -- <command> ...",
    discussion: """
      Preloads libslabmalloc.so: every allocation of the command, and of the programs that it \
      starts, is one of this allocator's. With --max each of these processes has a limit of its \
      own, beyond which its allocations fail. With --report each prints at its end what it has \
      used.

      The exit code is the command's; 126 or 127 if it cannot be run, 1 if there is no library.
      """)

  @Option(help: "The most memory of a process: bytes, or a number with K, M, G or T.")
  var max: ByteCount?

  @Flag(help: "Print a report on standard error when a process ends.")
  var report = false

  @Option(
    help: ArgumentHelp(
      "Append the report to a file, in whose name %p stands for the process's number.",
      valueName: "file"))
  var reportFile: String?

  @Option(
    help: ArgumentHelp(
      "The library; the default is the one that is installed with slab.", valueName: "file"))
  var library: String?

  @Argument(parsing: .postTerminator, help: "The command to run.")
  var command: [String] = []

  func validate() throws {
    guard !command.isEmpty else {
      throw ValidationError("There is no command: slab run -- <command> ...")
    }
    guard !report || reportFile == nil else {
      throw ValidationError("Use either --report or --report-file, not both.")
    }
  }

  func run() throws {
    do throws(RunError) {
      let preload = try MallocLibrary.find(at: library).path
      let others = Self.environment("LD_PRELOAD").map { ":" + $0 } ?? ""
      Self.setEnvironment("LD_PRELOAD", preload + others)
      if let max { Self.setEnvironment("SLAB_MALLOC_MAX", "\(max.bytes)") }
      if let target = reportFile ?? (report ? "stderr" : nil) {
        Self.setEnvironment("SLAB_MALLOC_REPORT", target)
      }
      throw execute()
    } catch {
      StandardStream.writeMessage("slab: \(error)\n")
      throw ExitCode(error.exitCode)
    }
  }

  /// Becomes the command; or says why not.
  private func execute() -> RunError {
    // SAFETY: copies of the strings, and a nil behind them; they stay until the process is another program.
    unsafe withUnsafeTemporaryAllocation(
      of: UnsafeMutablePointer<CChar>?.self, capacity: command.count + 1
    ) { arguments in
      for (index, argument) in command.enumerated() { unsafe arguments[index] = strdup(argument) }
      unsafe arguments[command.count] = nil
      _ = unsafe execvp(command[0], arguments.baseAddress!)
    }
    return .cannotRun(command: command[0], errno: errno)
  }

  private static func environment(_ name: String) -> String? {
    // SAFETY: the value is copied before anything changes the environment; there is one thread.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  private static func setEnvironment(_ name: String, _ value: String) {
    _ = unsafe setenv(name, value, 1)
  }
}

/// A number of bytes: digits, and perhaps K, M, G or T, each 1,024 times the one before.
struct ByteCount: ExpressibleByArgument, Equatable {
  let bytes: Int

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    var bytes = Int(digits)
    let suffix = argument.dropFirst(digits.count).uppercased()
    if !suffix.isEmpty {
      guard let steps = ["K", "M", "G", "T"].firstIndex(of: suffix) else { return nil }
      for _ in 0...steps {
        guard let (wider, overflows) = bytes?.multipliedReportingOverflow(by: 1024), !overflows
        else { return nil }
        bytes = wider
      }
    }
    guard let bytes, bytes > 0 else { return nil }
    self.bytes = bytes
  }
}
