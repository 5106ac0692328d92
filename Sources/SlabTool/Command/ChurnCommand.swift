// SPDX-License-Identifier: Apache-2.0
// `slab churn`: options, help, and where the report and the plot go.

import ArgumentParser
import Glibc
import Slab
import SlabServer

struct ChurnCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "churn",
    abstract: "Make and end many groups, by the rules of Linux 4.10 and by the current ones.",
    discussion: """
      Makes N groups, each with objects in K caches, and then ends them one after the other. \
      Repeats this for N/2, N/4 and so on, so that the report and the plot show how the time \
      grows. A run that would take longer than --most-seconds is skipped: its time is \
      extrapolated and marked.

      With --serve it measures nothing: N groups of eight tenants come and go until Ctrl-C, for \
      slab top and slab report to look at.
      """)

  static let groupsRange = 1...1_000_000
  static let cachesRange = 1...200
  static let objectsRange = 1...1000

  @Option(
    parsing: .unconditional, help: "Number of groups that exist at one time, up to 1,000,000.")
  var groups: Int

  @Option(parsing: .unconditional, help: "Number of caches that each group uses, up to 200.")
  var caches = 5

  @Option(
    parsing: .unconditional, help: "Number of objects per group and cache, up to 1,000.")
  var objects = 2

  @Option(help: "The rules by which groups and caches end: current, 4.10 or both.")
  var design = DesignChoice.both

  @Option(
    parsing: .unconditional,
    help: "Skip a run that, judged by the smaller ones, would take longer than this many seconds.")
  var mostSeconds = 120.0

  @Option(
    help: ArgumentHelp(
      "Write an SVG plot of the time per group to a file.", valueName: "file"))
  var plot: String?

  @Flag(help: "Print the report as one JSON object.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "Serve the allocator at a Unix socket, while groups come and go.", valueName: "path"))
  var serve: String?

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
    if let plot, plot.isEmpty { throw ValidationError("--plot needs a file name.") }
    guard serve == nil || plot == nil && !json else {
      throw ValidationError("--serve measures nothing: there is no --plot and no --json.")
    }
  }

  func run() throws {
    // A pipe that closes is an error of its write, which names it, not the end by a signal.
    signal(SIGPIPE, SIG_IGN)
    do {
      if let serve { try churnSteadily(at: serve) } else { try churn() }
    } catch {
      StandardStream.writeMessage("slab: \(error)\n")
      throw ExitCode.failure
    }
  }

  private func churn() throws {
    // Before the work, which may take minutes.
    if let plot { try WholeFile.checkCanBeWritten(plot) }
    let load = ChurnLoad(groups: groups, caches: caches, objects: objects)
    var series = design.designs.map(ChurnSeries.init)
    for groups in ChurnSeries.sizes(upTo: groups) {
      let load = ChurnLoad(groups: groups, caches: caches, objects: objects)
      for index in series.indices { try series[index].add(load, mostSeconds: mostSeconds) }
    }
    let report = ChurnReport(load: load, series: series, mostSeconds: mostSeconds)
    if let plot { try WholeFile.write(report.plot.svg(), to: plot) }
    try StandardStream.writeReport(json ? report.json() : report.text())
    guard report.sumCheckFailures.isEmpty else {
      throw ToolError.sumCheck(failures: report.sumCheckFailures)
    }
  }

  private func churnSteadily(at path: String) throws(ToolError) {
    let stop = StopSignals()
    let allocator = try SlabAllocator(by: .current)
    // SAFETY: objects, groups and the server are gone by then.
    defer { unsafe allocator.unmapEverything() }
    let load = ChurnLoad(groups: groups, caches: caches, objects: objects)
    var churn = try SteadyChurn(load, in: allocator)
    defer { churn.end() }
    let server = try SlabServer.start(forTool: allocator, at: path)
    defer { server.stop() }
    StandardStream.writeMessage(
      "slab: \(groups.grouped) groups come and go; slab top \(path) shows them, Ctrl-C ends this\n")
    while stop.wait(milliseconds: 100) == nil { try churn.advance() }
  }
}
