// SPDX-License-Identifier: Apache-2.0
// An allocator that is `malloc` itself calls nothing that might allocate: no thread is started, and a thread that frees
// does what a worker would do.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ServesMallocTests {
  private func withMalloc(
    idleRoundMilliseconds: Int? = nil, _ body: (Allocator) throws -> Void
  ) throws {
    var configuration = AllocatorConfiguration()
    configuration.servesMalloc = true
    if let idleRoundMilliseconds {
      configuration.idleRoundMilliseconds = idleRoundMilliseconds
    }
    let allocator = try Allocator(configuration: configuration)
    try body(allocator)
    allocator.unmapEverything()
  }

  /// What is freed goes back to the system, as far as more than is worth keeping is free, without a thread: by those that
  /// call, once rounds are due.
  @Test func freesGiveBack() throws {
    try withMalloc(idleRoundMilliseconds: 1) { allocator in
      let blocks = try (0..<200).map { _ in
        try allocator.allocate(bytes: 256 << 10, in: allocator.rootGroup)
      }
      for block in blocks {
        allocator.free(block)
        allocator.workIfWanted()
      }
      #expect(
        eventually {
          allocator.workIfWanted()
          return allocator.statistics.freeResidentBytes <= 2 * (4 << 20)
        })
      #expect(allocator.statistics.workerThreadsPeak == 0)
    }
  }

  /// Groups that end, caches that are destroyed and frees after a grace period: nothing waits for a thread.
  @Test func endingsNeedNoThread() throws {
    try withMalloc { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      for _ in 0..<500 {
        let group = try allocator.makeGroup("group")
        allocator.free(try allocator.allocate(from: root, in: group))
        try allocator.close(group)
        allocator.release(group)
        #expect(allocator.statistics.groupsDying <= 2 * Workers.pendingPerHelp)
      }
      for _ in 0..<2000 {
        allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
      }
      allocator.barrier()
      try allocator.destroy(root)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.workerThreadsPeak == 0)
      #expect(allocator.statistics.groupsDying == 0)
    }
  }

  /// The cache of a class is the one that a block of that size is of.
  @Test func cachesOfClasses() throws {
    try withMalloc { allocator in
      let group = try allocator.makeGroup("group")
      for bytes in [0, 1, 16, 17, 1024, 1025, 32 << 10] {
        let index = allocator.sizeClass(forBytes: bytes)
        let cache = try allocator.cache(ofSizeClass: index, in: group)
        let block = try allocator.allocate(bytes: bytes, in: group)
        #expect(allocator.cache(of: block) == cache)
        #expect(try allocator.cache(ofSizeClass: index, in: group) == cache)
        #expect(Allocator.bytes(ofSizeClass: index) >= bytes)
        allocator.free(block)
      }
      try allocator.close(group)
      allocator.release(group)
    }
  }
}
