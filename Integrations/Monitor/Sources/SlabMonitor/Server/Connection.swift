// SPDX-License-Identifier: Apache-2.0
internal import FlyingSocks
internal import FoundationEssentials
internal import Glibc

/// The socket of a client. It blocks nobody: each call says until when it may wait.
struct Connection: Sendable {
  typealias Instant = ContinuousClock.Instant

  enum End: Error {
    /// The client is gone, or the monitor stops.
    case closed
    /// The client took too long.
    case late
  }

  let socket: Socket

  init(_ socket: Socket) throws {
    self.socket = socket
    socket.closeInNewPrograms()
    try socket.setFlags(.nonBlocking)
    // Else the system holds some MiB for a client that does not read.
    try socket.setValue(256 << 10, for: Int32SocketOption(name: SO_SNDBUF))
  }

  /// What there is to read, 4,096 bytes at most.
  func read(before deadline: Instant) throws(End) -> [UInt8] {
    try attempt(Int16(POLLIN), before: deadline) { try socket.read(atMost: 4096) }
  }

  func write(_ data: Data, before deadline: Instant) throws(End) {
    var sent = data.startIndex
    while sent < data.endIndex {
      sent = try attempt(Int16(POLLOUT), before: deadline) { try socket.write(data, from: sent) }
    }
  }

  /// Waits for a moment, and says whether the client has ended the connection before it.
  func isClosed(before moment: Instant) -> Bool {
    while socket.isReady(for: Int16(POLLIN), before: moment) {
      // What a client says after its request does not matter.
      guard (try? read(before: .now)) != nil else { return true }
    }
    return false
  }

  /// Says that no more is written, and waits a little until the client has read it: what a client still
  /// writes when its connection is closed would take from it what it has not read yet.
  func finish(within time: Duration) {
    shutdown(socket.file.rawValue, Int32(SHUT_WR))
    let deadline = Instant.now + time
    for _ in 0..<16 {
      guard (try? read(before: deadline)) != nil else { return }
    }
  }

  private func attempt<Result>(
    _ event: Int16, before deadline: Instant, _ body: () throws -> Result
  ) throws(End) -> Result {
    while true {
      do {
        return try body()
      } catch SocketError.blocked {
        guard socket.isReady(for: event, before: deadline) else { throw .late }
      } catch { throw .closed }
    }
  }
}

extension Socket {
  /// Waits until the socket can be read or written, has ended or has failed; false where the time is over before.
  func isReady(for event: Int16, before deadline: ContinuousClock.Instant) -> Bool {
    while true {
      let left = deadline - .now
      let milliseconds = left <= .zero ? 0 : left / .milliseconds(1) + 1
      var entry = pollfd(fd: file.rawValue, events: event, revents: 0)
      // SAFETY: one entry, which is there for as long as the call.
      let ready = unsafe poll(&entry, 1, Int32(min(milliseconds, 3_600_000)))
      if ready > 0 { return true }
      if ready == 0, ContinuousClock.now >= deadline { return false }
      if ready < 0, errno != EINTR { return true }
    }
  }
}
