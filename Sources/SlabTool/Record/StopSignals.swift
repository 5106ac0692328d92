// SPDX-License-Identifier: Apache-2.0
// The signals that end a recording, taken between two reads instead of by handlers, so that every way out is the
// same one. They are all that would end the process and can be held back, but for those of its own faults.

import Glibc

struct StopSignals {
  struct Arrival {
    let number: CInt
    /// From the terminal, which sends it to the command as well.
    let isFromTerminal: Bool
  }

  private static let numbers = [
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF,
    SIGXCPU, SIGXFSZ,
  ]
  private let set: sigset_t

  /// Holds them back in this thread from now on, and others with them.
  init(and others: [CInt] = []) {
    var set = sigset_t()
    // SAFETY: the calls fill and read the structure of this frame.
    unsafe sigemptyset(&set)
    for number in Self.numbers + others where !(number == SIGHUP && Self.isIgnored(number)) {
      unsafe sigaddset(&set, number)
    }
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    self.set = set
  }

  /// As by nohup; what is held back would arrive all the same.
  private static func isIgnored(_ number: CInt) -> Bool {
    var action = sigaction()
    // SAFETY: the call fills the structure of this frame; a handler is compared, not called.
    return unsafe sigaction(number, nil, &action) == 0
      && unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
        == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// Stops this process as control-Z does, and returns when it goes on.
  static func stopHere() {
    var stop = sigset_t()
    // SAFETY: the calls fill and read the set of this frame.
    unsafe sigemptyset(&stop)
    unsafe sigaddset(&stop, SIGTSTP)
    raise(SIGTSTP)
    unsafe pthread_sigmask(SIG_UNBLOCK, &stop, nil)
    unsafe pthread_sigmask(SIG_BLOCK, &stop, nil)
  }

  /// The next one, if it comes within that time.
  func wait(milliseconds: Int) -> Arrival? {
    var set = set
    var information = unsafe siginfo_t()
    var time = timespec(
      tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
    // SAFETY: the call reads and fills structures of this frame.
    let number = unsafe sigtimedwait(&set, &information, &time)
    guard number > 0 else { return nil }
    return Arrival(number: number, isFromTerminal: unsafe information.si_code > 0)
  }
}
