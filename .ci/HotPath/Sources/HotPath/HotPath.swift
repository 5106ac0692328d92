// SPDX-License-Identifier: Apache-2.0
// Runs each path often enough that its cache is warm, and says that it did.

import Slab

@main
struct HotPath {
  static func main() throws {
    let tenant = try MemoryGroup.root.makeChild(named: "tenant")
    let sessions = try SlabCache<Session>(named: "session")
    let shared = try SlabCache<SharedObject<Session>>(named: "shared-session")
    var session = Session()
    session.words[1] = 1
    var sum: UInt = 0
    for _ in 0..<1000 {
      sum &+= try slotInGroup(sessions, tenant, session)
      sum &+= slotIfPossible(sessions, tenant, session)
      sum &+= try sharedSlot(shared, tenant, session)
      sum &+= readSection(session)
      sum &+= try MemoryGroup.withCurrent(tenant) { () throws(SlabError) in
        try slotInCurrentGroup(sessions, session)
      }
    }
    sum &+= try runArrays(tenant, session)
    try tenant.close()
    print("sum \(sum)")
    try Operations.run()
  }

  static func runArrays(_ tenant: MemoryGroup, _ session: Session) throws(SlabError) -> UInt {
    var numbers = SlabArray<UInt>(in: tenant)
    var kept = SlabArray<Session>(in: tenant)
    try kept.append(session)
    for number in 0..<1000 as Range<UInt> {
      try arrayAppend(&numbers, number)
      arrayChange(&kept)
    }
    return arraySum(numbers) &+ kept[0].words[1]
  }
}
