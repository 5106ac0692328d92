// SPDX-License-Identifier: Apache-2.0
// Before a charge is refused: what is on its way back already is waited for, and nothing else.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

extension Allocator {
  /// Allocates and frees after a grace period, with no reader, at a limit. A refusal fails the test, but for one that comes
  /// after the time that a charge waits for deferred frees: on a busy machine the workers' turn may come later, a few times.
  /// How often it did.
  func freeAfterGracePeriods(
    _ count: Int, from root: Pointer<RootCache>, in group: Pointer<Group>
  ) throws -> Int {
    var late = 0
    for _ in 0..<count {
      let start = SystemCall.monotonicNanoseconds
      do throws(AllocatorError) {
        freeAfterGracePeriod(try allocate(from: root, in: group))
      } catch {
        late += 1
        guard SystemCall.monotonicNanoseconds - start >= 100_000_000, late < 5 else { throw error }
        barrier()
      }
    }
    return late
  }
}

@Suite(.inTurn) struct PatienceTests {
  /// One request after the other, each of which has more than half of the limit and discards it: none is
  /// refused, wherever the workers are with the one before.
  @Test(arguments: [false, true]) func whatIsDiscardedIsNotMissed(isClosed: Bool) throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("node", size: 200)
      let tenant = try allocator.makeGroup("tenant", max: 1 << 20)
      for _ in 0..<300 {
        let request = try allocator.makeGroup("request", below: tenant)
        var objects: [UInt] = []
        for _ in 0..<3000 { objects.append(try allocator.allocate(from: root, in: request)) }
        if isClosed {
          for object in objects { allocator.free(object) }
          try allocator.close(request)
        } else {
          try allocator.discard(request)
        }
        allocator.release(request)
      }
      #expect(counts(allocator.events(of: tenant, local: false))[3] == 0)
      allocator.release(tenant)
      try allocator.destroy(root)
    }
  }

  /// The worker has the batch in hand, and this thread nothing else to try: it waits for the worker.
  @Test func theWorkerIsWaitedFor() throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let tenant = try allocator.makeGroup("tenant", max: 2 * slabOfOne)
      let request = try allocator.makeGroup("request", below: tenant)
      _ = try allocator.take(2, from: root, in: request)
      let next = try allocator.makeGroup("next", below: tenant)
      let waiting = Shared(0)
      let object = Shared(UInt(0))
      let thread = try withWorkersHeldOff(of: allocator) {
        try allocator.discard(request)
        let thread = TestThread {
          waiting.with { $0 = threadID() }
          for _ in 0..<3 {
            let start = SystemCall.monotonicNanoseconds
            if let found = try? allocator.allocate(from: root, in: next) {
              return object.with { $0 = found }
            }
            // On a busy machine the workers' turn may come after that time.
            guard SystemCall.monotonicNanoseconds - start >= 200_000_000 else { return }
          }
        }
        #expect(eventually { waiting.with { $0 } != 0 })
        #expect(waitUntilAsleep(threadID: waiting.with { $0 }))
        return thread
      }
      thread.join()
      #expect(object.with { $0 } != 0)
      if object.with({ $0 }) != 0 { allocator.free(object.with { $0 }) }
      for group in [request, next, tenant] { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// A group that is full of live objects is not helped by what goes on elsewhere.
  @Test func othersEndingsAreNotWaitedFor() throws {
    try withAllocator { allocator in
      let root = try allocator.makeChargedCache()
      let full = try allocator.makeGroup("full", max: slabOfOne)
      let other = try allocator.makeGroup("other")
      let object = try allocator.allocate(from: root, in: full)
      try withWorkersHeldOff(of: allocator) {
        try allocator.close(other)
        #expect(other.hasEndings && allocator.rootGroup.hasEndings && !full.hasEndings)
        allocator.expectError(.groupLimit(full)) { () throws(AllocatorError) in
          try allocator.allocate(from: root, in: full)
        }
      }
      allocator.free(object)
      for group in [full, other] { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// Objects that all wait for a grace period: with no reader there is always room for one more.
  @Test func deferredFreesAreNotMissed() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("node", size: 1000)
      let group = try allocator.makeGroup("group", max: 1 << 20)
      let late = try allocator.freeAfterGracePeriods(20_000, from: root, in: group)
      #expect(counts(allocator.events(of: group, local: true))[3] == late)
      allocator.release(group)
      allocator.barrier()
      try allocator.destroy(root)
    }
  }

  /// In a section that they wait for: refused after a moment, and the section goes on.
  @Test func inASectionItIsRefused() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("node", size: 1000)
      let group = try allocator.makeGroup("group", max: 1 << 16)
      let section = allocator.beginReading()
      allocator.expectError(.groupLimit(group)) { () throws(AllocatorError) in
        while true {
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: group))
        }
      }
      allocator.endReading(section)
      allocator.barrier()
      allocator.free(try allocator.allocate(from: root, in: group))
      allocator.release(group)
      try allocator.destroy(root)
    }
  }
}
