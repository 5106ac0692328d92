// SPDX-License-Identifier: Apache-2.0
// Names of caches: unique among the users of an allocator, and found however many there are.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct CacheNameTests {
  /// A name is looked for in a chain of a few, also among thousands, and when every third of them has gone. The
  /// steps are counted: the hash of a name is always the same.
  @Test func manyNames() throws {
    try withAllocator { allocator in
      let count = 5000
      func stepsPerCache(_ body: () throws -> Void) rethrows -> Double {
        let before = allocator.statistics.listSteps
        try body()
        return Double(allocator.statistics.listSteps - before) / Double(count)
      }
      var roots: [Pointer<RootCache>] = []
      let steps = try stepsPerCache {
        for index in 0..<count {
          roots.append(try allocator.makeCache("cache-\(index)", size: 64))
        }
      }
      #expect(steps < 1)
      expectWhole(allocator)
      let refused = stepsPerCache {
        for index in 0..<count {
          allocator.expectError(.nameInUse) { () throws(AllocatorError) in
            try allocator.makeCache("cache-\(index)", size: 64)
          }
        }
      }
      #expect(refused >= 1 && refused < 2)
      for index in stride(from: 0, to: count, by: 3) { try allocator.destroy(roots[index]) }
      // Their names are free at once.
      for index in stride(from: 0, to: count, by: 3) {
        roots[index] = try allocator.makeCache("cache-\(index)", size: 128)
      }
      allocator.waitUntilIdle()
      expectWhole(allocator)
      for root in roots { try allocator.destroy(root) }
      allocator.waitUntilIdle()
      #expect(allocator.cachesState.pointee.tables.names.usedBytes >= count * 8)
      allocator.trim()
      #expect(allocator.cachesState.pointee.tables.names.usedBytes == 4096)
      try allocator.destroy(try allocator.makeCache("cache-1", size: 64))
    }
  }

  /// A cache of the core's has a name that no user can have, and none in the index.
  @Test func withoutMemoryForTheIndexNoCacheIsMade() async {
    await #expect(processExitsWith: .success) {
      let allocator = try Allocator()
      #expect(allocator.cachesState.pointee.tables.names.usedBytes == 0)
      FaultInjection.failCall(1, of: .protect, with: .noMemory)
      allocator.expectError(.outOfMemory) { () throws(AllocatorError) in
        try allocator.makeCache("cache", size: 64)
      }
      #expect(FaultInjection.end() == 1)
      let root = try allocator.makeCache("cache", size: 64)
      try allocator.destroy(root)
      allocator.waitUntilIdle()
      expectWhole(allocator)
      allocator.unmapEverything()
    }
  }
}
