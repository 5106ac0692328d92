// SPDX-License-Identifier: Apache-2.0
// Which group an error names, and limits that are set as a whole.

import Slab
import SlabTestSupport
import Testing

@Suite(.inTurn) struct ErrorTests {
  let allocator: SlabAllocator
  let root: MemoryGroup

  init() throws {
    allocator = try SlabAllocator()
    root = allocator.rootGroup
  }

  /// The group that refused is above the one that was asked, and the error has its limit.
  @Test func aRefusalNamesTheGroupWhoseLimitItWas() throws {
    let plan = try root.makeChild(named: "plan", max: 0)
    let tenant = try plan.makeChild(named: "tenant").makeChild(named: "request")
    let cache = try SlabCache<Int>(named: "int", of: allocator)
    let refused = SlabError.limitReached(group: plan, bytes: 8, maxBytes: 0)
    #expect(throws: refused) { _ = try cache.allocate(1, in: tenant) }
    #expect("\(refused)" == "group /plan: no room for 8 bytes within the limit of 0 bytes")
    #expect(throws: SlabError.limitReached(group: plan, bytes: 100, maxBytes: 0)) {
      _ = try SlabBuffer(zeroed: 100, in: tenant)
    }
    #expect(throws: refused) {
      var slots = SlabArray<Slot<Int>>(in: root)
      try slots.reserveCapacity(10)
      try slots.append(addingCount: 10) { span throws(SlabError) in
        try cache.allocate(filling: &span, in: tenant) { $0 }
      }
    }
  }

  /// An allocation that names no group names the current one in its error.
  @Test func aRefusalNamesTheCurrentGroup() throws {
    let cache = try SlabCache<Int>(named: "int", of: allocator)
    let tenant = try root.makeChild(named: "tenant", max: 0)
    try MemoryGroup.withCurrent(tenant) {
      #expect(throws: SlabError.limitReached(group: tenant, bytes: 8, maxBytes: 0)) {
        _ = try cache.allocate(1)
      }
      try tenant.close()
      #expect(throws: SlabError.groupOffline(group: tenant)) { _ = try cache.allocate(1) }
    }
  }

  /// An error holds the group that it names, so the path is there for as long as it may be asked for.
  @Test func anErrorHoldsItsGroup() throws {
    var error: SlabError? = try {
      let tenant = try root.makeChild(named: "tenant", max: 0)
      do throws(SlabError) {
        _ = try SlabBuffer(zeroed: 1, in: tenant)
        return nil
      } catch { return error }
    }()
    #expect(root.child(named: "tenant")?.isOnline == true)
    #expect("\(try #require(error))".contains("/tenant"))
    error = nil
    #expect(root.child(named: "tenant") == nil)
  }

  @Test func limitsAreReadAndSetAsAWhole() throws {
    let tenant = try root.makeChild(named: "tenant", max: 1 << 20)
    #expect(tenant.limits == MemoryGroup.Limits(max: 1 << 20))
    let limits = MemoryGroup.Limits(max: 1 << 16, high: 1 << 15, low: 1 << 12)
    try tenant.setLimits(limits)
    #expect(tenant.limits == limits)
    #expect(tenant.max == 1 << 16 && tenant.high == 1 << 15 && tenant.low == 1 << 12)
    try tenant.setLimits(MemoryGroup.Limits())
    #expect(tenant.max == nil && tenant.high == nil && tenant.low == 0)
  }

  /// One limit that cannot be leaves all as they are.
  @Test func limitsThatCannotBeChangeNothing() throws {
    let tenant = try root.makeChild(named: "tenant", max: 1 << 20, high: 1 << 19)
    let before = tenant.limits
    for limits in [
      MemoryGroup.Limits(max: -1, low: 1), MemoryGroup.Limits(high: -1, low: 1),
      MemoryGroup.Limits(max: 1, high: 1, low: -1),
    ] {
      #expect(throws: SlabError.invalidLimit) { try tenant.setLimits(limits) }
      #expect(tenant.limits == before)
    }
    #expect(throws: SlabError.rootGroup) { try root.setLimits(MemoryGroup.Limits(max: 1)) }
    #expect(root.limits == MemoryGroup.Limits())
  }

  /// False means failure, and nothing is made that nobody could keep.
  @Test func appendIfPossibleMakesNothingInVain() throws {
    struct Failure: Error {}
    let poor = try root.makeChild(named: "poor", max: 0)
    var array = SlabArray<Int>(in: poor)
    #expect(
      !array.appendIfPossible {
        Issue.record("made in vain")
        return 1
      })
    #expect(array.count == 0)
    var other = SlabArray<Int>(in: root)
    #expect(other.appendIfPossible { 1 })
    #expect(throws: Failure.self) {
      _ = try other.appendIfPossible { () throws(Failure) -> Int in throw Failure() }
    }
    #expect(other.count == 1 && other[0] == 1)
  }
}
