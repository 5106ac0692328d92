// The example of the README, word for word, and what it says about itself.

import Slab
import Testing

struct Session: ~Copyable {
  let user: UInt64
  var requests = 0
}

@Suite struct ReadmeTests {
  @Test func example() throws {
    let sessions = try SlabCache<Session>(named: "session")

    let tenant = try MemoryGroup.root.makeChild(named: "tenant-1", max: 1 << 20)
    var session = try sessions.allocate(Session(user: 42), in: tenant)
    session.value.requests += 1
    #expect(tenant.current == 4096)

    let second = try MemoryGroup.with(tenant) {
      try sessions.allocate(Session(user: 43))
    }
    #expect(second.value.user == 43)
    #expect(tenant.current == 4096)
    #expect(session.take().requests == 1)
  }
}
