// SPDX-License-Identifier: Apache-2.0
// The child's side of `fork`: how long a call of fork takes in the parent, beside threads that only spin and
// beside threads whose groups come and go. The allocator is the same, and as large.

import CBenchmark
import Glibc
import Slab

enum ForkMeasurement {
  static var threads: Int { 8 }
  private static var turns: Int { 5 }
  private static var forksPerTurn: Int { 60 }
  private static var objectsPerGroup: Int { 8 }

  static func run() throws {
    let allocator = try SlabAllocator()
    let cache = try RawSlabCache(named: "object-64", objectSize: 64, of: allocator)
    var spinning = Latencies(capacity: turns * forksPerTurn)
    var churning = Latencies(capacity: turns * forksPerTurn)
    for _ in 0..<turns {
      measure(into: &spinning) { Time.spin(nanoseconds: 100_000) }
      measure(into: &churning) { liveOnce(allocator, cache) }
      allocator.waitUntilIdle()
    }
    spinning.report(as: "spinning")
    churning.report(as: "churning")
  }

  /// Forks while the threads do a step again and again.
  private static func measure(
    into latencies: inout Latencies, beside step: @escaping @Sendable () -> Void
  ) {
    let flag = FinishFlag()
    let line = StartLine(count: 2)
    let main: @Sendable () -> Latencies = {
      var own = Latencies(capacity: forksPerTurn)
      line.wait()
      for _ in 0..<forksPerTurn {
        usleep(2000)
        let start = Time.now
        let child = bench_fork()
        own.add(Time.now - start)
        guard child > 0 else { fatalError("slab-bench: cannot fork") }
        var status: Int32 = 0
        _ = unsafe waitpid(child, &status, 0)
      }
      flag.set()
      return own
    }
    let other: @Sendable () -> Latencies = {
      while !flag.isOver { step() }
      return Latencies(capacity: 0)
    }
    let starter: @Sendable () -> Latencies = {
      line.wait()
      return other()
    }
    let others = Array(repeating: other, count: threads - 1)
    for result in Threads.runUnpinned([main, starter] + others) { latencies.add(result) }
  }

  /// A group, some objects, and its end.
  private static func liveOnce(_ allocator: SlabAllocator, _ cache: RawSlabCache) {
    do {
      let group = try allocator.makeTenant("tenant")
      var objects = InlineArray<8, UInt>(repeating: 0)
      for index in 0..<objectsPerGroup {
        objects[index] = UInt(bitPattern: try unsafe cache.allocate(in: group))
      }
      try group.close()
      for index in 0..<objectsPerGroup {
        // SAFETY: allocated above, and freed once.
        unsafe allocator.free(UnsafeMutableRawPointer(bitPattern: objects[index])!)
      }
    } catch {
      fatalError("slab-bench: \(error)")
    }
  }
}
