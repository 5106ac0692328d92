// SPDX-License-Identifier: Apache-2.0
// What a server answers, and that no client holds up another one.

import Foundation
import Slab
import SlabTestSupport
import Testing

@testable import SlabServer

/// A server of an allocator with the groups /top, /top/small and /top/large.
func withServer(
  access: SlabServer.Access = .ownUser, clients: Int = 8,
  _ body: (SlabServer, SlabAllocator, TemporaryPath) throws -> Void
) throws {
  let allocator = try SlabAllocator()
  do {
    let place = try TemporaryPath()
    let server = try SlabServer.start(
      at: place.path, for: allocator, access: access, clients: clients)
    defer { server.stop() }
    let top = try allocator.rootGroup.makeChild(named: "top", max: 1 << 30)
    let small = try top.makeChild(named: "small")
    let large = try top.makeChild(named: "large")
    let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
    for number in 0..<40 {
      _ = try unsafe cache.allocate(in: number % 10 == 0 ? small : large)
    }
    try body(server, allocator, place)
    withExtendedLifetime((top, small, large, cache)) {}
  }
  allocator.waitUntilIdle()
  // SAFETY: nobody uses the objects any more, and the server has stopped.
  unsafe allocator.unmapEverything()
}

@Suite(.inTurn) struct AnswerTests {
  @Test func whatTheAllocatorHas() throws {
    try withServer { server, allocator, _ in
      let client = try Client(server.path)
      let answer = try client.answer(to: "snapshot")
      let process = try #require(answer["process"] as? [String: Any])
      #expect(process["id"] as? Int32 == getpid())
      #expect((process["name"] as? String)?.isEmpty == false)
      #expect(answer["monotonic_nanoseconds"] as? Int ?? 0 > 0)
      #expect(answer["unix_seconds"] as? Int ?? 0 > 1_600_000_000)
      let snapshot = allocator.snapshot()
      let groups = try #require(answer["groups"] as? [[String: Any]])
      #expect(groups.count == snapshot.groups.count)
      for group in snapshot.groups {
        let served = try #require(groups.first { $0["path"] as? String == group.path })
        #expect(served["usage"] as? Int == group.usage)
        #expect(served["peak"] as? Int == group.peak)
        #expect(served["max"] as? Int == group.max)
        #expect(served["is_online"] as? Bool == true)
      }
      let caches = try #require(answer["caches"] as? [[String: Any]])
      #expect(caches.contains { $0["name"] as? String == "kilobyte" })
      #expect((answer["counters"] as? [Any])?.count == snapshot.counters.count)
    }
  }

  @Test func partsOfIt() throws {
    try withServer { server, _, _ in
      let client = try Client(server.path)
      #expect(try client.groups("snapshot largest=2") == ["/", "/top"])
      #expect(try client.groups("snapshot largest=0") == [])
      #expect(try client.groups("snapshot below=/top/small") == ["/top/small"])
      #expect(try client.groups("snapshot below=/top largest=2") == ["/top", "/top/large"])
      #expect(try client.groups("snapshot below=/ largest=1\r") == ["/"])
      let answer = try client.answer(to: "snapshot below=/top/large caches")
      let groups = try #require(answer["groups"] as? [[String: Any]])
      let caches = try #require(groups.first?["caches"] as? [[String: Any]])
      #expect(caches.map { $0["name"] as? String } == ["kilobyte"])
    }
  }

  /// For Swift a slash and a mark behind it are one character, and so are some letters and what is behind them.
  @Test func namesThatJoinASlash() throws {
    try withServer { server, allocator, _ in
      let above = try allocator.rootGroup.makeChild(named: "\u{301}x\u{D4E}")
      let below = try above.makeChild(named: "\u{301}y")
      let client = try Client(server.path)
      let path = "/\u{301}x\u{D4E}"
      #expect(try client.groups("snapshot below=\(path) largest=1") == [path])
      #expect(try client.groups("snapshot below=\(path)/\u{301}y") == ["\(path)/\u{301}y"])
      #expect(
        try client.error("snapshot below=/\u{301}z caches") == "there is no group /\u{301}z")
      withExtendedLifetime((above, below)) {}
    }
  }

  /// A request that is wrong gets a line that says so, and the next one its answer.
  @Test(arguments: [
    ("", "the request is: snapshot"), ("snapshots", "the request is: snapshot"),
    ("snapshot largest=-1", "not understood: largest=-1"),
    ("snapshot largest=99999999999999999999", "not understood: largest="),
    ("snapshot largest=", "not understood: largest="), ("snapshot all", "not understood: all"),
    ("snapshot below=top", "not understood: below=top"),
    ("snapshot below=/nowhere", "there is no group /nowhere"),
    ("snapshot below=/top/small/x", "there is no group /top/small/x"),
    ("\u{1}\"\\", "the request is: snapshot"),
  ])
  func refused(_ request: String, _ words: String) throws {
    try withServer { server, _, _ in
      let client = try Client(server.path)
      #expect(try client.error(request)?.hasPrefix(words) == true)
      #expect(try client.groups("snapshot largest=1") == ["/"])
    }
  }

  @Test func aRequestWithoutAnEnd() throws {
    try withServer { server, _, _ in
      let client = try Client(server.path)
      client.send(String(repeating: "x", count: 3 * ServedClient.mostRequestBytes))
      #expect(client.line()?.contains("a request has at most 8192 bytes") == true)
      #expect(client.line() == nil)
      // The last line of a client that says no more needs no newline.
      let last = try Client(server.path)
      last.send("snapshot largest=1")
      last.endRequests()
      #expect(last.line()?.contains("\"path\":\"/\"") == true)
      #expect(last.line() == nil)
      let silent = try Client(server.path)
      silent.endRequests()
      #expect(silent.line() == nil)
    }
  }

  /// Clients that ask and do not read, ask in pieces, and go in the middle of an answer.
  @Test func rudeClients() throws {
    try withServer { server, _, _ in
      let deaf = try Client(server.path)
      let flags = fcntl(deaf.descriptor.number, F_GETFL)
      _ = fcntl(deaf.descriptor.number, F_SETFL, flags | O_NONBLOCK)
      let requests = [UInt8](String(repeating: "snapshot\n", count: 1 << 17).utf8)
      // As much as fits between the two: the server takes no more in than it can answer.
      var sent = 0
      var refusals = 0
      while sent < requests.count, refusals < 1000 {
        let count = deaf.descriptor.write(requests[sent...]) ?? 0
        sent += count
        refusals += count == 0 ? 1 : 0
        if count == 0 { usleep(100) }
      }
      #expect(sent < requests.count)
      for _ in 0..<50 {
        let passing = try Client(server.path)
        passing.send("snapshot\nsnapshot\nsnap")
      }
      let slow = try Client(server.path)
      for byte in "snapshot largest=1\n" { slow.send(String(byte)) }
      #expect(slow.line()?.contains("\"path\":\"/\"") == true)
      let client = try Client(server.path)
      for _ in 0..<20 { #expect(try client.groups("snapshot largest=1") == ["/"]) }
    }
  }

  @Test func aBoundToTheClients() throws {
    try withServer(clients: 3) { server, _, _ in
      var clients: [Client] = []
      for _ in 0..<3 {
        clients.append(try Client(server.path))
        #expect(try clients.last?.groups("snapshot largest=1") == ["/"])
      }
      let fourth = try Client(server.path)
      #expect(fourth.line() == "{\"error\":\"3 clients are connected: no more may be\"}")
      #expect(fourth.line() == nil)
      clients.removeLast()
      // The place is free once the server has seen that the client is gone.
      var isServed = false
      for _ in 0..<1000 where !isServed {
        let next = try Client(server.path)
        next.send("snapshot largest=1\n")
        isServed = next.line()?.contains("counters") == true
      }
      #expect(isServed)
    }
  }

  /// Tenants come and go while many read: each answer is whole.
  @Test func besideAChurn() throws {
    try withServer { server, allocator, _ in
      let top = try #require(allocator.rootGroup.child(named: "top"))
      let path = server.path
      onThreads(4) { index in
        if index == 0 {
          for number in 0..<2000 {
            let group = try? top.makeChild(named: "passing-\(number % 100)")
            try? group?.close()
          }
          return
        }
        for _ in 0..<30 {
          let groups = (try? Client(path).groups("snapshot below=/top")) ?? []
          #expect(groups.filter { $0 == "/top/small" }.count == 1)
          #expect(groups.first == "/top")
        }
      }
    }
  }
}
