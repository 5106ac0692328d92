// SPDX-License-Identifier: Apache-2.0
// Starting a program as a child, and how it ended.

import Glibc

enum ChildProcess {
  enum Group {
    /// Ctrl-C in the terminal reaches it as it reaches us.
    case ours
    /// It goes on reading until we close its input.
    case itsOwn
  }

  /// Starts the program that `arguments` begin with, found by PATH. It has no signal blocked, and does not
  /// ignore SIGPIPE as we do. Returns the errno of a failure, or 0.
  static func start(
    _ arguments: [String], input: CInt = STDIN_FILENO, output: CInt = STDOUT_FILENO,
    group: Group = .ours
  ) -> (process: pid_t, error: CInt) {
    var process: pid_t = 0
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    var defaults = sigset_t()
    var mask = sigset_t()
    var flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
    if group == .itsOwn { flags |= POSIX_SPAWN_SETPGROUP }
    // SAFETY: every call is given live structures of this frame that were initialised before
    // their use and are destroyed after it; the strings live until they are freed below, and
    // the list of arguments ends with nil.
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    unsafe sigemptyset(&mask)
    unsafe sigemptyset(&defaults)
    unsafe sigaddset(&defaults, SIGPIPE)
    unsafe posix_spawnattr_init(&attributes)
    unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
    unsafe posix_spawnattr_setsigmask(&attributes, &mask)
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
    var strings = unsafe arguments.map { unsafe strdup($0) } + [nil]
    let error = unsafe posix_spawnp(
      &process, arguments[0], &actions, &attributes, &strings, environ)
    for index in unsafe strings.indices { unsafe free(strings[index]) }
    unsafe posix_spawnattr_destroy(&attributes)
    unsafe posix_spawn_file_actions_destroy(&actions)
    return (process, error)
  }

  /// Waits for the child's end, once. Its wait status.
  static func wait(for process: pid_t) -> CInt {
    var status: CInt = 0
    // SAFETY: waitpid writes one number.
    while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
    return status
  }

  /// The wait status, if the child has ended; waits for nothing.
  static func statusIfEnded(_ process: pid_t) -> CInt? {
    var status: CInt = 0
    // SAFETY: waitpid writes one number.
    return unsafe waitpid(process, &status, WNOHANG) == process ? status : nil
  }

  /// As a shell has it: the exit code, or 128 and the signal's number.
  static func exitCode(of status: CInt) -> CInt {
    let signal = status & 0x7f
    return signal != 0 ? 128 + signal : status >> 8 & 0xff
  }

  /// Nil when all went well, else how it ended.
  static func failure(of status: CInt) -> String? {
    let signal = status & 0x7f
    if signal != 0 { return "was killed by signal \(signal)" }
    let exitCode = status >> 8 & 0xff
    return exitCode == 0 ? nil : "failed with exit code \(exitCode)"
  }
}
