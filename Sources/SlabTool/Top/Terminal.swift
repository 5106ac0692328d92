// SPDX-License-Identifier: Apache-2.0
// The terminal as a whole screen: keys come one by one, and what stood there before comes back on every way out. Signals
// are held back and taken in the loop (StopSignals), so these ways are all the same one; those of the program's own
// faults have a handler.

import Glibc
import Synchronization

struct Terminal: ~Copyable {
  static let enterText = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[H\u{1B}[2J"
  static let leaveText = "\u{1B}[0m\u{1B}[?25h\u{1B}[?1049l"

  private let input: CInt
  private let output: CInt
  private let before: termios
  private var isEntered = false

  /// Nil if there is no terminal.
  init?(input: CInt = STDIN_FILENO, output: CInt = STDOUT_FILENO) {
    var before = termios()
    // SAFETY: the call fills the structure of this frame.
    guard isatty(output) == 1, unsafe tcgetattr(input, &before) == 0 else { return nil }
    self.input = input
    self.output = output
    self.before = before
    TerminalRescue.prepare(before, input: input)
  }

  deinit { if isEntered { restore() } }

  /// Takes the screen: at first, and after another program has had it.
  mutating func enter() {
    var raw = before
    raw.c_iflag &= ~tcflag_t(ICRNL | IXON)
    // Control-C and control-Z stay signals.
    raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
    // SAFETY: the call reads the structure of this frame.
    _ = unsafe tcsetattr(input, TCSANOW, &raw)
    if !isEntered { write(Self.enterText) }
    isEntered = true
    TerminalRescue.isNeeded.store(true, ordering: .relaxed)
  }

  /// Gives the screen back.
  mutating func leave() {
    guard isEntered else { return }
    restore()
    isEntered = false
  }

  private func restore() {
    TerminalRescue.isNeeded.store(false, ordering: .relaxed)
    write(Self.leaveText)
    var before = before
    // SAFETY: the call reads the structure of this frame.
    _ = unsafe tcsetattr(input, TCSANOW, &before)
  }

  /// The screen was another program's: it is taken from the beginning.
  mutating func enterAgain() {
    isEntered = false
    enter()
  }

  /// Columns and rows now.
  var size: (columns: Int, rows: Int) { Self.size(of: output) }

  static func size(of descriptor: CInt) -> (columns: Int, rows: Int) {
    var size = winsize()
    // SAFETY: the request fills the structure of this frame.
    let result = unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size)
    guard result == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// The bytes that keys have sent; empty at the end of the input.
  func read() -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 256)
    // SAFETY: the call fills the array, and is told its count.
    let count = unsafe Glibc.read(input, &bytes, bytes.count)
    if count < 0 { return errno == EINTR || errno == EAGAIN ? nil : [] }
    return Array(bytes[..<count])
  }

  /// Writes a screen over the one before, in one piece. False when the terminal is gone.
  func draw(_ lines: [TopLine], look: TerminalLook) -> Bool {
    let text = lines.map { $0.rendered(look) + "\u{1B}[K" }.joined(separator: "\r\n")
    return write("\u{1B}[H" + text + "\u{1B}[J")
  }

  @discardableResult
  private func write(_ text: String) -> Bool { StandardStream.write(text, to: output) == 0 }
}

/// Gives the terminal back when the program breaks: a handler of the signals of its own faults, which goes on with what
/// they do otherwise.
private enum TerminalRescue {
  static let isNeeded = Atomic(false)
  nonisolated(unsafe) private static var before = termios()
  nonisolated(unsafe) private static var input: CInt = 0
  nonisolated(unsafe) private static var text: [UInt8] = []

  static func prepare(_ terminal: termios, input descriptor: CInt) {
    // SAFETY: written before the handler is there, and only read afterwards.
    unsafe before = terminal
    unsafe input = descriptor
    unsafe text = Array(Terminal.leaveText.utf8)
    // What the handler reads is made before it may run.
    isNeeded.store(false, ordering: .relaxed)
    for number in [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGSEGV, SIGFPE] {
      signal(number) { number in
        signal(number, SIG_DFL)
        guard TerminalRescue.isNeeded.load(ordering: .relaxed) else { return }
        TerminalRescue.restore()
        raise(number)
      }
    }
  }

  /// Calls only what a signal handler may.
  private static func restore() {
    // SAFETY: see `prepare`; the calls read what is there.
    _ = unsafe write(STDOUT_FILENO, text, text.count)
    _ = unsafe tcsetattr(input, TCSANOW, &before)
  }
}
