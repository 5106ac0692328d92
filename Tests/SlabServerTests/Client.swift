// SPDX-License-Identifier: Apache-2.0
// A client as anyone may write one: blocking, and as rude as a test wants.

import Foundation
import Glibc
import Testing

@testable import SlabServer

final class Client {
  let descriptor: SocketDescriptor
  private var received: [UInt8] = []

  init(_ path: String) throws {
    descriptor = SocketDescriptor(socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0))
    let isConnected = try SocketAddress(path).connect(descriptor)
    #expect(isConnected)
    // A test that waits for more than comes fails.
    var bound = timeval(tv_sec: 20, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    _ = unsafe setsockopt(descriptor.number, SOL_SOCKET, SO_RCVTIMEO, &bound, size)
  }

  deinit { descriptor.close() }

  func send(_ text: String) {
    let bytes = Array(text.utf8)
    var sent = 0
    while sent < bytes.count, let count = descriptor.write(bytes[sent...]) { sent += count }
  }

  func endRequests() { _ = shutdown(descriptor.number, CInt(SHUT_WR)) }

  /// The next line; nil at the end.
  func line() -> String? {
    while true {
      if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
        defer { received.removeSubrange(...end) }
        return String(decoding: received[..<end], as: UTF8.self)
      }
      var bytes = [UInt8](repeating: 0, count: 65536)
      let count = unsafe recv(descriptor.number, &bytes, bytes.count, 0)
      guard count > 0 else { return nil }
      received += bytes[..<count]
    }
  }

  /// What a request gets.
  func answer(to request: String) throws -> [String: Any] {
    send(request + "\n")
    let answer = try #require(line())
    let object = try JSONSerialization.jsonObject(with: Data(answer.utf8))
    return try #require(object as? [String: Any])
  }

  func groups(_ request: String) throws -> [String] {
    let answer = try answer(to: request)
    let groups = try #require(answer["groups"] as? [[String: Any]])
    return groups.map { $0["path"] as? String ?? "" }
  }

  func error(_ request: String) throws -> String? {
    try answer(to: request)["error"] as? String
  }
}

/// A path in a folder of its own, both removed with their owner.
final class TemporaryPath {
  let folder: String
  var path: String { folder + "/slab.sock" }

  init() throws {
    folder = NSTemporaryDirectory() + "slab-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  var mode: mode_t? {
    var status = stat()
    return unsafe lstat(path, &status) == 0 ? status.st_mode & 0o777 : nil
  }
}
