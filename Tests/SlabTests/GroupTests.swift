// SPDX-License-Identifier: Apache-2.0
// Groups as users see them: the tree, names, endings, what they hold, and what is refused.

import Glibc
import Slab
import SlabTestSupport
import Testing

@Suite(.inTurn) struct GroupTests {
  let allocator: SlabAllocator
  let root: MemoryGroup

  init() throws {
    allocator = try SlabAllocator()
    root = allocator.rootGroup
  }

  @Test func theTree() throws {
    let tenant = try root.makeChild(named: "tenant", max: 1 << 20, high: 1 << 19)
    let request = try tenant.makeChild(named: "request-1")
    #expect(request.path == "/tenant/request-1")
    #expect("\(request)" == "/tenant/request-1")
    #expect(root.path == "/" && root.name == "" && root.parent == nil)
    #expect(request.parent == tenant)
    #expect(tenant.parent == root)
    #expect(tenant.children == [request])
    #expect(tenant.child(named: "request-1") == request)
    #expect(tenant.child(named: "request-2") == nil)
    #expect(tenant.max == 1 << 20 && tenant.high == 1 << 19)
    #expect(tenant.descendants == (online: 1, dying: 0))
    #expect(throws: SlabError.groupNameInUse) { try tenant.makeChild(named: "request-1") }
    try tenant.close()
    #expect(!request.isOnline)
    #expect(tenant.children.isEmpty)
    try tenant.close()
    #expect(throws: SlabError.groupOffline(group: tenant)) { try tenant.makeChild(named: "x") }
  }

  @Test func aGroupThatNobodyHoldsIsClosed() throws {
    var tenant: MemoryGroup? = try root.makeChild(named: "tenant")
    // A child holds its parent.
    var request: MemoryGroup? = try tenant!.makeChild(named: "request")
    tenant = nil
    #expect(root.child(named: "tenant")?.isOnline == true)
    #expect(request?.parent?.name == "tenant")
    request = nil
    #expect(root.children.isEmpty)
    allocator.waitUntilIdle()
    #expect(allocator.statistics.groupsLive == 0)
  }

  @Test(arguments: [
    "", ".", "..", "a/b", "a b", "tab\t", "line\n", "\u{7f}", String(repeating: "x", count: 256),
  ])
  func badNames(name: String) throws {
    #expect(throws: SlabError.invalidName) { try root.makeChild(named: name) }
  }

  @Test(arguments: ["", "a b", "a\n", String(repeating: "x", count: 64)])
  func badNamesOfCaches(name: String) throws {
    #expect(throws: SlabError.invalidName) { try SlabCache<Int>(named: name, of: allocator) }
  }

  /// Blanks, control characters and what shows nothing, beyond ASCII: next line, no-break space, ideographic
  /// space, line separator, zero width space, right-to-left override, a C1 control.
  @Test(arguments: [
    "a\u{85}b", "a\u{a0}b", "a\u{3000}b", "a\u{2028}b", "a\u{200b}b", "a\u{202e}b", "a\u{9b}b",
  ])
  func invisibleNames(name: String) throws {
    #expect(throws: SlabError.invalidName) { try root.makeChild(named: name) }
    #expect(throws: SlabError.invalidName) { try SlabCache<Int>(named: name, of: allocator) }
  }

  @Test func visibleNames() throws {
    for name in ["größe", "名前", "🧱"] {
      #expect(try root.makeChild(named: name).path == "/\(name)")
      #expect(try SlabCache<Int>(named: name, of: allocator).name == name)
    }
    // Byte by byte: these look the same.
    let composed = try root.makeChild(named: "\u{e9}")
    let decomposed = try root.makeChild(named: "e\u{301}")
    #expect(composed != decomposed)
    #expect(root.child(named: "\u{e9}") == composed)
  }

  /// Two libraries in one process know nothing of each other's names, nor of the allocator's own.
  @Test func namesOfTwoLibraries() throws {
    let plain = try SlabCache<Int>(named: "node", of: allocator)
    let parser = try SlabCache<Int>(named: "node", namespace: "parser", of: allocator)
    let index = try RawSlabCache(
      named: "node", namespace: "index", objectSize: 8, of: allocator)
    let table = try SlabTable<Int, Int>(named: "node", namespace: "table", of: allocator)
    let names = [plain.name, parser.name, index.name, table.name]
    #expect(names == ["node", "parser:node", "index:node", "table:node"])
    #expect(throws: SlabError.nameInUse(name: "parser:node")) {
      try SlabCache<Int>(named: "node", namespace: "parser", of: allocator)
    }
    // Another way to the same name is no way around it.
    #expect(throws: SlabError.nameInUse(name: "parser:node")) {
      try SlabCache<Int>(named: "parser:node", of: allocator)
    }
    let long = String(repeating: "x", count: 57)
    for (name, space) in [
      ("slab", "core"), ("core:slab", nil), ("core:new", nil), ("node", ""), ("", "parser"),
      ("node", "a:b"), ("node", "a b"), (long, "parser"),
    ] as [(String, String?)] {
      #expect(throws: SlabError.invalidName) {
        try SlabCache<Int>(named: name, namespace: space, of: allocator)
      }
    }
    let buffer = try SlabBuffer(zeroed: 100, in: root)
    let twins = try [100, 16, 4096].map { try SlabCache<Int>(named: "size-\($0)", of: allocator) }
    let lines = try allocator.slabinfo().split(separator: "\n").dropFirst(2)
    let shown = lines.map { $0.prefix { $0 != " " } }
    #expect(Set(shown).count == shown.count, "a name twice")
    #expect(Set(shown).isSuperset(of: ["core:slab", "core:size-112", "size-16", "index:node"]))
    _ = (buffer.byteCount, twins.count, plain, parser, index, table)
  }

  @Test func badCaches() throws {
    let first = try SlabCache<Int>(named: "first", of: allocator)
    #expect(throws: SlabError.nameInUse(name: "first")) {
      try SlabCache<Int>(named: "first", of: allocator)
    }
    #expect("\(SlabError.nameInUse(name: "first"))" == "a cache named first exists")
    #expect(throws: SlabError.invalidObjectSize) {
      try SlabCache<[40_000 of UInt8]>(named: "large", of: allocator)
    }
    for alignment in [0, -8, 3, 8192] {
      #expect(throws: SlabError.invalidAlignment) {
        try SlabCache<Int>(named: "aligned", alignment: alignment, of: allocator)
      }
    }
    #expect(throws: SlabError.invalidOptions) {
      try SlabCache<Int>(named: "both", options: [.poison, .typeSafe], of: allocator)
    }
    for bit in 4..<8 {
      #expect(throws: SlabError.invalidOptions) {
        try SlabCache<Int>(
          named: "bits", options: SlabCacheOptions(rawValue: 1 << UInt8(bit)), of: allocator)
      }
    }
    let group = try root.makeChild(named: "tenant")
    try group.close()
    #expect(throws: SlabError.groupOffline(group: group)) {
      _ = try first.allocate(1, in: group)
    }
    #expect(throws: SlabError.groupOffline(group: group)) {
      _ = try SlabBuffer(zeroed: 1, in: group)
    }
    #expect(throws: SlabError.rootGroup) { try root.close() }
    #expect(throws: SlabError.rootGroup) { try unsafe root.discard() }
  }

  @Test func theDeepestGroup() throws {
    var group = root
    for _ in 0..<64 { group = try group.makeChild(named: "deeper") }
    #expect(throws: SlabError.groupTooDeep) { try group.makeChild(named: "deeper") }
    #expect(group.path.split(separator: "/").count == 64)
  }

  @Test func statisticsAddUp() throws {
    let cache = try SlabCache<[200 of UInt8]>(named: "object", of: allocator)
    let tenant = try root.makeChild(named: "tenant")
    let child = try tenant.makeChild(named: "child")
    var ended: MemoryGroup? = try tenant.makeChild(named: "ended")
    var slots = SlabArray<Slot<[200 of UInt8]>>(in: root)
    for index in 0..<300 {
      let group = [tenant, child, ended!][index % 3]
      try slots.append(try cache.allocate([200 of UInt8](repeating: 1), in: group))
    }
    ended = nil
    allocator.waitUntilIdle()
    let figures = tenant.statistics
    #expect(figures.current == tenant.usage)
    #expect(
      figures.objects + figures.freeInSlabs + figures.inherited + figures.unused + figures.below
        == figures.current)
    #expect(figures.below == child.usage)
    #expect(figures.unused >= 0 && figures.unused < 8192)
    let own = figures.caches.filter { !$0.isInherited }
    let line = try #require(own.first)
    #expect(own.count == 1 && line.name == "object")
    #expect(line.objectsInUse == 100 && line.objectSize == 200)
    #expect(figures.objects == 100 * 200)
    #expect(figures.caches.contains { $0.isInherited && $0.objectsInUse == 100 })
  }

  @Test func discardNeedsNoLookAtTheObjects() async throws {
    let cache = try SlabCache<[64 of UInt8]>(named: "node", of: allocator)
    let request = try root.makeChild(named: "request")
    for _ in 0..<10_000 {
      _ = unsafe try cache.allocate([64 of UInt8](repeating: 1), in: request).leak()
    }
    #expect(request.usage >= 640_000)
    // SAFETY: the objects were leaked, and nobody has them any more.
    unsafe try request.discard()
    try await request.waitUntilDrained()
    #expect(request.usage == 0)
    try cache.destroy()
  }
}

/// What ends the process, by the line that it writes.
enum BrokenUse: String, CaseIterable, Codable, Sendable {
  case slotOfAnotherCache, notAnObject, insideAnObject, adoptedTwice, groupOfAnotherAllocator
  case slabinfoOfAnotherAllocator
  case indexOutOfRange, negativeIndex, removeFromEmpty, appendBeyondCapacity, appendLessThanNothing

  var line: String {
    switch self {
    case .slotOfAnotherCache: "slab: adopt: object of another cache"
    case .notAnObject: "slab: adopt: not an object of an allocator"
    case .insideAnObject: "slab: adopt: not the start of an object"
    case .adoptedTwice: "slab: free: object is free already (double free)"
    case .groupOfAnotherAllocator: "slab: allocate: a group of another allocator"
    case .slabinfoOfAnotherAllocator: "slab: slabinfo: a group of another allocator"
    case .indexOutOfRange, .negativeIndex, .removeFromEmpty: "slab: array: index out of range"
    case .appendBeyondCapacity, .appendLessThanNothing: "slab: array: appended beyond its capacity"
    }
  }

  func commit() throws {
    let first = try SlabCache<[64 of UInt8]>(named: "first")
    let second = try SlabCache<[64 of UInt8]>(named: "second")
    let object = unsafe try first.allocate([64 of UInt8](repeating: 0), in: .root).leak()
    var array = SlabArray<Int>()
    switch self {
    case .slotOfAnotherCache: _ = unsafe second.adopt(object)
    case .notAnObject:
      let foreign = UnsafeMutablePointer<[64 of UInt8]>.allocate(capacity: 1)
      _ = unsafe first.adopt(foreign)
    case .insideAnObject:
      let inside = unsafe UnsafeMutableRawPointer(object) + 16
      _ = unsafe first.adopt(inside.assumingMemoryBound(to: [64 of UInt8].self))
    case .adoptedTwice:
      let one = unsafe first.adopt(object)
      let other = unsafe first.adopt(object)
      _ = (consume one).consume()
      _ = (consume other).consume()
    case .groupOfAnotherAllocator:
      let allocator = try SlabAllocator()
      _ = try first.allocate([64 of UInt8](repeating: 0), in: allocator.rootGroup)
    case .slabinfoOfAnotherAllocator:
      _ = try SlabAllocator().slabinfo(of: .root)
    case .indexOutOfRange:
      try array.append(1)
      print(array[1])
    case .negativeIndex: print(array[-1])
    case .removeFromEmpty: array.remove(at: 0)
    case .appendBeyondCapacity: array.append(addingCount: 1) { _ in }
    case .appendLessThanNothing: array.append(addingCount: -1) { _ in }
    }
  }
}

@Suite(.inTurn) struct BrokenUseTests {
  @Test(arguments: BrokenUse.allCases) func endsTheProcess(_ use: BrokenUse) async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) { [use] in
      _ = signal(SIGABRT, SIG_DFL)
      try use.commit()
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text == use.line + "\n")
  }
}
