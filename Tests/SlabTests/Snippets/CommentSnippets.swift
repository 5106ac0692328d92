// SPDX-License-Identifier: Apache-2.0
// The code of documentation comments and of docs/, compiled and run: see SnippetTests.

import Slab
import SlabTestSupport
import Testing

extension Snippets {
  @Suite struct CommentSnippets {
    @Test func cache() async throws {
      let tenant = try MemoryGroup.root.makeChild(named: "tenant-1")
      // snippet
      let sessions = try SlabCache<Session>(named: "session")
      var session = try sessions.allocate(Session(user: 42), in: tenant)
      session.value.requests += 1
      // end
      #expect(session.consume().requests == 1)
      try tenant.close()
      try sessions.destroy()
    }

    @Test func group() async throws {
      let sessions = try SlabCache<Session>(named: "session")
      // snippet
      let tenant = try MemoryGroup.root.makeChild(named: "tenant-1", max: 1 << 20)
      let session = try sessions.allocate(Session(user: 42), in: tenant)
      try tenant.close()
      // end
      #expect(session.consume().user == 42)
      try await tenant.waitUntilDrained()
      try sessions.destroy()
    }

    @Test func limits() throws {
      let plan = try MemoryGroup.root.makeChild(named: "plan", max: 1 << 20)
      // snippet
      var limits = plan.limits
      limits.high = limits.max.map { $0 / 4 * 3 }
      try plan.setLimits(limits)
      // end
      #expect(plan.limits == MemoryGroup.Limits(max: 1 << 20, high: 3 << 18))
      try plan.close()
    }

    @Test func shared() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "tenant-1")
      do {
        // snippet
        let sessions = try SlabCache<SharedObject<Session>>(named: "session")
        let session = try sessions.allocate(sharing: Session(user: 42), in: tenant)
        let other = session.share()
        // end
        #expect(session.value.user == 42 && other.value.user == 42)
        _ = consume session
        _ = consume other
        try sessions.destroy()
      }
      try tenant.close()
    }

    @Test func table() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "tenant-1")
      let token = "token"
      // snippet
      let sessions = try SlabTable<String, Session>(named: "session")
      try sessions.insert(Session(user: 42), forKey: token, in: tenant)
      let user = sessions.withValue(forKey: token) { $0.user }
      // end
      #expect(user == 42)
      sessions.removeAll()
      try tenant.close()
    }

    /// docs/type-safe-caches.md
    @Test func tableOfTenants() throws {
      struct Session: ~Copyable {
        let user: UInt64
        let tenant: String
      }
      let tenant = try MemoryGroup.root.makeChild(named: "tenant-1")
      let token = "token"
      // snippet
      let sessions = try SlabTable<String, Session>(named: "session")
      try sessions.insert(Session(user: 42, tenant: tenant.name), forKey: token, in: tenant)
      let user = sessions.withValue(forKey: token) { $0.user }
      sessions.removeAll { _, session in session.tenant == "tenant-1" }
      // end
      #expect(user == 42 && sessions.isEmpty)
      try tenant.close()
    }
  }
}
