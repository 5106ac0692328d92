// SPDX-License-Identifier: Apache-2.0
public import Slab

/// Shows an allocator over HTTP while the process runs: metrics for Prometheus at `/metrics`, a page that updates
/// itself at `/`, `/profile` and `/slabinfo`. It only reads. docs/monitoring.md has the rest.
///
/// It has threads of its own, one that listens and one for each client, and takes part in no task: it answers while
/// the program's tasks are all busy, and makes none of them wait.
public final class SlabMonitor: Sendable {
  /// How a monitor behaves.
  public struct Configuration: Sendable {
    /// A numeric address, or `localhost`. One that other machines can reach requires a token.
    public var host = "127.0.0.1"
    /// 0 for any that is free.
    public var port: UInt16 = 9640
    /// What a request has to have in its header `Authorization: Bearer …`; 16 visible ASCII characters at least.
    public var token: String? = nil
    /// A snapshot serves all clients for so long, and for 20 times as long as it took: 100 ms to 1 hour.
    public var interval: Duration = .seconds(2)
    /// How many groups, those with the most bytes, have metrics of their own; and how many caches: 0 to 10,000.
    public var labelBudget = 100
    /// How many groups the page and the profile have, those with the most bytes: 1 to 10,000, and no fewer than the
    /// label budget.
    public var largestGroups = 1000
    /// How many clients are served at one time, each by a thread: 1 to 1,000.
    public var clients = 16
    /// Bytes that the head of a request may have: 256 to 65,536. A body is refused.
    public var requestBytes = 8192

    /// The defaults, which serve this machine only.
    public init() {}
  }

  private let server: Server

  private init(_ server: Server) { self.server = server }

  /// Listens, and serves until `stop` is called; a handle that ends earlier stops nothing. Starts a thread.
  ///
  /// - Throws: `MonitorError`, for a configuration that is refused or an address that is in use.
  public static func start(
    _ configuration: Configuration = Configuration(), of allocator: SlabAllocator = .shared
  ) throws(MonitorError) -> SlabMonitor {
    try start(configuration, of: allocator, times: Server.Times())
  }

  /// With other times, for tests.
  static func start(
    _ configuration: Configuration, of allocator: SlabAllocator, times: Server.Times
  ) throws(MonitorError) -> SlabMonitor {
    try configuration.check()
    let token = configuration.token.map { Token($0) }
    let source = Source(of: allocator, configuration)
    let server = try Server(configuration, Router(source: source, token: token), times)
    try server.start()
    return SlabMonitor(server)
  }

  /// Where it listens: `127.0.0.1:9640`, `[::1]:9640`.
  public var address: String { server.address }

  /// Ends all connections, and returns when the threads are gone. May be called more than once; in a child of fork it
  /// does nothing.
  public func stop() { server.stop() }
}

extension SlabMonitor.Configuration {
  fileprivate func check() throws(MonitorError) {
    func check(_ name: String, _ isInside: Bool, _ value: some Any) throws(MonitorError) {
      guard isInside else { throw .invalidSetting(name: name, value: "\(value)") }
    }
    try check(
      "interval", interval >= .milliseconds(100) && interval <= .seconds(3600), interval)
    try check("labelBudget", (0...10_000).contains(labelBudget), labelBudget)
    try check("largestGroups", (1...10_000).contains(largestGroups), largestGroups)
    try check("clients", (1...1000).contains(clients), clients)
    try check("requestBytes", (256...65_536).contains(requestBytes), requestBytes)
    if let token {
      guard Token.isStrong(token) else { throw .invalidToken }
    } else if !(try Host(host)).isLoopback {
      throw .tokenRequired(host: host)
    }
  }
}
