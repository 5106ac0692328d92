// SPDX-License-Identifier: Apache-2.0
internal import FlyingSocks
internal import Glibc

/// A numeric address to listen at.
struct Host: Sendable {
  private enum Family { case ip4, ip6 }

  private let family: Family
  private let text: String
  /// Whether only this machine reaches it.
  let isLoopback: Bool

  init(_ text: String) throws(MonitorError) {
    let text = text == "localhost" ? "127.0.0.1" : text
    self.text = text
    if let address = try? sockaddr_in.inet(ip4: text, port: 0) {
      family = .ip4
      isLoopback = UInt32(bigEndian: address.sin_addr.s_addr) >> 24 == 127
    } else if let address = try? sockaddr_in6.inet6(ip6: text, port: 0) {
      family = .ip6
      // SAFETY: the bytes are copied out of the value.
      let bytes = unsafe withUnsafeBytes(of: address.sin6_addr) { unsafe Array($0) }
      isLoopback = bytes == [UInt8](repeating: 0, count: 15) + [1]
    } else {
      throw .invalidHost(text)
    }
  }

  /// A socket that is bound to it and listens.
  func listen(at port: UInt16) throws(MonitorError) -> Socket {
    do {
      let socket: Socket
      switch family {
      case .ip4:
        socket = try Socket(domain: AF_INET)
        try Self.prepare(socket, for: sockaddr_in.inet(ip4: text, port: port))
      case .ip6:
        socket = try Socket(domain: AF_INET6)
        try Self.prepare(socket, for: sockaddr_in6.inet6(ip6: text, port: port))
      }
      return socket
    } catch {
      throw .cannotListen(address: name(with: port), errno: error.number)
    }
  }

  private static func prepare(_ socket: Socket, for address: some SocketAddress) throws {
    do {
      socket.closeInNewPrograms()
      try socket.setValue(true, for: .localAddressReuse)
      try socket.bind(to: address)
      try socket.setFlags(.nonBlocking)
    } catch {
      try? socket.close()
      throw error
    }
    // Closes the socket itself where it fails.
    try socket.listen()
  }

  func name(with port: UInt16) -> String {
    family == .ip6 ? "[\(text)]:\(port)" : "\(text):\(port)"
  }
}

extension Socket {
  /// A program that the process starts has nothing of the monitor's.
  func closeInNewPrograms() { _ = fcntl(file.rawValue, F_SETFD, FD_CLOEXEC) }

  /// The port that it is bound to.
  var port: UInt16 {
    switch try? sockname() {
    case .ip4(_, let port), .ip6(_, let port): port
    default: 0
    }
  }
}

extension Error {
  /// The system's number of what went wrong.
  fileprivate var number: Int32 {
    if case .failed(_, let number, _)? = self as? SocketError { number } else { EINVAL }
  }
}

/// The system's words for one of its numbers.
func text(of errno: Int32) -> String {
  // SAFETY: the text is copied at once; another thread's call may at worst garble it.
  unsafe String(cString: strerror(errno))
}
