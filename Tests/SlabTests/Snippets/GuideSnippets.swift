// SPDX-License-Identifier: Apache-2.0
// The code of the articles, compiled and run. What stands between `// snippet` and `// end` is there,
// word for word: see SnippetTests.

import Slab
import SlabTestSupport
import Synchronization
import Testing

struct Node: ~Copyable {
  var depth: Int
}

struct Pool: ~Copyable {
  let size: Int
}

// snippet
struct Link: ~Copyable {
  let number: Int
  var next: Slot<Link>?
}
// end

struct Entry: ~Copyable {
  let number: Int
  let payload = [64 of UInt64](repeating: 0)
}

// snippet
final class Recent: Shrinker {
  private let entries = Mutex(SlabArray<Slot<Entry>>(in: .root))

  func add(_ entry: consuming Slot<Entry>) {
    var entry: Slot<Entry>? = entry
    entries.withLock { entries in
      _ = entries.appendIfPossible { entry.take()! }
    }
  }

  func countObjects() -> Int { entries.withLockIfAvailable { $0.count } ?? 0 }

  func scanObjects(_ count: Int) -> Int? {
    entries.withLockIfAvailable { entries in
      let freed = min(count, entries.count)
      for _ in 0..<freed { entries.remove(at: 0) }
      return freed
    }
  }
}
// end

// snippet
struct Tenant {
  let group: MemoryGroup
  let results: Recent
  /// Holds the group, but not the shrinker.
  private let registration: ShrinkerRegistration

  init(named name: String) throws(SlabError) {
    group = try MemoryGroup.root.makeChild(named: name, max: 1 << 20)
    results = Recent()
    registration = try group.register(results)
  }
}
// end

extension Snippets {
  @Suite struct GuideSnippets {
    @Test func gettingStarted() async throws {
      // snippet
      let sessions = try SlabCache<Session>(named: "session")
      // end
      let tenant = try MemoryGroup.root.makeChild(named: "guide-1", max: 1 << 20)
      // snippet
      var session = try sessions.allocate(Session(user: 42), in: tenant)
      session.value.requests += 1
      // end
      var users: [UInt64] = []
      // snippet
      try MemoryGroup.withCurrent(tenant) {
        let other = try sessions.allocate(Session(user: 43))
        users.append(other.value.user)
      }
      // end
      #expect(users == [43])
      let poor = try tenant.makeChild(named: "poor", max: 0)
      var pages = SlabArray<[4096 of UInt8]>(in: poor)
      var refusal = ""
      // snippet
      do throws(SlabError) {
        try pages.append([4096 of UInt8](repeating: 0))
      } catch {
        refusal = "\(error)"
      }
      // end
      #expect(refusal.hasPrefix("group /guide-1/poor: "))
      // snippet
      try tenant.close()
      _ = consume session
      try await tenant.waitUntilDrained()
      // end
      #expect(tenant.usage == 0)
      try await poor.waitUntilDrained()
      try sessions.destroy()
    }

    @Test func tenant() throws {
      // snippet
      let tenant = try MemoryGroup.root.makeChild(named: "tenant-1", max: 1 << 20)
      // end
      #expect(tenant.path == "/tenant-1")
      try tenant.close()
    }

    @Test func typedCaches() async throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-2")
      let nodes = try SlabCache<Node>(named: "guide-node")
      // snippet
      let parsed = try nodes.allocate(Node(depth: 1), in: tenant)
      let depth = parsed.value.depth
      let node = parsed.consume()  // moved out; the memory is free
      // end
      #expect(depth == node.depth)
      let links = try SlabCache<Link>(named: "guide-link")
      do {
        let last = try links.allocate(Link(number: 2, next: nil), in: tenant)
        let first = try links.allocate(Link(number: 1, next: last), in: tenant)
        #expect(first.value.number == 1)
      }
      do {
        // snippet
        let pool = try SlabCache<SharedObject<Pool>>(named: "pool")
        let first = try pool.allocate(sharing: Pool(size: 4), in: tenant)
        let second = first.share()
        // end
        #expect(second.value.size == 4)
        _ = consume first
        _ = consume second
        try pool.destroy()
      }
      // snippet
      let maybe = nodes.allocateIfPossible(in: tenant) { Node(depth: 2) }
      // end
      #expect(maybe?.consume().depth == 2)
      // snippet
      var batch = SlabArray<Slot<Node>>(in: tenant)
      try batch.reserveCapacity(100)
      try batch.append(addingCount: 100) { span throws(SlabError) in
        try nodes.allocate(filling: &span, in: tenant) { Node(depth: $0) }
      }
      // end
      #expect(batch.count == 100 && batch[99].value.depth == 99)
      batch.removeAll()
      _ = consume batch
      try tenant.close()
      try await tenant.waitUntilDrained()
      try links.destroy()
      try nodes.destroy()
    }

    @Test func storage() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-3")
      // snippet
      var samples = SlabArray<Double>(in: tenant)
      try samples.append(copying: [1, 2, 3])
      samples[0] = 4
      let sum = samples.indices.reduce(0) { $0 + samples[$1] }
      // end
      #expect(sum == 9)
      // snippet
      var reply = try SlabBuffer(capacity: 1016, in: tenant)
      reply.append { bytes in for byte in "ok".utf8 { bytes.append(byte) } }
      // end
      #expect(reply.byteCount == 2)
      try tenant.close()
    }

    @Test func groups() async throws {
      // snippet
      let plan = try MemoryGroup.root.makeChild(named: "plan-basic", max: 64 << 20)
      let customer = try plan.makeChild(named: "customer-7", max: 16 << 20, high: 12 << 20)
      // end
      // snippet
      try customer.setMax(8 << 20)
      let freed = customer.reclaim(bytes: 1 << 20)
      // end
      // snippet
      var limits = customer.limits
      limits.high = 6 << 20
      try customer.setLimits(limits)
      // end
      // snippet
      let session = try customer.makeChild(named: "session-1", memory: .shared)
      // end
      #expect(session.memory == .shared)
      #expect(freed == 0)
      var names: [String] = []
      let buffer = try SlabBuffer(zeroed: 100, in: customer)
      // snippet
      let figures = customer.statistics
      for cache in figures.caches { names.append(cache.name) }
      let parts =
        figures.objects + figures.freeInSlabs + figures.inherited + figures.unused + figures.below
      // end
      #expect(parts == customer.usage && names == ["core:size-112"] && buffer.byteCount == 100)
      let alarm = Task {
        var alarms: [Int] = []
        // snippet
        for await events in customer.eventUpdates where events.oom > 0 {
          alarms.append(events.oom)
          break
        }
        // end
        return alarms
      }
      let isOver = Mutex(false)
      async let alarms = {
        let alarms = await alarm.value
        isOver.withLock { $0 = true }
        return alarms
      }()
      while !isOver.withLock({ $0 }) {
        var held = SlabArray<SlabBuffer>(in: .root)
        while let buffer = try? SlabBuffer(zeroed: 1 << 20, in: customer) {
          try held.append(buffer)
        }
        #expect(held.count == 7)
        await Task.yield()
      }
      #expect(await alarms.count == 1)
      try plan.close()
    }

    @Test func endings() async throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-4")
      let nodes = try SlabCache<Node>(named: "guide-node-2")
      // snippet
      let request = try tenant.makeChild(named: "request-1")
      for depth in 0..<1000 {
        _ = unsafe try nodes.allocate(Node(depth: depth), in: request).leak()
      }
      // SAFETY: the nodes were leaked, and nobody has them any more.
      unsafe try request.discard()
      // end
      try await request.waitUntilDrained()
      #expect(request.usage == 0)
      try tenant.close()
      try nodes.destroy()
    }

    @Test func handlesOfATenant() throws {
      let cache = try SlabCache<Entry>(named: "guide-entry")
      let tenant = try Tenant(named: "guide-6")
      for number in 0..<10_000 {
        tenant.results.add(try cache.allocate(Entry(number: number), in: tenant.group))
      }
      #expect(tenant.results.countObjects() > 100 && tenant.group.isOnline)
      try tenant.group.close()
    }

    @Test func handlesInAFunction() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-7", max: 1 << 20)
      let cache = try SlabCache<Entry>(named: "guide-entry")
      // snippet
      let recent = Recent()
      let registration = try tenant.register(recent)
      defer { withExtendedLifetime((recent, registration)) {} }
      // end
      for number in 0..<10_000 {
        recent.add(try cache.allocate(Entry(number: number), in: tenant))
      }
      #expect(recent.countObjects() > 100)
      try tenant.close()
    }

    @Test func shrinkers() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-5", max: 1 << 20)
      let cache = try SlabCache<Entry>(named: "guide-entry")
      // snippet
      let recent = Recent()
      let registration = try tenant.register(recent)
      for number in 0..<10_000 {
        recent.add(try cache.allocate(Entry(number: number), in: tenant))
      }
      // end
      #expect(recent.countObjects() > 100)
      #expect(tenant.peak <= 1 << 20)
      withExtendedLifetime((registration, recent)) {}
      try tenant.close()
    }
  }
}
