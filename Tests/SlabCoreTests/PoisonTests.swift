// SPDX-License-Identifier: Apache-2.0
// Poisoned caches: what is free is filled, and a write to it is found.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

enum WriteAfterFree: CaseIterable, Codable, Sendable {
  case firstByte, lastByte, neverAllocated, inBulk
  /// Nobody is handed the object any more: its slab goes back.
  case discarded, closed, shrunk, destroyed
  case validated

  func commit() throws {
    let allocator = try Allocator()
    let root = try unsafe allocator.makeCache("poisoned", size: 100, options: .poison)
    let group = try allocator.makeGroup("tenant")
    let object = try allocator.allocate(from: root, in: group)
    let place = UInt(root.geometry.placeBytes)
    allocator.free(object)
    switch self {
    case .firstByte, .inBulk, .discarded, .closed, .shrunk, .destroyed, .validated:
      Words(at: object)[0] = 1
    case .lastByte: Words(at: object + place - 8)[0] &= ~0 >> 8
    case .neverAllocated: Words(at: object + place)[1] = 0
    }
    switch self {
    case .discarded: try allocator.discard(group)
    case .closed: try allocator.close(group)
    case .shrunk: group.giveBackIdle()
    case .destroyed: try allocator.destroy(root)
    case .validated: allocator.validate(root)
    default: try commitByAllocating(from: root, in: group, of: allocator)
    }
    allocator.waitUntilIdle()
  }

  private func commitByAllocating(
    from root: Pointer<RootCache>, in group: Pointer<Group>, of allocator: Allocator
  ) throws {
    if self == .inBulk {
      _ = try group.makeOrFindChild(of: root).allocateBulk(3)
    } else {
      for _ in 0..<3 { _ = try allocator.allocate(from: root, in: group) }
    }
  }
}

@Suite(.inTurn) struct PoisonTests {
  @Test func freeObjectsAreFilled() throws {
    try withAllocator { allocator in
      let root = try unsafe allocator.makeCache("poisoned", size: 24, options: .poison)
      let group = try allocator.makeGroup("tenant")
      var objects: [UInt] = []
      // Far more than would open a sheaf.
      for _ in 0..<500 {
        let object = try allocator.allocate(from: root, in: group)
        #expect(Words(at: object)[0] == 0x6b6b_6b6b_6b6b_6b6b)
        #expect(Words(at: object)[2] == 0xa56b_6b6b_6b6b_6b6b)
        zeroMemory(at: object, bytes: 24)
        objects.append(object)
      }
      // So that its slab stays.
      let last = objects.removeLast()
      for object in objects.suffix(2) {
        allocator.free(object)
        #expect(Words(at: object)[0] == 0x6b6b_6b6b_6b6b_6b6b)
      }
      for object in objects.dropLast(2) { allocator.free(object) }
      #expect(!root.cache.hasSheaf)
      #expect(throws: AllocatorError.invalidLimit) {
        try allocator.setSheafCapacity(1, of: root)
      }
      try allocator.setSheafCapacity(0, of: root)
      let zeroed = try allocator.allocateZeroed(from: root, in: group)
      #expect(Words(at: zeroed)[2] == 0)
      allocator.free(zeroed)
      allocator.free(last)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  @Test(arguments: WriteAfterFree.allCases)
  func aWriteAfterFreeEndsTheProcess(_ write: WriteAfterFree) async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) { [write] in
      _ = signal(SIGABRT, SIG_DFL)
      try write.commit()
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text == "slab: allocate: a free object was written to (poison overwritten)\n")
  }

  @Test func optionsThatExcludeEachOther() throws {
    try withAllocator { allocator in
      #expect(throws: AllocatorError.invalidOptions) {
        try unsafe allocator.makeCache("both", size: 64, options: [.poison, .typeSafe])
      }
      #expect(throws: AllocatorError.invalidOptions) {
        try unsafe allocator.makeCache("made", size: 64, options: .poison) { _ in }
      }
    }
  }

  @Test(arguments: [SlabCacheOptions.poison, .noMerge]) func neverMerged(options: SlabCacheOptions)
    throws
  {
    var configuration = AllocatorConfiguration()
    configuration.mergesCaches = true
    try withAllocator(configuration: configuration) { allocator in
      func make(_ name: String, _ options: SlabCacheOptions) throws -> CacheReference {
        let bytes = Array(name.utf8)
        return try unsafe allocator.makeReference(
          named: bytes.span, objectSize: 64, options: options)
      }
      let caches = [
        try make("first", []), try make("special", options), try make("special-2", options),
        try make("second", []),
      ]
      #expect(caches[3].root == caches[0].root)
      #expect(Set(caches.map(\.root.address)).count == 3)
      for cache in caches { try allocator.destroy(cache) }
    }
  }
}
