// SPDX-License-Identifier: Apache-2.0
// What operations of a warm allocator take: locks by rank, calls of membarrier, steps through lists. Beside the instructions that
// `.ci/golden_counts` has, and on any machine. A change of one of these numbers is a change of how the allocator scales.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

#if DEBUG
  /// What a thread did. The locks of the fallback's stripes are left out: they stand for what restartable
  /// sequences do without a lock.
  private struct Counts: Equatable, CustomStringConvertible {
    var locks: [LockRank: Int]
    var membarriers = 0
    var listSteps = 0

    var description: String {
      let ranks = LockRank.allCases.filter { locks[$0] != nil }
      return
        "\(ranks.map { ".\($0): \(locks[$0]!)" }), \(membarriers) membarriers, \(listSteps) list steps"
    }
  }

  extension Allocator {
    fileprivate func counts(_ body: () throws -> Void) rethrows -> Counts {
      let ranks = LockRank.allCases.filter { $0 != .stripe }
      let before = ranks.map { HeldLocks.taken($0) }
      let steps = counters.pointee.listSteps.value
      FaultInjection.count(.membarrier)
      try body()
      let membarriers = FaultInjection.counted
      _ = FaultInjection.end()
      var found = Counts(locks: [:])
      for (rank, earlier) in zip(ranks, before) where HeldLocks.taken(rank) > earlier {
        found.locks[rank] = HeldLocks.taken(rank) - earlier
      }
      found.membarriers = membarriers
      found.listSteps = counters.pointee.listSteps.value - steps
      return found
    }
  }

  // The counter of system calls is one for the process, so no two of these at a time.
  @Suite(.inTurn, .serialized) struct OperationCountsTests {
    /// An allocator without threads of its own: whatever an operation leaves to workers is done by `waitUntilIdle`.
    private func withQuiet(_ body: (Allocator) throws -> Void) throws {
      var configuration = AllocatorConfiguration()
      configuration.servesMalloc = true
      try withAllocator(configuration: configuration) { allocator in
        try onOneCPU { try body(allocator) }
      }
    }

    private func expect(
      _ name: String, _ found: Counts, locks: [LockRank: Int], fences: Int = 0, listSteps: Int = 0,
      in allocator: Allocator, sourceLocation: SourceLocation = #_sourceLocation
    ) {
      let isFencedByCall = allocator.region.pointee.mode == .restartableSequences
      let wanted = Counts(
        locks: locks, membarriers: isFencedByCall ? fences : 0, listSteps: listSteps)
      #expect(found == wanted, "\(name): \(found)", sourceLocation: sourceLocation)
    }

    /// The sheaf and the barn of the load are as large as they get.
    @Test func objects() throws {
      try withQuiet { allocator in
        let root = try allocator.makeCache("cache", size: 1024)
        let group = try allocator.makeGroup("group")
        var objects: [UInt] = []
        for _ in 0..<60 {
          for _ in 0..<1000 { objects.append(try allocator.allocate(from: root, in: group)) }
          while let object = objects.popLast() { allocator.free(object) }
        }
        expect(
          "a pair",
          try allocator.counts { allocator.free(try allocator.allocate(from: root, in: group)) },
          locks: [:], in: allocator)
        expect(
          "1000 pops, barn",
          try allocator.counts {
            for _ in 0..<1000 { objects.append(try allocator.allocate(from: root, in: group)) }
          }, locks: [.cache: 6], in: allocator)
        expect(
          "1000 pops, new slabs",
          try allocator.counts {
            for _ in 0..<1000 { objects.append(try allocator.allocate(from: root, in: group)) }
          }, locks: [.cache: 18, .pages: 9], in: allocator)
        expect(
          "2000 pushes",
          allocator.counts { while let object = objects.popLast() { allocator.free(object) } },
          locks: [.cache: 21, .pages: 4], in: allocator)
        allocator.release(group)
        allocator.waitUntilIdle()
        try allocator.destroy(root)
      }
    }

    /// The same beside no other group as beside a thousand.
    @Test(arguments: [0, 1000]) func groups(others count: Int) throws {
      try withQuiet { allocator in
        let roots = try [32, 96, 256].map { try allocator.makeCache("cache-\($0)", size: $0) }
        let others = try (0..<count).map { try allocator.makeGroup("other-\($0)") }
        for other in others { allocator.free(try allocator.allocate(from: roots[0], in: other)) }
        for turn in 0..<20 {
          let group = try allocator.makeGroup("cold-\(turn)")
          for root in roots { allocator.free(try allocator.allocate(from: root, in: group)) }
          try allocator.close(group)
          allocator.release(group)
          allocator.waitUntilIdle()
        }
        var made: Pointer<Group>?
        expect(
          "a group is made", try allocator.counts { made = try allocator.makeGroup("group") },
          locks: [.registry: 1], in: allocator)
        let group = made!
        expect(
          "first objects of three caches",
          try allocator.counts {
            for root in roots { allocator.free(try allocator.allocate(from: root, in: group)) }
          }, locks: [.registry: 4, .cache: 10, .pages: 4], in: allocator)
        expect(
          "close",
          try allocator.counts {
            try allocator.close(group)
            allocator.release(group)
          }, locks: [.registry: 2], listSteps: 1, in: allocator)
        expect(
          "its end", allocator.counts { allocator.waitUntilIdle() },
          locks: [.workerBusy: 1, .batch: 1, .registry: 9, .cache: 9, .workers: 1, .pages: 4],
          listSteps: 6, in: allocator)
        for other in others { allocator.release(other) }
        allocator.waitUntilIdle()
        for root in roots { try allocator.destroy(root) }
      }
    }

    /// One fence for all that end together, which are about 32 where a thread that closes does the workers' work.
    @Test func endingsOfAHundred() throws {
      try withQuiet { allocator in
        let root = try allocator.makeCache("cache", size: 64)
        let parent = try allocator.makeGroup("parent")
        let groups = try (0..<100).map { try allocator.makeGroup("group-\($0)", below: parent) }
        for group in groups {
          let objects = try (0..<40).map { _ in try allocator.allocate(from: root, in: group) }
          for object in objects { allocator.free(object) }
        }
        expect(
          "a hundred groups end",
          try allocator.counts {
            try allocator.close(parent)
            allocator.waitUntilIdle()
          },
          locks: [
            .workerBusy: 4, .batch: 4, .registry: 318, .cache: 300, .workers: 1, .pages: 100,
            .region: 100,
          ], fences: 4, listSteps: 301, in: allocator)
        for group in groups { allocator.release(group) }
        allocator.release(parent)
        allocator.waitUntilIdle()
        try allocator.destroy(root)
      }
    }

    @Test(arguments: [10, 10_000]) func discard(_ count: Int) throws {
      try withQuiet { allocator in
        let root = try allocator.makeCache("cache", size: 64)
        let group = try allocator.makeGroup("request")
        for _ in 0..<count { _ = try allocator.allocate(from: root, in: group) }
        expect(
          "discard",
          try allocator.counts {
            try allocator.discard(group)
            allocator.release(group)
          }, locks: [.registry: 5, .pages: 1], listSteps: 1, in: allocator)
        allocator.waitUntilIdle()
        try allocator.destroy(root)
      }
    }

    @Test func gracePeriods() throws {
      try withQuiet { allocator in
        allocator.synchronize()
        expect(
          "a grace period", allocator.counts { allocator.synchronize() }, locks: [.gracePeriod: 1],
          fences: 1, in: allocator)
        expect(
          "a section", allocator.counts { allocator.endReading(allocator.beginReading()) },
          locks: [:], in: allocator)
      }
    }

    /// A line of slabinfo is found without the lines before it: as many steps more as there are lines more.
    @Test func slabinfo() throws {
      try withQuiet { allocator in
        var found: [Counts] = []
        var roots: [Pointer<RootCache>] = []
        for count in [200, 600] {
          while roots.count < count {
            roots.append(try allocator.makeCache("cache-\(roots.count)", size: 64))
          }
          found.append(try allocator.counts { _ = try allocator.slabinfo() })
        }
        #expect(found[1].listSteps - found[0].listSteps == 400)
        #expect(found[1].locks[.registry]! - found[0].locks[.registry]! == 400)
        #expect(found[1].locks[.cache] ?? 0 <= 4)
        for root in roots { try allocator.destroy(root) }
      }
    }
  }
#endif
