// SPDX-License-Identifier: Apache-2.0
// Partial slabs are counted, and a cache in use is checked.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct CacheChecksTests {
  @Test func partialSlabsAreThoseOfTheRootAndItsChildren() throws {
    try withAllocator { allocator in
      let root = try unsafe allocator.makeCache("counted", size: 512)
      let groups = try (0..<40).map { try allocator.makeGroup("tenant-\($0)") }
      #expect(allocator.partialSlabCount(of: root) == 0)
      let ofRoot = try allocator.allocate(from: root, in: allocator.rootGroup)
      var objects: [UInt] = []
      for (index, group) in groups.enumerated() {
        for _ in 0...index { objects.append(try allocator.allocate(from: root, in: group)) }
      }
      func counted() -> Int {
        groups.reduce(root.cache.partialSlabs.count) {
          $0 + ($1.child(of: root)?.partialSlabs.count ?? 0)
        }
      }
      #expect(root.cache.partialSlabs.count == 1)
      #expect(allocator.partialSlabCount(of: root) == counted())
      for (index, object) in objects.enumerated() where index % 3 > 0 { allocator.free(object) }
      #expect(allocator.partialSlabCount(of: root) == counted())
      #expect(counted() > 1)
      for (index, object) in objects.enumerated() where index % 3 == 0 { allocator.free(object) }
      allocator.free(ofRoot)
      for group in groups { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// The cache that groups share is one of the root's children, and no more than that.
  @Test func sharedSlabsCountOnce() throws {
    try withAllocator { allocator in
      let root = try unsafe allocator.makeCache("counted", size: 512)
      let group = try allocator.makeGroup("tenant", memory: .shared)
      let object = try allocator.allocate(from: root, in: group)
      #expect(allocator.partialSlabCount(of: root) == 1)
      allocator.free(object)
      allocator.release(group)
      allocator.waitUntilIdle()
      try allocator.destroy(root)
    }
  }

  /// Of each kind, with more slabs than one piece has, and beside others that allocate.
  @Test(arguments: [SlabCacheOptions(), .poison, .typeSafe]) func whatIsWholeStays(
    options: SlabCacheOptions
  ) throws {
    try withAllocator { allocator in
      let root = try unsafe allocator.makeCache("whole", size: 1024, options: options)
      let groups = try (0..<20).map { try allocator.makeGroup("tenant-\($0)") }
      var objects: [UInt] = []
      for group in groups + [allocator.rootGroup] {
        for _ in 0..<(group == groups[0] ? 2000 : 20) {
          objects.append(try allocator.allocate(from: root, in: group))
        }
      }
      for (index, object) in objects.enumerated() where index % 4 == 0 { allocator.free(object) }
      allocator.validate(root)
      // Caches that have ended, and are kept by their objects.
      for group in groups { allocator.release(group) }
      allocator.waitUntilIdle()
      allocator.validate(root)
      for (index, object) in objects.enumerated() where index % 4 > 0 { allocator.free(object) }
      allocator.validate(root)
      try allocator.destroy(root)
      allocator.waitUntilIdle()
    }
  }

  /// Which of the children is broken is of no account.
  @Test func aBrokenSlabEndsTheProcess() async {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      _ = signal(SIGABRT, SIG_DFL)
      let allocator = try Allocator()
      let root = try unsafe allocator.makeCache("broken", size: 512)
      let groups = try (0..<20).map { try allocator.makeGroup("tenant-\($0)") }
      for group in groups { _ = try allocator.allocate(from: root, in: group) }
      allocator.validate(root)
      try groups[7].makeOrFindChild(of: root).pointee.partialFirst!.pointee.inUse += 1
      allocator.validate(root)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text == "slab: validate: a slab's free objects do not add up\n")
  }
}
