// SPDX-License-Identifier: Apache-2.0
// The example of the README. What stands between `// snippet` and `// end` is there, word for word:
// see SnippetTests.

import Slab
import SlabTestSupport
import Testing

// snippet
struct Session: ~Copyable {
  let user: UInt64
  var requests = 0
}
// end

extension Snippets {
  @Suite struct ReadmeSnippets {
    @Test func example() async throws {
      // snippet
      let sessions = try SlabCache<Session>(named: "session")
      let tenant = try MemoryGroup.root.makeChild(named: "tenant-1", max: 1 << 20)

      var session = try sessions.allocate(Session(user: 42), in: tenant)  // a Slot: frees itself
      session.value.requests += 1
      print(tenant.usage)  // 4096: one page, and the tenant's alone

      try MemoryGroup.withCurrent(tenant) {  // in tasks as well
        let other = try sessions.allocate(Session(user: 43))
        print(other.value.user)
      }

      try tenant.close()  // returns at once; frees go on working
      // end
      #expect(tenant.usage == 4096)
      #expect(session.consume().requests == 1)
      try await tenant.waitUntilDrained()
      try sessions.destroy()
    }
  }
}
