// SPDX-License-Identifier: Apache-2.0
// A connection to a process that serves its allocator: requests go out, lines come in, and the caller may wait for
// other things meanwhile.

import Glibc
import SlabServer

struct ServerConnection: ~Copyable {
  let path: String
  /// For poll.
  let descriptor: CInt
  private var received: [UInt8] = []

  init(_ path: String) throws(ObservationError) {
    guard let address = try? SocketAddress(path) else { throw .pathTooLong(path) }
    guard let socket = SocketDescriptor.socket() else {
      throw .cannotConnect(path: path, errno: errno)
    }
    guard address.connect(socket) else {
      let error = errno
      socket.close()
      throw error == ECONNREFUSED
        ? .nothingServed(path: path) : .cannotConnect(path: path, errno: error)
    }
    // Who began to listen: a child of fork may have the socket, and serves nobody.
    if let server = socket.peer?.process, server > 0, kill(server, 0) != 0, errno == ESRCH {
      socket.close()
      throw .nothingServed(path: path)
    }
    self.path = path
    descriptor = socket.number
  }

  deinit { close(descriptor) }

  /// Sends a request, which is short: there is room for it, as each is answered before the next.
  func send(_ request: String) throws(ObservationError) {
    let bytes = Array((request + "\n").utf8)
    // SAFETY: the call reads the bytes of the array.
    let count = unsafe Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL))
    // A server that refuses this user says so and closes, perhaps before it is asked: then its word is to be read.
    guard count == bytes.count || errno == EPIPE else { throw .serverGone(path: path) }
  }

  /// The next line, if it is there as a whole; waits for nothing.
  mutating func receive() throws(ObservationError) -> String? {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      // SAFETY: the call fills the array, and is told its count.
      let count = unsafe recv(descriptor, &bytes, bytes.count, CInt(MSG_DONTWAIT))
      if count > 0 {
        received += bytes[..<count]
        if bytes[..<count].contains(UInt8(ascii: "\n")) { break }
      } else if count == 0 || errno == ECONNRESET {
        guard received.contains(UInt8(ascii: "\n")) else { throw .serverGone(path: path) }
        break
      } else if errno != EINTR {
        break
      }
    }
    guard let end = received.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    defer { received.removeSubrange(...end) }
    return String(decoding: received[..<end], as: UTF8.self)
  }

  /// A request and its answer. Waits for it, 10 s at most.
  mutating func ask(_ request: String) throws(ObservationError) -> String {
    try send(request)
    let deadline = MonotonicTime.nanoseconds() + 10_000_000_000
    while true {
      if let line = try receive() { return line }
      let left = (deadline - MonotonicTime.nanoseconds()) / 1_000_000
      guard left > 0 else { throw .noAnswer(path: path) }
      var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      // SAFETY: the call reads and fills the structure of this frame.
      _ = unsafe poll(&polled, 1, CInt(left))
    }
  }
}
