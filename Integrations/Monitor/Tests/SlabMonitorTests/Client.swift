// SPDX-License-Identifier: Apache-2.0
import FlyingSocks
import FoundationEssentials
import Glibc
import Slab
import Testing

@testable import SlabMonitor

/// A client as simple as can be: what it sends is given, and it reads until the end.
struct Client {
  let socket: Socket

  /// - Parameter receiving: bytes that the system keeps of what is not read.
  init(_ monitor: SlabMonitor, receiving: Int32? = nil) throws {
    let port = try #require(UInt16(monitor.address.split(separator: ":").last!))
    socket = try Socket(domain: AF_INET)
    if let receiving {
      try socket.setValue(receiving, for: Int32SocketOption(name: SO_RCVBUF))
    }
    try socket.connect(to: sockaddr_in.inet(ip4: "127.0.0.1", port: port))
  }

  func send(_ text: String) throws {
    let data = Data(text.utf8)
    var sent = data.startIndex
    while sent < data.endIndex { sent = try socket.write(data, from: sent) }
  }

  /// What comes until the other side ends, or until there is so much of it that the body says it is enough.
  func receive(until isEnough: (String) -> Bool = { _ in false }) -> String {
    var bytes: [UInt8] = []
    while let more = try? socket.read(atMost: 4096) {
      bytes += more
      if isEnough(String(decoding: bytes, as: UTF8.self)) { break }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  func close() { try? socket.close() }
}

struct Reply {
  let status: Int
  let head: String
  let body: String

  init(_ text: String) throws {
    let end = try #require(text.firstRange(of: "\r\n\r\n"))
    head = String(text[..<end.lowerBound])
    body = String(text[end.upperBound...])
    status = try #require(Int(head.split(separator: " ")[1]))
  }
}

func ask(_ monitor: SlabMonitor, _ request: String) throws -> Reply {
  let client = try Client(monitor)
  defer { client.close() }
  try client.send(request)
  return try Reply(client.receive())
}

func get(_ monitor: SlabMonitor, _ path: String, _ headers: String...) throws -> Reply {
  let lines = ["GET \(path) HTTP/1.1", "Host: localhost"] + headers
  return try ask(monitor, lines.joined(separator: "\r\n") + "\r\n\r\n")
}

/// An allocator of the test's own; nothing of it may be used behind the body.
func withAllocator<Result>(_ body: (SlabAllocator) throws -> Result) throws -> Result {
  let allocator = try SlabAllocator()
  // SAFETY: the body has ended, and with it what it made.
  defer { unsafe allocator.unmapEverything() }
  return try body(allocator)
}

/// A monitor of an allocator, which is stopped behind the body.
func withMonitor<Result>(
  of allocator: SlabAllocator, _ configure: (inout SlabMonitor.Configuration) -> Void = { _ in },
  times: Server.Times = Server.Times(), _ body: (SlabMonitor) throws -> Result
) throws -> Result {
  var configuration = SlabMonitor.Configuration()
  configuration.port = 0
  configuration.interval = .milliseconds(100)
  configure(&configuration)
  let monitor = try SlabMonitor.start(configuration, of: allocator, times: times)
  defer { monitor.stop() }
  return try body(monitor)
}

/// fork(2), which the overlay keeps from Swift. SIGALRM ends a child that hangs.
func forkProcess() -> Int32 {
  typealias Fork = @convention(c) () -> Int32
  // SAFETY: that is its type.
  let fork = unsafe unsafeBitCast(dlsym(nil, "fork")!, to: Fork.self)
  let process = fork()
  if process == 0 {
    // The threads of Dispatch have their signals blocked.
    var alarms = sigset_t()
    // SAFETY: the calls fill and read a set of this frame.
    unsafe sigemptyset(&alarms)
    unsafe sigaddset(&alarms, SIGALRM)
    _ = unsafe pthread_sigmask(SIG_UNBLOCK, &alarms, nil)
    alarm(20)
  }
  return process
}
