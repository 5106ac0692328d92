// SPDX-License-Identifier: Apache-2.0
// Which group is charged by an allocation that names none: for each way in which code gets from one place
// to another, what holds. The groups are of the shared allocator, whose tests run side by side: so
// each looks at groups of its own only.

import Dispatch
import Slab
import SlabTestSupport
import Synchronization
import Testing

private let objects = try! SlabCache<Int>(named: "current-group-test")

/// Allocates an object here, and says which group is charged for it, of those that the test has.
private func chargedGroup(of groups: [MemoryGroup]) throws -> MemoryGroup? {
  // Exhausts what is in the groups' slabs: one slab more shows which group pays.
  let before = groups.map(\.usage)
  var slots = SlabArray<Slot<Int>>(in: .root)
  while true {
    try slots.append(try objects.allocate(1))
    for (group, bytes) in zip(groups, before) where group.usage > bytes { return group }
    if slots.count > 10_000 { return nil }
  }
}

@Suite(.inTurn) struct CurrentGroupTests {
  let groups: [MemoryGroup]

  init() throws {
    let serial = Self.serial.add(1, ordering: .relaxed).newValue
    groups = try (1...2).map { try MemoryGroup.root.makeChild(named: "current-\(serial)-\($0)") }
  }

  private static let serial = Atomic(0)

  private func expect(
    _ group: MemoryGroup?, at location: SourceLocation = #_sourceLocation
  ) throws {
    #expect(try chargedGroup(of: groups) == group, sourceLocation: location)
    #expect(MemoryGroup.current == group ?? .root, sourceLocation: location)
  }

  @Test func withoutAScopeItIsTheRootGroup() throws { try expect(nil) }

  @Test func scopesNestAndEnd() throws {
    try MemoryGroup.withCurrent(groups[0]) {
      try expect(groups[0])
      try MemoryGroup.withCurrent(groups[1]) { try expect(groups[1]) }
      try MemoryGroup.withCurrent(.root) { try expect(nil) }
      try expect(groups[0])
    }
    try expect(nil)
  }

  @Test func scopesEndWithAnError() throws {
    struct Failure: Error {}
    #expect(throws: Failure.self) {
      try MemoryGroup.withCurrent(groups[0]) { () throws(Failure) -> Void in throw Failure() }
    }
    try expect(nil)
  }

  @Test func aTaskKeepsItAcrossSuspensions() async throws {
    let kept = Kept()
    try await MemoryGroup.withCurrent(groups[0]) {
      for _ in 0..<1000 {
        await Task.yield()
        try kept.allocate()
        #expect(MemoryGroup.current == groups[0])
      }
      try expect(groups[0])
    }
    #expect(kept.count(in: groups[0]) == 1000)
    try expect(nil)
  }

  @Test func childTasksInheritIt() async throws {
    try await MemoryGroup.withCurrent(groups[0]) {
      async let child: Void = expect(groups[0])
      try await child
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        for _ in 0..<4 { tasks.addTask { try expect(groups[0]) } }
        try await tasks.waitForAll()
      }
    }
  }

  @Test func unstructuredTasksInheritIt() async throws {
    let task = MemoryGroup.withCurrent(groups[0]) { Task { try expect(groups[0]) } }
    try await task.value
  }

  /// The task outlives the scope, and every other handle of the group.
  @Test func aTaskThatOutlivesTheScopeKeepsTheGroup() async throws {
    let start = Gate()
    var group: MemoryGroup? = try MemoryGroup.root.makeChild(named: "outlived-\(groups[0].name)")
    let task = MemoryGroup.withCurrent(group!) {
      Task {
        await start.wait()
        let slot = try objects.allocate(2)
        #expect(MemoryGroup.current.name.hasPrefix("outlived"))
        return slot.value + MemoryGroup.current.usage
      }
    }
    group = nil
    await start.open()
    #expect(try await task.value == 2 + 4096)
  }

  @Test func detachedTasksDoNot() async throws {
    try await MemoryGroup.withCurrent(groups[0]) {
      try await Task.detached { try expect(nil) }.value
      // They are given it.
      try await Task.detached {
        try MemoryGroup.withCurrent(groups[0]) { try expect(groups[0]) }
      }.value
    }
  }

  /// The place where whatever hangs on threads or executors goes wrong: one thread runs the jobs of
  /// many tenants for the actor.
  @Test func aSharedActorAllocatesForWhoeverCallsIt() async throws {
    let actor = SharedActor()
    let tenants = try (0..<4).map { try groups[0].makeChild(named: "tenant-\($0)") }
    let rounds = isSanitized ? 500 : 2000
    await withTaskGroup(of: Void.self) { tasks in
      for task in 0..<12 {
        // Every third task is nobody's.
        let tenant = task % 3 == 2 ? MemoryGroup.root : tenants[task % 4]
        tasks.addTask {
          await MemoryGroup.withCurrent(tenant) {
            for round in 0..<rounds {
              do { try await actor.allocate(suspends: round % 8 == 0) } catch {
                Issue.record("\(error)")
              }
            }
          }
        }
      }
    }
    // Two of the twelve tasks for each tenant, and two objects each time.
    for tenant in tenants { #expect(actor.kept.count(in: tenant) == 2 * rounds * 2) }
    #expect(actor.kept.count == 12 * rounds * 2)
  }

  @Test func continuationsResumedElsewhereDoNotMatter() async throws {
    try await MemoryGroup.withCurrent(groups[0]) {
      await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
          MemoryGroup.withCurrent(groups[1]) { continuation.resume() }
        }
      }
      try expect(groups[0])
    }
  }

  @Test func blocksForDispatchDoNotInheritIt() async throws {
    let result = await MemoryGroup.withCurrent(groups[0]) {
      await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
          continuation.resume(
            returning: Result {
              try expect(nil)
              try MemoryGroup.withCurrent(groups[1]) { try expect(groups[1]) }
              try expect(nil)
            })
        }
      }
    }
    try result.get()
  }

  /// A synchronous body on the same thread sees it: Dispatch runs it in place.
  @Test func aSynchronousBlockSeesIt() throws {
    try MemoryGroup.withCurrent(groups[0]) {
      try DispatchQueue(label: "here").sync { try expect(groups[0]) }
    }
  }

  @Test func cachesOfAnotherAllocatorAreNotCharged() throws {
    let allocator = try SlabAllocator()
    // SAFETY: nothing of the allocator is used after this scope but handles.
    defer { unsafe allocator.unmapEverything() }
    let cache = try SlabCache<Int>(named: "elsewhere", of: allocator)
    let other = try allocator.rootGroup.makeChild(named: "elsewhere")
    try MemoryGroup.withCurrent(groups[0]) {
      let three = try cache.allocate(3).consume()
      #expect(three == 3)
      #expect(groups[0].usage == 0)
    }
    try MemoryGroup.withCurrent(other) {
      let slot = try cache.allocate(4)
      #expect(slot.value == 4)
      #expect(other.usage == 4096)
      // Nor is a cache of ours charged to a group of the other one.
      let five = try objects.allocate(5).consume()
      #expect(five == 5)
      #expect(other.usage == 4096)
    }
  }
}

/// Allocates for its callers, and gives way between two objects.
private actor SharedActor {
  nonisolated let kept = Kept()

  func allocate(suspends: Bool) async throws(SlabError) {
    try kept.allocate()
    if suspends { await Task.yield() }
    try kept.allocate()
  }
}
