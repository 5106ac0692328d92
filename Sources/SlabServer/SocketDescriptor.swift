// SPDX-License-Identifier: Apache-2.0
// A file descriptor of the server, and the calls on it.

package import Glibc

package struct SocketDescriptor: Sendable, Equatable {
  package let number: CInt

  package init(_ number: CInt) { self.number = number }

  package static func socket() -> SocketDescriptor? {
    let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let number = Glibc.socket(AF_UNIX, type, 0)
    return number < 0 ? nil : SocketDescriptor(number)
  }

  /// Two that are connected: the second one can be read when the first one is closed.
  static func pair() throws(SlabServerError) -> (SocketDescriptor, SocketDescriptor) {
    var numbers: (CInt, CInt) = (-1, -1)
    let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    // SAFETY: the call fills two numbers, which is what the tuple has.
    let result = unsafe withUnsafeMutableBytes(of: &numbers) { bytes in
      unsafe socketpair(AF_UNIX, type, 0, bytes.baseAddress!.assumingMemoryBound(to: CInt.self))
    }
    guard result == 0 else { throw .system(call: "socketpair", path: "a socket", errno: errno) }
    return (SocketDescriptor(numbers.0), SocketDescriptor(numbers.1))
  }

  /// The next client of a listening socket.
  func accept() -> SocketDescriptor? {
    let number = Glibc.accept(self.number, nil, nil)
    guard number >= 0 else { return nil }
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    _ = fcntl(number, F_SETFL, O_NONBLOCK)
    return SocketDescriptor(number)
  }

  /// The process and the user at the other end: of a client, or of who began to listen.
  package var peer: (process: pid_t, user: uid_t)? {
    // struct ucred, which the C library declares to GNU sources only.
    var credentials = (process: pid_t(0), user: uid_t(0), group: gid_t(0))
    var size = socklen_t(MemoryLayout.size(ofValue: credentials))
    // SAFETY: the call fills three numbers of 32 bits, and is told their size.
    let result = unsafe getsockopt(number, SOL_SOCKET, SO_PEERCRED, &credentials, &size)
    return result == 0 ? (credentials.process, credentials.user) : nil
  }

  /// The bytes that are there, at most 4,096: none at the end; `nil` if there are none yet.
  func read() -> [UInt8]? {
    var count = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, initialized in
      // SAFETY: the call fills the buffer, and is told its size.
      repeat {
        count = unsafe recv(number, buffer.baseAddress, buffer.count, CInt(MSG_DONTWAIT))
      } while count < 0 && errno == EINTR
      initialized = max(count, 0)
    }
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? nil : bytes
  }

  /// Sends what goes without waiting: how many bytes that were; `nil` if the other end is gone.
  func write(_ bytes: ArraySlice<UInt8>) -> Int? {
    let flags = CInt(MSG_DONTWAIT | MSG_NOSIGNAL)
    // SAFETY: the call reads the bytes of the slice.
    let count = unsafe bytes.withUnsafeBytes { buffer in
      unsafe send(number, buffer.baseAddress, buffer.count, flags)
    }
    if count >= 0 { return count }
    return [EAGAIN, EWOULDBLOCK, EINTR].contains(errno) ? 0 : nil
  }

  /// Ends the connection too where a child of fork still has it.
  func closeConnection() {
    _ = shutdown(number, CInt(SHUT_RDWR))
    close()
  }

  package func close() { _ = Glibc.close(number) }
}
