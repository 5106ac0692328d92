// SPDX-License-Identifier: Apache-2.0
import Slab
import Testing

@testable import SlabMonitor

/// By whom a monitor can be reached.
@Suite struct AccessTests {
  private static let token = "0123456789abcdefXYZ"

  private func error(_ configure: (inout SlabMonitor.Configuration) -> Void) -> MonitorError? {
    var configuration = SlabMonitor.Configuration()
    configuration.port = 0
    configure(&configuration)
    do throws(MonitorError) {
      try SlabMonitor.start(configuration).stop()
      return nil
    } catch { return error }
  }

  @Test(arguments: ["127.0.0.1", "127.1.2.3", "localhost", "::1", "0:0:0:0:0:0:0:1"])
  func thisMachine(_ host: String) throws {
    #expect(try Host(host).isLoopback)
  }

  @Test(arguments: ["0.0.0.0", "128.0.0.1", "10.0.0.1", "::", "::11", "1::", "::ffff:127.0.0.1"])
  func otherMachinesNeedAToken(_ host: String) throws {
    #expect(try !Host(host).isLoopback)
    #expect(error { $0.host = host } == .tokenRequired(host: host))
  }

  @Test(arguments: ["", "example.com", "127.0.0", "127.0.0.1 ", "[::1]"])
  func namesAreNoAddresses(_ host: String) {
    #expect(error { $0.host = host } == .invalidHost(host))
  }

  @Test func settingsHaveBounds() {
    #expect(error { $0.token = "short" } == .invalidToken)
    #expect(error { $0.token = "with a blank and so on" } == .invalidToken)
    #expect(error { $0.clients = 0 } == .invalidSetting(name: "clients", value: "0"))
    #expect(error { $0.labelBudget = -1 } == .invalidSetting(name: "labelBudget", value: "-1"))
    #expect(error { $0.largestGroups = 0 } == .invalidSetting(name: "largestGroups", value: "0"))
    #expect(error { $0.requestBytes = 1 } == .invalidSetting(name: "requestBytes", value: "1"))
    #expect(
      error { $0.interval = .zero } == .invalidSetting(name: "interval", value: "0.0 seconds"))
  }

  @Test func onlyTheTokenItself() {
    let token = Token(Self.token)
    #expect(token.isPresented(by: "Bearer \(Self.token)"))
    #expect(token.isPresented(by: "bearer \(Self.token)"))
    for wrong in [
      nil, "", "Bearer", "Bearer ", Self.token, "Basic \(Self.token)", "Bearer \(Self.token)x",
      "Bearer \(Self.token.dropLast())", "Bearer x\(Self.token.dropFirst())",
      "Bearer \(Self.token)\(Self.token)", "Bearer \(Self.token) \(Self.token)",
    ] {
      #expect(!token.isPresented(by: wrong), "\(wrong ?? "none")")
    }
  }

  @Test func withATokenAllDataWantsIt() throws {
    try withAllocator { allocator in
      try withMonitor(of: allocator, { $0.token = Self.token }) { monitor in
        for path in ["/metrics", "/events", "/profile", "/slabinfo", "/nothing"] {
          let refused = try get(monitor, path)
          #expect(refused.status == 401 && refused.head.contains("\r\nWWW-Authenticate: Bearer"))
          #expect(!refused.body.contains("slab_"))
          #expect(try get(monitor, path, "Authorization: Bearer \(Self.token)x").status == 401)
        }
        for path in ["/metrics", "/profile", "/slabinfo"] {
          #expect(try get(monitor, path, "Authorization: Bearer \(Self.token)").status == 200)
        }
        // The page asks for the token by itself.
        #expect(try get(monitor, "/").status == 200)
      }
    }
  }

  /// A page of another origin whose name leads here.
  @Test func withoutATokenTheHostIsNoName() throws {
    for host in ["localhost", "LOCALHOST:9640", "127.0.0.1:80", "[::1]:9640", "10.0.0.1", nil] {
      #expect(Router.isNumeric(host), "\(host ?? "none")")
    }
    for host in [
      "", "example.com", "localhost.example.com", "127.0.0.1.example.com:80", "[::1", "[x]",
    ] {
      #expect(!Router.isNumeric(host), "\(host)")
    }
    try withAllocator { allocator in
      try withMonitor(of: allocator) { monitor in
        let refused = try ask(
          monitor, "GET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n")
        #expect(refused.status == 421)
      }
    }
  }

  @Test func anAddressInUse() throws {
    try withAllocator { allocator in
      try withMonitor(of: allocator) { monitor in
        let port = try #require(UInt16(monitor.address.split(separator: ":").last!))
        guard case .cannotListen(monitor.address, let number)? = error({ $0.port = port }) else {
          Issue.record("two monitors listen at one address")
          return
        }
        #expect(
          "\(MonitorError.cannotListen(address: monitor.address, errno: number))".contains("in use")
        )
      }
    }
  }
}
