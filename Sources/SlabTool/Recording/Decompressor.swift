// gzip, zstd or xz as a child process, from a file's descriptor into a pipe.
//
// Invariants: the child is waited for exactly once, in `finish` or at the end of the owner.
// Before the wait the pipe's reading end is closed, so a child that still writes ends by
// SIGPIPE instead of waiting for ever.

import Glibc

struct Decompressor: ~Copyable {
  private let process: pid_t
  private let output: CInt

  /// The tool that unpacks the file, by the file's name; nil for plain text.
  static func tool(for path: String) -> String? {
    if path.hasSuffix(".gz") { return "gzip" }
    if path.hasSuffix(".zst") { return "zstd" }
    if path.hasSuffix(".xz") { return "xz" }
    return nil
  }

  /// Starts `tool` on the file behind `input`; `name` is for messages.
  init(_ tool: String, reading input: borrowing Descriptor, name: String) throws(ToolError) {
    var ends: [CInt] = [-1, -1]
    // SAFETY: pipe writes the two numbers that the array has room for.
    guard unsafe pipe(&ends) == 0 else { throw .cannotRead(name: name, errno: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let writing = Descriptor(owning: ends[1])
    let (process, error) = Self.spawn(tool, input: input.number, output: writing.number)
    guard error == 0 else {
      close(ends[0])
      throw error == ENOENT
        ? .decompressorMissing(tool: tool, name: name)
        : .decompressorRefused(tool: tool, name: name, errno: error)
    }
    self.process = process
    output = ends[0]
  }

  deinit {
    _ = Self.end(process, output)
  }

  func read(into bytes: inout [UInt8], from start: Int, name: String) throws(ToolError) -> Int {
    try Descriptor.read(output, into: &bytes, from: start, name: name)
  }

  /// Waits for the child. Nil when all went well, else how it ended.
  consuming func finish() -> String? {
    let status = Self.end(process, output)
    discard self
    let signal = status & 0x7f
    if signal != 0 { return "was ended by signal \(signal)" }
    let exitCode = status >> 8 & 0xff
    return exitCode == 0 ? nil : "failed with exit code \(exitCode)"
  }

  /// The child's wait status.
  private static func end(_ process: pid_t, _ output: CInt) -> CInt {
    close(output)
    var status: CInt = 0
    // SAFETY: waitpid writes one number.
    while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
    return status
  }

  /// Starts `tool -dc` with the two descriptors as its input and output.
  private static func spawn(
    _ tool: String, input: CInt, output: CInt
  ) -> (process: pid_t, error: CInt) {
    var process: pid_t = 0
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    var signals = sigset_t()
    // SAFETY: every call is given live structures of this frame that were initialised before
    // their use and are destroyed after it; the strings live until they are freed below, and
    // the list of arguments ends with nil.
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    // The command ignores SIGPIPE; its child must not.
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGPIPE)
    unsafe posix_spawnattr_init(&attributes)
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
    var arguments = unsafe [strdup(tool), strdup("-dc"), nil]
    let error = unsafe posix_spawnp(
      &process, tool, &actions, &attributes, &arguments, environ)
    unsafe free(arguments[0])
    unsafe free(arguments[1])
    unsafe posix_spawnattr_destroy(&attributes)
    unsafe posix_spawn_file_actions_destroy(&actions)
    return (process, error)
  }
}
