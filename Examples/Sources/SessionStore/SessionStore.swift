// SPDX-License-Identifier: Apache-2.0
// A store of sessions for many tenants, under load from many tasks: lookups take no lock, each session
// is charged to its tenant, and a tenant at its limit loses sessions of its own only, the oldest first.

import Slab
import Synchronization

struct Session: ~Copyable, Sendable {
  let user: Int
  /// Others look at a session while it is used: what changes is atomic.
  let requests = Atomic(0)
  let state = [16 of UInt64](repeating: 0)

  init(user: Int) { self.user = user }
}

/// A tenant: its group, and its sessions by age.
final class Tenant: Sendable {
  let group: MemoryGroup
  private let tokens = Mutex(TokensByAge())

  init(named name: String, limitBytes: Int) throws(SlabError) {
    group = try MemoryGroup.root.makeChild(named: name, max: limitBytes)
  }

  func add(_ token: Int) { tokens.withLock { $0.add(token) } }
  func remove(_ token: Int) { tokens.withLock { $0.remove(token) } }
  func removeOldest() -> Int? { tokens.withLock { $0.removeOldest() } }
}

/// Tokens in the order in which they were added. Every operation is O(1) on average.
struct TokensByAge {
  /// What was removed stays in the line until it is its turn, or until there is more of it than of
  /// the others; it has no number any more, or another one.
  private var line: [(token: Int, number: Int)] = []
  private var numbers: [Int: Int] = [:]
  private var next = 0
  private var added = 0

  var lineCount: Int { line.count }

  mutating func add(_ token: Int) {
    added += 1
    numbers[token] = added
    line.append((token, added))
    if line.count > 2 * numbers.count + 64 {
      line = line[next...].filter { numbers[$0.token] == $0.number }
      next = 0
    }
  }

  mutating func remove(_ token: Int) { numbers[token] = nil }

  mutating func removeOldest() -> Int? {
    while next < line.count {
      let (token, number) = line[next]
      next += 1
      guard numbers[token] == number else { continue }
      numbers[token] = nil
      return token
    }
    return nil
  }
}

final class SessionStore: Sendable {
  private let sessions: SlabTable<Int, Session>
  private let evictions = Atomic(0)

  init() throws(SlabError) {
    sessions = try SlabTable(named: "sessions", minimumCapacity: 1024)
  }

  var count: Int { sessions.count }
  var evicted: Int { evictions.load(ordering: .relaxed) }

  /// Opens a session; where the tenant's memory is at its limit, in the place of its oldest ones.
  func open(_ token: Int, user: Int, for tenant: Tenant) throws(SlabError) {
    while true {
      do throws(SlabError) {
        if try sessions.insert(Session(user: user), forKey: token, in: tenant.group) {
          tenant.add(token)
        }
        return
      } catch {
        guard case .limitReached = error, let oldest = tenant.removeOldest() else { throw error }
        if close(oldest, of: tenant) { evictions.add(1, ordering: .relaxed) }
      }
    }
  }

  /// Counts a request of a session; its user, or `nil` if there is no such session.
  func request(_ token: Int) -> Int? {
    sessions.withValue(forKey: token) { session in
      session.requests.add(1, ordering: .relaxed)
      return session.user
    }
  }

  /// Closes a session. Whoever looks at it at the moment does so until he is done.
  @discardableResult
  func close(_ token: Int, of tenant: Tenant) -> Bool {
    tenant.remove(token)
    return switch sessions.remove(forKey: token) {
    case .some: true
    case .none: false
    }
  }
}

@main
enum SessionLoad {
  static func main() async throws {
    let store = try SessionStore()
    let tenants = try (0..<4).map {
      try Tenant(named: "tenant-\($0)", limitBytes: (1 + $0) << 17)
    }
    let hits = try await load(store, tenants, tasks: 8, requests: 200_000)
    print("\(hits) requests found their session, \(store.count) sessions, \(store.evicted) evicted")
    for tenant in tenants {
      print("\(tenant.group): \(tenant.group.usage) of \(tenant.group.max!) bytes")
    }
  }

  /// Requests of many tasks; those that found their session.
  static func load(
    _ store: SessionStore, _ tenants: [Tenant], tasks: Int, requests: Int
  ) async throws -> Int {
    try await withThrowingTaskGroup(of: Int.self) { group in
      for task in 0..<tasks {
        group.addTask {
          var hits = 0
          var state = UInt64(task + 1)
          for _ in 0..<requests {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let token = Int(state >> 40) % 20_000
            let tenant = tenants[token % tenants.count]
            if let user = store.request(token) {
              precondition(user == token / 4, "another tenant's session")
              hits += 1
            } else {
              try store.open(token, user: token / 4, for: tenant)
            }
            if token % 64 == 0 { store.close(token, of: tenant) }
          }
          return hits
        }
      }
      return try await group.reduce(0, +)
    }
  }
}
