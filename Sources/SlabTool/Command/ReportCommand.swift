// SPDX-License-Identifier: Apache-2.0
// `slab report`: options, help, and where the page goes.

import ArgumentParser
import Glibc
import SlabPlots

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write what a running process has as one HTML page.",
    discussion: """
      The page shows memory by group as a treemap, caches by waste, and endings over time. It loads \
      nothing: the file can be kept, sent and opened without a network. The source is a process \
      that serves its allocator (see slab top), or a file of snapshots in JSON, one to a line, as \
      slab top --json writes them.
      """)

  @Argument(
    help: ArgumentHelp(
      "The path of the socket, the number of the process, a file of snapshots, or - for standard input.",
      discussion: "The default is the only process of this user that serves its allocator."))
  var source: String?

  @Option(name: .shortAndLong, help: ArgumentHelp("Where the page goes.", valueName: "file"))
  var output: String

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp(
      "Take samples for that long: 30, 30s or 5m; 0 for one sample. A file has its own.",
      valueName: "time"))
  var duration = Seconds(10)

  @Option(help: "Seconds from one sample to the next, 0.05 to 3,600.")
  var every = 0.5

  func validate() throws {
    guard 0.05...3600 ~= every else {
      throw ValidationError("--every must be 0.05 to 3,600, not \(every).")
    }
    guard duration.value / every <= 100_000 else {
      throw ValidationError("--for and --every make more than 100,000 samples.")
    }
    if output.isEmpty { throw ValidationError("--output needs a file name.") }
  }

  func run() throws {
    signal(SIGPIPE, SIG_IGN)
    do {
      // Before the samples, which take their time.
      try WholeFile.checkCanBeWritten(output)
      try WholeFile.write(ReportPage.html(data: try data().encoded()), to: output)
    } catch {
      StandardStream.writeMessage("slab: \(error)\n")
      throw ExitCode.failure
    }
  }

  private func data() throws -> ReportData {
    if let source, source == "-" || Int(source) == nil && Self.isFile(source) {
      return ReportData(try SnapshotFile.read(source))
    }
    var connection = try ServerConnection(try ServerPlace.find(source))
    return try Sampling(seconds: duration.value, secondsBetween: every).run(&connection)
  }

  /// Whether it is there and no socket.
  private static func isFile(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: the call fills the structure of this frame.
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFSOCK
  }
}

/// A time as people write one.
struct Seconds: ExpressibleByArgument, Equatable, CustomStringConvertible {
  var value: Double

  init(_ value: Double) { self.value = value }

  init?(argument: String) {
    let factor: Double? =
      switch argument.last {
      case "s": 1
      case "m": 60
      case "h": 3600
      default: nil
      }
    let digits = factor == nil ? argument : String(argument.dropLast())
    guard let number = Double(digits), number >= 0, number <= 86_400 else { return nil }
    value = number * (factor ?? 1)
  }

  var description: String { "\(value.formatted)s" }
}

extension Double {
  /// Without a fraction that is zero.
  fileprivate var formatted: String { self == rounded() ? "\(Int(self))" : "\(self)" }
}
