// SPDX-License-Identifier: Apache-2.0
// A server forbids system calls after its allocators have started: membarrier, and perhaps the way around it.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// An allocator that has been at work, with its threads.
private func makeScene() throws -> (Allocator, Pointer<RootCache>, Pointer<Group>) {
  let allocator = try Allocator()
  let root = try allocator.makeCache("filtered", size: 64)
  let group = try allocator.makeGroup("group")
  try use(allocator, root, group)
  let early = try allocator.makeGroup("early")
  try use(allocator, root, early)
  try allocator.close(early)
  allocator.release(early)
  allocator.waitUntilIdle()
  allocator.barrier()
  return (allocator, root, group)
}

/// Enough for a sheaf.
private func use(
  _ allocator: Allocator, _ root: Pointer<RootCache>, _ group: Pointer<Group>
) throws {
  let objects = try (0..<200).map { _ in try allocator.allocate(from: root, in: group) }
  #expect(Set(objects).count == 200)
  for object in objects { allocator.free(object) }
}

private func errorLines(_ result: ExitTest.Result?) throws -> [Substring] {
  String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    .split(separator: "\n").filter { $0.hasPrefix("slab: ") }
}

@Suite(.inTurn) struct FilterTests {
  private static var isSequenced: Bool {
    (try? PerCPUMode.choose().mode) == .restartableSequences
  }

  /// Without membarrier each CPU is visited: everything goes on, and one line says so.
  @Test func membarrierForbidden() async throws {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) {
      let (allocator, root, group) = try makeScene()
      #expect(forbid([.membarrier]))
      for object in try (0..<50).map({ _ in try allocator.allocate(from: root, in: group) }) {
        allocator.freeAfterGracePeriod(object)
      }
      allocator.synchronize()
      allocator.barrier()
      try use(allocator, root, group)
      prepareForForks()
      let child = forkProcess()
      if child == 0 {
        guard (try? allocator.close(group)) != nil else { _exit(1) }
        allocator.release(group)
        allocator.waitUntilIdle()
        _exit(allocator.statistics.groupsReleased == 2 ? 42 : 2)
      }
      #expect(exitCode(ofChild: child) == 42)
      try allocator.close(group)
      allocator.release(group)
      try allocator.destroy(root)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 2)
      #expect(allocator.statistics.rootCachesReleased == 1)
      expectWhole(allocator)
      allocator.unmapEverything()
    }
    let expected: [Substring] =
      Self.isSequenced
      ? [
        "slab: fence: membarrier is refused (errno 1), so each CPU is visited instead: endings take milliseconds"
      ] : []
    // The child writes to the same place, and knows nothing of its parent's line, or has it from it.
    #expect(Set(try errorLines(result)) == Set(expected))
  }

  /// Without either, allocating, freeing and fork go on, what has ended waits, and a thread that would have to
  /// wait for it ends the process.
  @Test func affinityForbiddenAsWell() async throws {
    guard Self.isSequenced else { return }
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      _ = signal(SIGABRT, SIG_DFL)
      let (allocator, root, group) = try makeScene()
      let other = try allocator.makeGroup("other")
      try use(allocator, root, other)
      #expect(forbid([.membarrier, .setAffinity]))
      try allocator.close(other)
      allocator.release(other)
      while !PerCPURegion.fenceIsLost { Threads.yield() }
      let object = try allocator.allocate(from: root, in: group)
      allocator.freeAfterGracePeriod(object)
      try use(allocator, root, group)
      prepareForForks()
      for _ in 0..<3 {
        let child = forkProcess()
        if child == 0 {
          guard (try? use(allocator, root, group)) != nil else { _exit(1) }
          _exit(42)
        }
        #expect(exitCode(ofChild: child) == 42)
      }
      #expect(allocator.statistics.groupsReleased == 1)
      #expect(allocator.statistics.pendingEndings > 0)
      allocator.synchronize()
    }
    #expect(
      try errorLines(result) == [
        "slab: fence: membarrier is refused (errno 1), and CPUs cannot be visited (errno 1): groups, caches and grace periods do not end any more",
        "slab: fence: this thread would wait for ever",
      ])
  }
}
