// SPDX-License-Identifier: Apache-2.0
// What a limit means where the allocation is the runtime's: see the table in docs/malloc.md.

import CAllocations
import Foundation
import Slab
import Testing

@Suite struct LimitTests {
  /// Groups overcharge unless told otherwise, also below others: the runtime gets its memory, and it is counted.
  @Test func groupsOvercharge() throws {
    let group = try MemoryGroup.forTest(max: 64 << 10)
    #expect(group.limitPolicy == .overcharge)
    #expect(try MemoryGroup.forTest("below", below: group).limitPolicy == .overcharge)
    let session = MemoryGroup.withCurrent(group) { Session(count: 1 << 20) }
    #expect(group.usage > 1 << 20 && group.events.overcharge > 0 && group.events.oom == 0)
    withExtendedLifetime(session) {}
  }

  /// A body of 1.5 MB under a limit of 256 KiB: the request gets an error, and its neighbours do not notice.
  @Test(.timeLimit(.minutes(1))) func aHostileBody() async throws {
    let hostile = try MemoryGroup.forTest("hostile", max: 256 << 10)
    let others = try (0..<4).map { try MemoryGroup.forTest("neighbour-\($0)", max: 256 << 10) }
    await withTaskGroup(of: Void.self) { requests in
      requests.addTask {
        _ = await #expect(throws: CancellationError.self) {
          // The client has more to send, and never does.
          _ = try await answer(chunks(24, hangs: true), in: hostile)
        }
      }
      for other in others {
        requests.addTask {
          for _ in 0..<50 {
            let count = try? await answer(chunks(2, hangs: false), in: other)
            #expect(count == 128 << 10)
          }
        }
      }
    }
    #expect(hostile.events.overcharge > 0)
    for other in others { #expect(other.events.overcharge == 0 && other.events.oom == 0) }
    #expect(await hostile.isEmptied(but: 64 << 10))
  }

  /// A C library gets NULL at the limit of a group that fails, and from halfway to the stop for a large block of one that
  /// overcharges.
  @Test func refusalsInC() throws {
    let group = try MemoryGroup.forTest(max: 256 << 10)
    try group.setLimitPolicy(.fail)
    let (refused, error) = MemoryGroup.withCurrent(group) {
      (c_allocate(1 << 20), c_error())
    }
    #expect(refused == 0 && error == ENOMEM)
    try group.setLimitPolicy(.overcharge)
    try group.setStop(1 << 20)
    let (large, small) = MemoryGroup.withCurrent(group) {
      (c_allocate(700 << 10), c_allocate(1000))
    }
    #expect(large == 0 && small != 0)
    c_free(small)
  }

  /// The runtime's answer to NULL.
  @Test func aRefusedObjectEndsTheProcess() async {
    await #expect(processExitsWith: .failure) {
      let group = try MemoryGroup.root.makeChild(named: "fails", max: 64 << 10)
      try group.setLimitPolicy(.fail)
      let session = MemoryGroup.withCurrent(group) { Session(count: 1 << 20) }
      print(session.bytes.count)
    }
  }

  /// What outlives its group is its parent's; what its scope allocates then is, too.
  @Test func afterTheGroup() async throws {
    let parent = try MemoryGroup.forTest()
    let group = try MemoryGroup.forTest("ends", below: parent)
    var sessions: [Session] = []
    sessions.reserveCapacity(2000)
    try MemoryGroup.withCurrent(group) {
      for _ in 0..<1000 { sessions.append(Session()) }
      try group.close()
      for _ in 0..<1000 { sessions.append(Session()) }
    }
    #expect(sessions.allSatisfy { $0.bytes.allSatisfy { $0 == 7 } })
    #expect(parent.statistics.objects + parent.statistics.below >= 2000 * 156)
    sessions = []
    #expect(await parent.isEmptied(but: 64 << 10))
  }
}

/// A handler as servers have it: collects the body of a request, chunk by chunk.
private func answer(_ body: AsyncStream<[UInt8]>, in group: MemoryGroup) async throws -> Int {
  try await MemoryGroup.withCurrent(group, onOverLimit: .cancelTask) {
    var collected = Data()
    for await chunk in body {
      try Task.checkCancellation()
      collected.append(contentsOf: chunk)
    }
    // A cancelled task's stream ends.
    try Task.checkCancellation()
    return collected.count
  }
}

/// Chunks of 64 KiB, whose memory is the network's.
private func chunks(_ count: Int, hangs: Bool) -> AsyncStream<[UInt8]> {
  let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
  for _ in 0..<count { continuation.yield([UInt8](repeating: 65, count: 64 << 10)) }
  if !hangs { continuation.finish() }
  return stream
}
