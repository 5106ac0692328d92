// SPDX-License-Identifier: Apache-2.0
// Threads that queue something and end at once, or are moved to another CPU in between: what they
// queued belongs to no thread, and is done.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ThreadsThatGoTests {
  @Test func threadsThatEnd() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let log = CallbackLog(allocator)
      for round in 1...20 {
        onThreads(4) { thread in
          for number in 0..<30 {
            log.call(round * 1000 + thread * 100 + number, root)
            guard let object = try? allocator.allocate(from: root, in: nil) else { return }
            allocator.freeAfterGracePeriod(object)
          }
        }
        // Nobody of them is there any more.
        allocator.barrier()
        #expect(log.numbers.count == round * 120)
        #expect(root.sum(RootCache.Sum.deferred) == 0)
      }
      try allocator.destroy(root)
    }
  }

  /// As by taskset: pinned to a CPU, then to another one. The sheaves of both are flushed.
  @Test func threadsThatMove() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let log = CallbackLog(allocator)
      let cpus = allowedCPUs()
      onThreads(3) { thread in
        for number in 0..<120 {
          onOneCPU(cpus[(thread + number) % cpus.count]) {
            let section = allocator.beginReading()
            log.call(thread * 1000 + number, root)
            if let object = try? allocator.allocate(from: root, in: nil) {
              allocator.freeAfterGracePeriod(object)
            }
            onOneCPU(cpus[(thread + number + 1) % cpus.count]) { allocator.endReading(section) }
          }
        }
      }
      // From a thread that is kept away from the sheaves of the others.
      onOneCPU(cpus[0]) { allocator.barrier() }
      #expect(log.numbers.count == 360)
      #expect(root.sum(RootCache.Sum.deferred) == 0)
      try allocator.destroy(root)
    }
  }
}
