// SPDX-License-Identifier: Apache-2.0
// Torture of grace periods: every way to wait for one against every way to read. Bounded by the
// number of replacements; the seed is printed.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn, .serialized) struct TortureTests {
  /// Replacements of a test whose writer waits for each grace period, and of one that does not.
  private static let waiting = isDebugBuild || isSanitized ? 4000 : 20_000
  private static let queueing = isDebugBuild || isSanitized ? 40_000 : 300_000

  private func torture(
    callbackWorkers: Int = 1, readers: Int = 3, _ writer: @escaping @Sendable (Torture) -> Void
  ) throws {
    try withSeed { seed in
      var configuration = AllocatorConfiguration()
      configuration.callbackWorkerLimit = callbackWorkers
      try withAllocator(configuration: configuration) { allocator in
        try Torture(allocator).run(readers: readers, seed: seed, writer: writer)
      }
    }
  }

  /// One stage of the pipeline for each `synchronize`.
  @Test func synchronize() throws {
    try torture { torture in
      var pipeline: [Torture.Element] = []
      for generation in 1...Self.waiting {
        if let old = torture.replace(generation: generation) { pipeline.append(old) }
        torture.allocator.synchronize()
        torture.advance(&pipeline)
      }
      while !pipeline.isEmpty { torture.advance(&pipeline) }
    }
  }

  /// Several threads wait, so that most find the work done by another one.
  @Test func synchronizeFromManyThreads() throws {
    try torture(readers: 2) { torture in
      onThreads(3) { thread in
        var pipeline: [Torture.Element] = []
        for number in 1...Self.waiting {
          let generation = (thread + 1) * 1_000_000 + number
          if let old = torture.replace(generation: generation) { pipeline.append(old) }
          torture.allocator.synchronize()
          torture.advance(&pipeline)
        }
        // Another writer may have published what this one took over last: it is old all the same.
        torture.allocator.synchronize()
        while !pipeline.isEmpty { torture.advance(&pipeline) }
      }
    }
  }

  /// One stage for each callback; a barrier now and then, after which the first one has run.
  @Test(arguments: [1, 3]) func call(workers: Int) throws {
    try torture(callbackWorkers: workers) { torture in
      var count = 0
      for generation in 1...Self.queueing {
        if let old = torture.replace(generation: generation) {
          torture.call(old)
          count += 1
        }
        if generation % 500 == 0 {
          torture.allocator.barrier()
          #expect(torture.called.load(ordering: .relaxed) == count)
        }
      }
    }
  }

  /// One stage for each cookie that is over when it is looked at; now and then a thread waits.
  @Test func polledCookies() throws {
    try torture { torture in
      let allocator = torture.allocator
      var pipeline: [(cookie: GracePeriodCookie, elements: [Torture.Element])] = []
      for generation in 1...Self.waiting {
        if let old = torture.replace(generation: generation) {
          pipeline.append((allocator.gracePeriodCookie(), [old]))
        }
        if generation % 3 == 0, let first = pipeline.first { allocator.synchronize(first.cookie) }
        for index in pipeline.indices where allocator.isOver(pipeline[index].cookie) {
          torture.advance(&pipeline[index].elements)
          pipeline[index].cookie = allocator.gracePeriodCookie()
        }
        pipeline.removeAll { $0.elements.isEmpty }
      }
      allocator.synchronize()
      for var (_, elements) in pipeline {
        while !elements.isEmpty { torture.advance(&elements) }
      }
    }
  }

  /// The memory of an element that was freed is another element's soon: its generation changes.
  @Test func freeAfterGracePeriod() throws {
    try torture { torture in
      for generation in 1...Self.queueing {
        if let old = torture.replace(generation: generation) {
          torture.allocator.freeAfterGracePeriod(old.address)
        }
        if generation % 100 == 0 { torture.allocator.barrier() }
      }
    }
  }
}
