// SPDX-License-Identifier: Apache-2.0
import Glibc
import Slab
import Testing

@testable import SlabMonitor

/// A monitor as a client sees it.
@Suite(.timeLimit(.minutes(2))) struct ServerTests {
  @Test func itsDocuments() throws {
    try withAllocator { allocator in
      let group = try allocator.rootGroup.makeChild(named: "tenant", max: 1 << 20)
      let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
      for _ in 0..<100 { _ = try unsafe cache.allocate(in: group) }
      try withMonitor(of: allocator) { monitor in
        let metrics = try get(monitor, "/metrics")
        #expect(metrics.status == 200)
        #expect(
          metrics.head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
        #expect(metrics.head.hasSuffix("\r\nContent-Length: \(metrics.body.utf8.count)"))
        #expect(
          metrics.body.contains(
            "\nslab_group_usage_bytes{group=\"/tenant\",state=\"online\"} \(group.usage)\n"))
        #expect(
          metrics.body.contains(
            "\nslab_group_max_bytes{group=\"/tenant\",state=\"online\"} 1048576\n"))
        #expect(metrics.body.contains("\nslab_charged_bytes \(group.usage)\n"))

        let open = try get(
          monitor, "/metrics", "Accept: application/openmetrics-text;version=1.0.0")
        #expect(
          open.head.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0;"))
        #expect(open.body.hasSuffix("\n# EOF\n"))

        // The idle clock may take what a sheaf has between the two texts.
        let isTold = try (0..<100).contains { _ in
          try get(monitor, "/slabinfo").body == allocator.slabinfo()
        }
        #expect(isTold)
        #expect(try get(monitor, "/profile").body.contains("root;tenant;kilobyte "))
        for (path, type) in [
          ("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css"),
          ("/treemap.js", "text/javascript"), ("/treemap.css", "text/css"),
        ] {
          let file = try get(monitor, path)
          #expect(file.status == 200 && !file.body.isEmpty)
          #expect(file.head.contains("\r\nContent-Type: \(type); charset=utf-8\r\n"))
          #expect(file.head.contains("\r\nContent-Security-Policy: default-src 'none';"))
        }
        #expect(try get(monitor, "/healthz").status == 404)
      }
      withExtendedLifetime((group, cache)) {}
    }
  }

  @Test func whatIsRefused() throws {
    try withAllocator { allocator in
      try withMonitor(of: allocator, { $0.requestBytes = 1024 }) { monitor in
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
          let reply = try ask(monitor, "\(method) /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
          #expect(reply.status == 405 && reply.head.contains("\r\nAllow: GET, HEAD\r\n"))
        }
        #expect(try get(monitor, "/metrics", "Content-Length: 3").status == 413)
        #expect(try ask(monitor, "nonsense\r\n\r\n").status == 400)
        #expect(try get(monitor, "/" + String(repeating: "a", count: 2000)).status == 431)
        // Without an end, and more of it than the socket holds: the answer comes all the same.
        let endless = try Client(monitor)
        try? endless.send("GET / HTTP/1.1\r\nA: " + String(repeating: "a", count: 20_000))
        #expect(try Reply(endless.receive()).status == 431)
        endless.close()

        let head = try ask(monitor, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(head.status == 200 && head.body.isEmpty)
      }
    }
  }

  @Test func aRequestMayComeInPieces() throws {
    try withAllocator { allocator in
      try withMonitor(of: allocator) { monitor in
        let client = try Client(monitor)
        for character in "GET /slabinfo HTTP/1.1\r\nHost: localhost\r\n\r\n" {
          try client.send(String(character))
        }
        #expect(try Reply(client.receive()).status == 200)
        client.close()
      }
    }
  }

  @Test func eventsComeAgainAndAgain() throws {
    try withAllocator { allocator in
      let group = try allocator.rootGroup.makeChild(named: "tenant")
      let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
      for _ in 0..<100 { _ = try unsafe cache.allocate(in: group) }
      try withMonitor(of: allocator) { monitor in
        let client = try Client(monitor)
        try client.send("GET /events?group=%2Ftenant HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let text = client.receive { $0.count { $0 == "\n" } > 40 }
        client.close()
        let reply = try Reply(text)
        #expect(reply.head.contains("\r\nContent-Type: text/event-stream; charset=utf-8"))
        let events = reply.body.split(separator: "\n\n")
        #expect(events[0].hasPrefix("event: sample\ndata: {"))
        #expect(events[0].contains("\"path\":\"\\/tenant\""))
        #expect(events[1].hasPrefix("event: group\ndata: {"))
        #expect(events[1].contains("\"name\":\"kilobyte\""))
        #expect(events[2].hasPrefix("event: sample\n") && events[2] != events[0])
      }
      withExtendedLifetime((group, cache)) {}
    }
  }

  /// For Swift a slash and a mark behind it are one character, and so are some letters and a slash behind them.
  @Test func namesThatJoinASlash() throws {
    try withAllocator { allocator in
      let cache = try RawSlabCache(named: "\u{301}kilobyte", objectSize: 1024, of: allocator)
      let above = try allocator.rootGroup.makeChild(named: "\u{301}x\u{D4E}")
      let groups = [above, try above.makeChild(named: "y"), try above.makeChild(named: "\u{301}z")]
      for group in groups { _ = try unsafe cache.allocate(in: group) }
      try withMonitor(
        of: allocator,
        {
          $0.labelBudget = 1
          $0.largestGroups = 1
        }
      ) { monitor in
        // The profile has one group, and what is below is this one's. Compared by bytes.
        let line = "root;\u{301}x\u{D4E};[other] "
        let profile = try get(monitor, "/profile").body
        #expect(profile.utf8.firstRange(of: line.utf8) != nil)
        #expect(try get(monitor, "/metrics").status == 200)
        let client = try Client(monitor)
        try client.send(
          "GET /events?group=%2F%CC%81x%E0%B5%8E%2F%CC%81z HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let events = client.receive { text in
          ["{", "null"].contains { text.contains("event: group\ndata: \($0)") }
        }
        client.close()
        #expect(events.utf8.firstRange(of: "event: group\ndata: {".utf8) != nil)
      }
      try withMonitor(of: allocator) { monitor in
        for line in [
          "root;\u{301}x\u{D4E};y;\u{301}kilobyte ",
          "root;\u{301}x\u{D4E};\u{301}z;\u{301}kilobyte ",
        ] {
          let profile = try get(monitor, "/profile").body
          #expect(profile.utf8.firstRange(of: line.utf8) != nil)
        }
      }
      withExtendedLifetime((groups, cache)) {}
    }
  }

  @Test func aGroupThatIsNotThere() throws {
    try withAllocator { allocator in
      try withMonitor(of: allocator) { monitor in
        let client = try Client(monitor)
        try client.send("GET /events?group=/none HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(
          client.receive { $0.contains("event: group") }.contains("event: group\ndata: null\n\n"))
        client.close()
      }
    }
  }

  @Test func moreClientsThanThereMayBe() throws {
    try withAllocator { allocator in
      try withMonitor(of: allocator, { $0.clients = 2 }) { monitor in
        // Served once each has its first event.
        let clients = try (0..<2).map { _ in
          let client = try Client(monitor)
          try client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
          _ = client.receive { $0.contains("\r\n\r\n") }
          return client
        }
        let refused = try Client(monitor)
        let reply = try Reply(refused.receive())
        #expect(reply.status == 503 && reply.head.contains("\r\nRetry-After: 5\r\n"))
        refused.close()
        clients[0].close()
        // The monitor notices that one is gone when it looks, or writes.
        var served = reply
        while served.status == 503 { served = try get(monitor, "/metrics") }
        #expect(served.status == 200)
        let count = try #require(
          served.body.firstMatch(of: /\nslab_monitor_clients_refused_total (\d+)\n/)?.output.1)
        #expect(Int(count)! >= 1)
        clients[1].close()
      }
    }
  }

  @Test func aClientThatDoesNotAskIsLetGo() throws {
    try withAllocator { allocator in
      try withMonitor(of: allocator, times: .init(head: .milliseconds(100))) { monitor in
        for begun in ["", "G", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"] {
          let client = try Client(monitor)
          try client.send(begun)
          #expect(try Reply(client.receive()).status == 408)
          client.close()
        }
      }
    }
  }

  /// It asks for a stream, and reads nothing: what it has not read stays in the sockets, and then the monitor waits for
  /// it no longer than for others.
  @Test func aClientThatDoesNotReadIsLetGo() throws {
    try withAllocator { allocator in
      let name = String(repeating: "a", count: 200)
      let groups = try (0..<1000).map {
        try allocator.rootGroup.makeChild(named: "\(name)-\($0)")
      }
      try withMonitor(of: allocator, times: .init(answer: .seconds(2))) { monitor in
        let client = try Client(monitor, receiving: 4096)
        try client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        // Until it is there, which some of the documents made in two seconds say, and until it is gone.
        for clients in [2, 1] {
          while try !get(monitor, "/metrics").body.contains("\nslab_monitor_clients \(clients)\n") {
          }
        }
        client.close()
      }
      withExtendedLifetime(groups) {}
    }
  }

  @Test func aStopEndsAll() throws {
    try withAllocator { allocator in
      var configuration = SlabMonitor.Configuration()
      configuration.port = 0
      configuration.interval = .seconds(3600)
      let monitor = try SlabMonitor.start(configuration, of: allocator)
      // One waits for an event that comes in an hour, one has sent half a request, one nothing.
      let clients = try (0..<3).map { _ in try Client(monitor) }
      try clients[0].send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
      _ = clients[0].receive { $0.contains("event: group") }
      try clients[1].send("GET /ev")
      monitor.stop()
      for client in clients {
        _ = client.receive()
        client.close()
      }
      #expect(throws: (any Error).self) { try Client(monitor) }
      monitor.stop()
    }
  }

  /// A child of fork has no monitor; what it does leaves its parent's as it is.
  @Test func aChildOfFork() async throws {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        try withMonitor(of: allocator) { monitor in
          let child = forkProcess()
          if child == 0 {
            monitor.stop()
            _exit(0)
          }
          var status: Int32 = 0
          _ = unsafe waitpid(child, &status, 0)
          guard status == 0, try get(monitor, "/metrics").status == 200 else { exit(1) }
        }
      }
    }
  }

  /// A bound of clients is one of threads as well; and each request has its own document.
  @Test func manyAtOnce() async throws {
    let allocator = try SlabAllocator()
    var configuration = SlabMonitor.Configuration()
    configuration.port = 0
    configuration.clients = 8
    let monitor = try SlabMonitor.start(configuration, of: allocator)
    let statuses = try await withThrowingTaskGroup(of: [Int].self) { tasks in
      for _ in 0..<4 {
        tasks.addTask {
          try (0..<25).map {
            try get(monitor, ["/metrics", "/profile", "/slabinfo", "/"][$0 % 4]).status
          }
        }
      }
      return try await tasks.reduce(into: []) { $0 += $1 }
    }
    #expect(statuses.count == 100 && statuses.allSatisfy { $0 == 200 || $0 == 503 })
    monitor.stop()
    // SAFETY: nobody uses it any more.
    unsafe allocator.unmapEverything()
  }
}
