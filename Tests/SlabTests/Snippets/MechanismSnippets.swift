// SPDX-License-Identifier: Apache-2.0
// The code of the articles about errors, allocators, debugging, raw caches and the current group: see
// SnippetTests.

import Glibc
import Slab
import SlabTestSupport
import Testing

private struct Service {
  let nodes: SlabCache<Node>

  // snippet
  func handle(_ request: [Int], of tenant: MemoryGroup) async throws -> Int {
    try await MemoryGroup.withCurrent(tenant) {
      var values = SlabArray<Int>()  // charged to the tenant
      for value in request { try values.append(value) }
      await Task.yield()
      let node = try nodes.allocate(Node(depth: values.count))  // to the same, on whichever thread
      return node.value.depth
    }
  }
  // end
}

// snippet
func store(_ text: String, for tenant: MemoryGroup) -> (status: Int, reason: String) {
  do throws(SlabError) {
    var body = try SlabBuffer(capacity: text.utf8.count, in: tenant)
    body.append { bytes in for byte in text.utf8 { bytes.append(byte) } }
    return (200, "\(body.byteCount) bytes")
  } catch {
    switch error {
    case .limitReached(let group, let bytes, _):
      return (507, "\(group) has no room for \(bytes) bytes")
    case .groupOffline: return (410, "\(error)")
    case .allocationTooLarge: return (413, "\(error)")
    default: return (500, "\(error)")
    }
  }
}
// end

private func depth(from nodes: SlabCache<Node>, in tenant: MemoryGroup) -> Int {
  // snippet
  guard let node = nodes.allocateIfPossible(in: tenant, { Node(depth: 1) }) else { return 0 }
  return node.value.depth
  // end
}

extension Snippets {
  @Suite struct MechanismSnippets {
    @Test func errors() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-1", max: 8192)
      let nodes = try SlabCache<Node>(named: "guide-node")
      #expect(store("text", for: tenant).status == 200)
      let long = String(repeating: "x", count: 10_000)
      #expect(store(long, for: tenant) == (507, "/guide-1 has no room for 10000 bytes"))
      #expect(store(String(repeating: long, count: 500), for: tenant).status == 507)
      #expect(depth(from: nodes, in: tenant) == 1)
      try tenant.close()
      #expect(store("text", for: tenant).status == 410)
      #expect(depth(from: nodes, in: tenant) == 0)
      try nodes.destroy()
    }

    @Test func sharedAllocator() async {
      // In a process in which nothing has used it.
      await #expect(processExitsWith: .success) {
        // snippet
        var configuration = SlabAllocator.Configuration()
        configuration.addressSpaceBytes = 128 << 30
        configuration.workerLimit = 2
        try SlabAllocator.configureShared(configuration)
        // end
        #expect(throws: SlabError.sharedAllocatorInUse) {
          try SlabAllocator.configureShared(SlabAllocator.Configuration())
        }
      }
    }

    @Test func anotherAllocator() throws {
      var users: [UInt64] = []
      // snippet
      let allocator = try SlabAllocator()
      let sessions = try SlabCache<Session>(named: "session", of: allocator)
      let tenant = try allocator.rootGroup.makeChild(named: "tenant-1")
      do {
        let session = try sessions.allocate(Session(user: 42), in: tenant)
        users.append(session.value.user)
      }
      // SAFETY: no object, no section and no task uses the allocator any more.
      unsafe allocator.unmapEverything()
      // end
      #expect(users == [42])
    }

    @Test func reports() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-2")
      let nodes = try SlabCache<Node>(named: "guide-node")
      let node = try nodes.allocate(Node(depth: 1), in: tenant)
      // snippet
      print(try SlabAllocator.shared.slabinfo(of: tenant))
      let figures = SlabAllocator.shared.statistics
      print("\(figures.groupsDying) dying groups")
      print("\(figures.systemBytes) bytes of the system")
      // end
      #expect(try SlabAllocator.shared.slabinfo(of: tenant).contains("guide-node"))
      #expect(node.consume().depth == 1)
      try tenant.close()
      try nodes.destroy()
    }

    @Test func poison() async {
      let result = await #expect(
        processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
      ) {
        let tenant = try MemoryGroup.root.makeChild(named: "guide-3")
        // snippet
        let suspects = try SlabCache<Node>(named: "suspect", options: [.poison])
        let suspect = unsafe try suspects.allocate(Node(depth: 1), in: tenant).leak()
        _ = unsafe suspects.adopt(suspect)  // ends the object
        // SAFETY: none! This is the bug that is to be found.
        unsafe suspect.pointee.depth = 2
        _ = try suspects.allocate(Node(depth: 3), in: tenant)
        // end
      }
      let line = "slab: allocate: a free object was written to (poison overwritten)\n"
      let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      #expect(text.contains(line))
    }

    @Test func rawCaches() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-4")
      let size = 48
      // snippet
      let messages = try RawSlabCache(named: "message", objectSize: size)
      let message = unsafe try messages.allocate(in: tenant)
      // SAFETY: the object has `size` bytes, is aligned to 8, and is ours.
      unsafe message.storeBytes(of: 7, as: Int.self)
      unsafe messages.free(message)
      // end
      // snippet
      let node = unsafe try messages.allocate(in: tenant)
      // SAFETY: the head is the object's own first 16 bytes, which readers do not look at.
      unsafe SlabAllocator.shared.callAfterGracePeriod(node) { head in
        unsafe SlabAllocator.shared.free(head)
      }
      // end
      RCU.barrier()
      try tenant.close()
      try messages.destroy()
    }

    @Test func objectsThatCKeeps() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-5")
      let sessions = try SlabCache<Session>(named: "session")
      // snippet
      let context = unsafe UnsafeMutableRawPointer(
        try sessions.allocate(Session(user: 42), in: tenant).leak())
      // C keeps the pointer, and passes it to a callback:
      let callback: @convention(c) (UnsafeMutableRawPointer) -> UInt64 = { context in
        // SAFETY: the object that was leaked for this callback, which nobody else uses now.
        unsafe context.assumingMemoryBound(to: Session.self).pointee.user
      }
      let user = unsafe callback(context)
      // When C is done with it:
      // SAFETY: leaked above, and nobody owns it.
      let session = unsafe sessions.adopt(context.assumingMemoryBound(to: Session.self))
      // end
      #expect(user == 42)
      #expect(session.consume().user == 42)
      try tenant.close()
      try sessions.destroy()
    }

    @Test func currentGroup() async throws {
      let nodes = try SlabCache<Node>(named: "guide-node")
      let tenants = try (1...2).map { try MemoryGroup.root.makeChild(named: "guide-\($0)") }
      let tenant = tenants[0]
      #expect(try await Service(nodes: nodes).handle([1, 2, 3], of: tenant) == 3)
      #expect(tenant.peak > 0 && tenants[1].peak == 0)
      var total = 0
      // snippet
      try await withThrowingTaskGroup(of: Int.self) { tasks in
        for tenant in tenants {
          MemoryGroup.withCurrent(tenant) {
            tasks.addTask { try nodes.allocate(Node(depth: 1)).value.depth }
          }
        }
        for try await depth in tasks { total += depth }
      }
      // end
      #expect(total == 2 && tenants[1].peak > 0)
      // snippet
      let task = Task.detached {
        try MemoryGroup.withCurrent(tenant) { try nodes.allocate(Node(depth: 2)).value.depth }
      }
      // end
      #expect(try await task.value == 2)
      for tenant in tenants { try tenant.close() }
      try nodes.destroy()
    }
  }
}
