// SPDX-License-Identifier: Apache-2.0
// One recording: the kernel's events of a time, or of a command's life, into a file.

import Glibc

struct Recorder: ~Copyable {
  private enum End {
    case no
    case time
    case command(status: CInt)
    case signal(CInt)
  }

  /// So often the buffer is looked at; at 8 MiB a CPU loses nothing below 80 MiB of events a second.
  private static let pauseMilliseconds = 50
  /// Reads of a page or so, after which signals and time have their turn.
  private static let mostReadsInARow = 512

  private let signals: StopSignals
  private var session: TraceSession
  private var file: RecordingFile
  private let deadline: Int?
  private var command: pid_t?
  private var bytes = [UInt8](repeating: 0, count: 1 << 16)
  private var progress = ProgressBar()
  private var start = 0
  private(set) var summary = RecordSummary()

  init(
    _ signals: StopSignals, _ session: consuming TraceSession, to file: consuming RecordingFile,
    seconds: Double?
  ) {
    self.signals = signals
    self.session = session
    self.file = file
    start = MonotonicTime.nanoseconds()
    deadline = seconds.map { [start] in start + Int($0 * 1e9) }
  }

  /// Records until the time is over, the command has ended or a signal comes. Returns the exit code.
  mutating func run(_ command: [String], inCgroup: Bool) throws(RecordError) -> CInt {
    try session.start()
    let end = try recordCommand(command, inCgroup: inCgroup)
    try session.stop()
    while try drain() {}
    summary.lostEvents = session.lostEvents()
    summary.seconds = MonotonicTime.seconds(since: start)
    try file.finish()
    return switch end {
    case .no, .time: 0
    case .command(let status): ChildProcess.exitCode(of: status)
    // Without a time or a command this is how one ends a recording.
    case .signal(SIGINT) where deadline == nil && command.isEmpty: 0
    case .signal(let number): 128 + number
    }
  }

  /// With a group of its own, whose end is recorded as well.
  private mutating func recordCommand(
    _ command: [String], inCgroup: Bool
  ) throws(RecordError) -> End {
    guard inCgroup else {
      try startCommand(command)
      return try recordUntilItEnds()
    }
    let cgroup = try MemoryCgroup()
    try startCommand(try cgroup.entering(command))
    return try recordUntilItEnds()
  }

  private mutating func startCommand(_ arguments: [String]) throws(RecordError) {
    guard !arguments.isEmpty else { return }
    let (process, error) = ChildProcess.start(arguments)
    guard error == 0 else { throw .cannotStart(command: arguments[0], errno: error) }
    command = process
  }

  private mutating func recordUntilItEnds() throws(RecordError) -> End {
    // Messages come from now on.
    defer { progress.clear() }
    do throws(RecordError) {
      while true {
        let hasMore = try drain()
        showProgress()
        if let deadline, MonotonicTime.nanoseconds() >= deadline { return .time }
        let arrival = signals.wait(milliseconds: hasMore ? 0 : Self.pauseMilliseconds)
        switch end(after: arrival) {
        case .no: continue
        case let end: return end
        }
      }
    } catch {
      // The recording has failed; the command is not to blame, and goes on to its end.
      progress.clear()
      _ = try? session.stop()
      if let command = command.take() {
        StandardStream.writeMessage("slab: the recording failed; the command continues\n")
        _ = ChildProcess.wait(for: command)
      }
      throw error
    }
  }

  private mutating func end(after arrival: StopSignals.Arrival?) -> End {
    if let command, let status = ChildProcess.statusIfEnded(command) {
      self.command = nil
      return .command(status: status)
    }
    guard let arrival, arrival.number != SIGCHLD else { return .no }
    guard let command else { return .signal(arrival.number) }
    // The command decides what becomes of it; its end is ours.
    if !arrival.isFromTerminal { kill(command, arrival.number) }
    return .no
  }

  /// Takes over what is there. True if there may be more.
  private mutating func drain() throws(RecordError) -> Bool {
    for _ in 0..<Self.mostReadsInARow {
      let count = try session.read(into: &bytes)
      guard count > 0 else { return false }
      try file.write(bytes[..<count])
      summary.add(bytes[..<count])
    }
    return true
  }

  private mutating func showProgress() {
    let elapsed = (MonotonicTime.nanoseconds() - start) / 1_000_000_000
    progress.show { [summary] in "recording: \(elapsed) s, \(summary.line)" }
  }
}
