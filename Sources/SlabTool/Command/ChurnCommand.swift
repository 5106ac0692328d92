// `slab churn`: options, help, and where the report and the plot go.

import ArgumentParser
import Glibc

struct ChurnCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "churn",
    abstract: "Makes many groups and ends them, by the rules of Linux 4.10 and by ours.",
    discussion: """
      N groups, each with objects in K caches, exist at one time; then they end one after the other. \
      This is done for N and for halves of it, so that the report and the plot show how the time \
      grows. A run that would take longer than --most-seconds is not made: its time is \
      extrapolated, and marked.
      """)

  static let groupsRange = 1...1_000_000
  static let cachesRange = 1...200
  static let objectsRange = 1...1000

  @Option(
    parsing: .unconditional, help: "How many groups exist at one time, up to 1,000,000.")
  var groups: Int

  @Option(parsing: .unconditional, help: "How many caches each group uses, up to 200.")
  var caches = 5

  @Option(
    parsing: .unconditional, help: "How many objects each group has in each cache, up to 1,000.")
  var objects = 2

  @Option(help: "By whose rules groups and caches end: current, 4.10 or both.")
  var design = DesignChoice.both

  @Option(
    parsing: .unconditional,
    help: "The longest that one run may take, by what the smaller ones took.")
  var mostSeconds = 120.0

  @Option(
    help: ArgumentHelp(
      "Write a plot of the time per group to a file, as SVG.", valueName: "file"))
  var plot: String?

  @Flag(help: "Print the report as one JSON object.")
  var json = false

  func validate() throws {
    guard Self.groupsRange ~= groups else {
      throw ValidationError("--groups must be 1 to 1,000,000, not \(groups).")
    }
    guard Self.cachesRange ~= caches else {
      throw ValidationError("--caches must be 1 to 200, not \(caches).")
    }
    guard Self.objectsRange ~= objects else {
      throw ValidationError("--objects must be 1 to 1,000, not \(objects).")
    }
    guard mostSeconds > 0, mostSeconds.isFinite else {
      throw ValidationError("--most-seconds must be more than 0, not \(mostSeconds).")
    }
    if let plot, plot.isEmpty { throw ValidationError("--plot needs the name of a file.") }
  }

  func run() throws {
    // A pipe that closes is an error of its write, which names it, not the end by a signal.
    signal(SIGPIPE, SIG_IGN)
    do {
      try churn()
    } catch {
      StandardStream.writeMessage("slab: \(error)\n")
      throw ExitCode.failure
    }
  }

  private func churn() throws {
    // Before the work, which may take minutes.
    if let plot { try PlotFile.checkCanBeWritten(plot) }
    let load = ChurnLoad(groups: groups, caches: caches, objects: objects)
    var series = design.designs.map(ChurnSeries.init)
    for groups in ChurnSeries.sizes(upTo: groups) {
      let load = ChurnLoad(groups: groups, caches: caches, objects: objects)
      for index in series.indices { try series[index].add(load, mostSeconds: mostSeconds) }
    }
    let report = ChurnReport(load: load, series: series, mostSeconds: mostSeconds)
    if let plot { try PlotFile.write(report.plot.svg(), to: plot) }
    try StandardStream.writeReport(json ? report.json() : report.text())
    guard report.sumCheckFailures.isEmpty else {
      throw ToolError.sumCheck(failures: report.sumCheckFailures)
    }
  }
}
