// SPDX-License-Identifier: Apache-2.0
// `slab top`: options, help, and which of the ways to show a process it is.

import ArgumentParser
import Glibc

struct TopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top",
    abstract: "Show the groups, caches and endings of a running process.",
    discussion: """
      The process serves its allocator at a Unix socket (SlabServer.start, slab churn --serve, \
      slab replay --serve). The keys are listed under ?. On a terminal that cannot be written all \
      over, and where the output is no terminal, one view is written after the other.
      """)

  @Argument(
    help: ArgumentHelp(
      "The path of the socket, or the number of the process.",
      discussion: "The default is the only process of this user that serves its allocator."))
  var process: String?

  @Flag(help: "Write one view as text.")
  var once = false

  @Flag(help: "Write each snapshot as one line of JSON; with --once only one.")
  var json = false

  @Option(help: "Seconds from one look to the next, 0.1 to 3,600.")
  var every = 1.0

  @Option(help: "Order of the groups: current, peak, max, rate, dying or name.")
  var sort = GroupOrder.current

  @Option(help: "Show groups with this in their paths, and those above them.")
  var filter = ""

  @Option(
    parsing: .unconditional, help: "Number of groups to show, the largest ones; up to 10,000.")
  var largest = 5000

  func validate() throws {
    guard 0.1...3600 ~= every else {
      throw ValidationError("--every must be 0.1 to 3,600, not \(every).")
    }
    guard 1...10_000 ~= largest else {
      throw ValidationError("--largest must be 1 to 10,000, not \(largest).")
    }
  }

  func run() throws {
    signal(SIGPIPE, SIG_IGN)
    do {
      if let number = try show() { throw ExitCode(128 + number) }
    } catch let code as ExitCode {
      throw code
    } catch {
      StandardStream.writeMessage("slab: \(error)\n")
      throw ExitCode.failure
    }
  }

  /// The number of the signal that ended it, or nil.
  private func show() throws -> CInt? {
    let connection = try ServerConnection(try ServerPlace.find(process))
    // The root group is one of them.
    let request = "snapshot largest=\(largest + 1)"
    var control = TopControl()
    control.model.options.groupOrder = sort
    control.model.options.filter = filter
    let look = TerminalLook(
      environment: environmentVariables, isTerminal: isatty(STDOUT_FILENO) == 1)
    if !once, !json, look != .text {
      guard let terminal = Terminal() else { throw ObservationError.notATerminal }
      control.view.title = "every \(Quantity.ratio(every)) s"
      var session = TopSession(
        connection, request: request, seconds: every, terminal: terminal, look: look,
        control: control)
      return try session.run()
    }
    var list = TopList(connection, request: request, control: control, asJSON: json)
    return try list.run(seconds: once ? nil : every)
  }

  private var environmentVariables: [String: String] {
    var found: [String: String] = [:]
    for name in ["TERM", "NO_COLOR"] {
      // SAFETY: a NUL-terminated string of the environment, which is copied.
      if let value = unsafe getenv(name) { found[name] = unsafe String(cString: value) }
    }
    return found
  }
}
