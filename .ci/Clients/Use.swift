// SPDX-License-Identifier: Apache-2.0
import Slab

struct Session: ~Copyable {
  let user: UInt64
  var requests = 0
}

/// What a client does with the library, in short; 42 if all went well.
func use(_ number: Int32) -> Int32 {
  do {
    let sessions = try SlabCache<Session>(named: "session-\(number)", options: .noMerge)
    let tenant = try MemoryGroup.root.makeChild(
      named: "tenant-\(number)", max: 1 << 20, endings: .reparent)
    // Types that the core has as well: their members have to be visible too.
    guard SlabAllocator.Configuration().endings.rawValue == "reparent", tenant.events.oom == 0,
      PerCPUMode.allCases.contains(SlabAllocator.shared.statistics.perCPUMode)
    else { return 2 }
    var session = try sessions.allocate(Session(user: 42), in: tenant)
    session.value.requests += 1
    let other = try MemoryGroup.withCurrent(tenant) {
      try sessions.allocate(Session(user: 43)).consume().user
    }
    var array = SlabArray<UInt64>(in: tenant)
    try array.append(other)
    try tenant.close()
    return Int32(session.value.requests) + (array[0] == 43 ? 41 : 0)
  } catch {
    print(error)
    return 1
  }
}
