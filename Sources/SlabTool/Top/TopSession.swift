// SPDX-License-Identifier: Apache-2.0
// A user at a terminal who looks at a process: keys, answers and signals come as they like, and the screen follows.

import Glibc

struct TopSession: ~Copyable {
  private var connection: ServerConnection
  private let request: String
  private let nanosecondsBetweenRequests: Int
  private var terminal: Terminal
  private let signals: StopSignals
  private let look: TerminalLook
  private var control: TopControl
  private var isAwaitingAnswer = false
  private var lastRequest = 0
  private var pending: [UInt8] = []

  init(
    _ connection: consuming ServerConnection, request: String, seconds: Double,
    terminal: consuming Terminal, look: TerminalLook, control: TopControl
  ) {
    self.connection = connection
    self.request = request
    nanosecondsBetweenRequests = Int(seconds * 1e9)
    self.terminal = terminal
    self.look = look
    self.control = control
    signals = StopSignals(and: [SIGWINCH, SIGTSTP, SIGCONT])
  }

  /// Until the user has enough. The number of the signal that ended it, or nil.
  mutating func run() throws(ObservationError) -> CInt? {
    terminal.enter()
    defer { terminal.leave() }
    try draw()
    while !control.isOver {
      try ask()
      wait()
      var isChanged = false
      while let arrival = signals.wait(milliseconds: 0) {
        guard goOn(after: arrival.number) else { return arrival.number }
        isChanged = true
      }
      if try takeKeys() { isChanged = true }
      if try takeAnswer() { isChanged = true }
      if isChanged { try draw() }
    }
    return nil
  }

  private mutating func ask() throws(ObservationError) {
    guard !isAwaitingAnswer, !control.model.options.isFrozen else { return }
    let now = MonotonicTime.nanoseconds()
    guard lastRequest == 0 || now - lastRequest >= nanosecondsBetweenRequests else { return }
    try connection.send(request)
    lastRequest = now
    isAwaitingAnswer = true
  }

  /// For a key or an answer; a tenth of a second at most, since signals are held back.
  private func wait() {
    var polled = [
      pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
      pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    // SAFETY: the call reads and fills the array, and is told its count.
    _ = unsafe poll(&polled, nfds_t(polled.count), 100)
  }

  /// False for a signal that ends it.
  private mutating func goOn(after signal: CInt) -> Bool {
    switch signal {
    case SIGWINCH, SIGCHLD: break
    case SIGTSTP:
      terminal.leave()
      StopSignals.stopHere()
      terminal.enter()
    case SIGCONT: terminal.enterAgain()
    default: return false
    }
    return true
  }

  private mutating func takeKeys() throws(ObservationError) -> Bool {
    var polled = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    // SAFETY: the call reads and fills the structure of this frame.
    guard unsafe poll(&polled, 1, 0) > 0, let bytes = terminal.read() else { return false }
    // The terminal is gone.
    guard !bytes.isEmpty else { throw .notATerminal }
    pending += bytes
    for key in TopKey.take(from: &pending) where !control.isOver {
      if key == .control("L") { terminal.enterAgain() } else { control.handle(key) }
    }
    return true
  }

  private mutating func takeAnswer() throws(ObservationError) -> Bool {
    guard let line = try connection.receive() else { return false }
    isAwaitingAnswer = false
    if control.model.options.isFrozen { return false }
    do throws(ObservationError) {
      control.take(try ObservedSnapshot(line))
    } catch {
      control.view.message = error.description
    }
    return true
  }

  private mutating func draw() throws(ObservationError) {
    let (columns, rows) = terminal.size
    guard terminal.draw(control.screen(columns: columns, rows: rows), look: look) else {
      throw .notATerminal
    }
  }
}
