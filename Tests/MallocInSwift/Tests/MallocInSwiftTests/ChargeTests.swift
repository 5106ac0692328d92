// SPDX-License-Identifier: Apache-2.0
// Whom allocations of Swift's runtime, of Foundation and of C are charged to.

import CAllocations
import Dispatch
import Foundation
import Slab
import Testing

@Suite struct ChargeTests {
  /// What a scope makes is charged to its group, and uncharged when it goes, wherever. Twice: the first time the runtime makes
  /// the types that are used, which stay.
  @Test func whatAScopeMakes() async throws {
    try await makeAndDrop(in: .forTest("types"), isFirst: true)
    try await makeAndDrop(in: .forTest())
  }

  private func makeAndDrop(in group: MemoryGroup, isFirst: Bool = false) async throws {
    func objects() -> Int { group.statistics.objects }
    func isEmptied() async -> Bool { isFirst ? true : await group.isEmptied() }
    var sessions: [Session] = []
    sessions.reserveCapacity(1000)
    MemoryGroup.withCurrent(group) { for _ in 0..<1000 { sessions.append(Session()) } }
    #expect(objects() >= 1000 * (100 + 32 + 24) && objects() < 1000 * 320)
    sessions = []
    #expect(await isEmptied())

    var text = ""
    MemoryGroup.withCurrent(group) { for _ in 0..<10_000 { text += "ten bytes." } }
    #expect(objects() >= 100_000)
    text = ""
    #expect(await isEmptied())

    var table: [Int: String] = [:]
    MemoryGroup.withCurrent(group) {
      for index in 0..<1000 { table[index] = "an entry of the dictionary, \(index)" }
    }
    #expect(objects() >= 1000 * (24 + 32 + 28))
    table = [:]
    #expect(await isEmptied())

    var data = Data()
    MemoryGroup.withCurrent(group) { data = Data(count: 300_000) }
    #expect(objects() >= 300_000 && data.count == 300_000)
    data = Data()
    #expect(await isEmptied())

    let block = MemoryGroup.withCurrent(group) { c_allocate(50_000) }
    #expect(objects() >= 50_000)
    c_free(block)
    #expect(await isEmptied())
  }

  /// An actor runs the jobs of four tenants: each is charged for its own.
  @Test(arguments: [MemoryPolicy.isolated, .shared])
  func aSharedActor(memory: MemoryPolicy) async throws {
    let store = Store()
    let groups = try (0..<4).map { try MemoryGroup.forTest("\(memory)\($0)", memory: memory) }
    await withTaskGroup { tasks in
      for (tenant, group) in groups.enumerated() {
        tasks.addTask {
          await MemoryGroup.withCurrent(group) {
            for _ in 0..<2000 { await store.keep(for: tenant) }
          }
        }
      }
    }
    for group in groups {
      // Beside the payload: headers, and here and there a table of the actor's that grew.
      let objects = group.statistics.objects
      #expect(objects >= 2000 * 156 && objects < 2000 * 320, "\(group): \(objects)")
    }
    await store.forget()
    for group in groups { #expect(await group.isEmptied(but: 64 << 10)) }
  }

  /// Children of a task inherit its group, and so do tasks that it makes; detached tasks do not.
  @Test func tasks() async throws {
    let group = try MemoryGroup.forTest()
    let parts = await MemoryGroup.withCurrent(group) {
      async let one = Session(count: 100_000)
      let two = Task { Session(count: 100_000) }
      let three = await withTaskGroup(of: Session.self) { children in
        for _ in 0..<3 { children.addTask { Session(count: 100_000) } }
        return await children.reduce(into: []) { $0.append($1) }
      }
      return await [one, two.value] + three
    }
    #expect(group.statistics.objects >= 500_000)
    let before = group.statistics.objects
    let detached = await MemoryGroup.withCurrent(group) {
      await Task.detached { Session(count: 1_000_000) }.value
    }
    #expect(group.statistics.objects < before + 50_000)
    #expect(parts.count == 5 && detached.bytes.count == 1_000_000)
    withExtendedLifetime(parts) {}
  }

  /// Blocks of Dispatch and threads have the group that they say, and no other.
  @Test func queuesAndThreads() async throws {
    let group = try MemoryGroup.forTest("queues")
    let queue = DispatchQueue(label: "queue")
    let (without, with) = await MemoryGroup.withCurrent(group) {
      await withCheckedContinuation { continuation in
        queue.async {
          let without = Session(count: 200_000)
          let used = group.statistics.objects
          let with = MemoryGroup.withCurrent(group) { Session(count: 200_000) }
          continuation.resume(returning: ((without, used), with))
        }
      }
    }
    #expect(without.1 < 50_000)
    #expect(group.statistics.objects >= 200_000)
    // The group that a thread has entered by slab.h.
    let before = group.statistics.objects
    let block = unsafe c_allocate_on_thread("/queues", 70_000)
    #expect(block != 0 && group.statistics.objects >= before + 70_000)
    c_free(block)
    withExtendedLifetime((without, with)) {}
  }

  /// One allocator: what is configured later is refused, and groups and objects of both kinds are one group's.
  @Test func oneAllocator() throws {
    #expect(throws: SlabError.sharedAllocatorInUse) {
      try SlabAllocator.configureShared(.init())
    }
    let group = try MemoryGroup.forTest()
    let buffer = try SlabBuffer(capacity: 10_000, in: group)
    let before = group.statistics.objects
    let session = MemoryGroup.withCurrent(group) { Session() }
    #expect(before >= 10_000 && group.statistics.objects > before)
    withExtendedLifetime(session) {}
    _ = consume buffer
  }

  /// A group of another allocator is charged for nothing of malloc's.
  @Test func anotherAllocator() throws {
    let allocator = try SlabAllocator()
    let group = try allocator.rootGroup.makeChild(named: "elsewhere")
    let sessions = MemoryGroup.withCurrent(group) { (0..<100).map { _ in Session() } }
    #expect(group.statistics.objects == 0 && sessions.count == 100)
  }
}

private actor Store {
  private var sessions: [[Session]] = [[], [], [], []]
  func keep(for tenant: Int) { sessions[tenant].append(Session()) }
  func forget() { sessions = [[], [], [], []] }
}
