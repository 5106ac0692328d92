// SPDX-License-Identifier: Apache-2.0
// Closing sheaves from outside while threads hammer them: no object is lost, none is in two places.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

/// What the threads share.
private final class Hammering: @unchecked Sendable {
  // Unchecked: `spilled` is guarded by `lock`.
  let lock = Lock(outsideOfTheOrder: ())
  var spilled: [UInt] = []
  let isOver = Atomic<Bool>(false)
  let takeovers = Atomic<Int>(0)
  let pops = Atomic<Int>(0)

  func spill(_ objects: [UInt]) {
    lock.lock()
    spilled += objects
    lock.unlock()
  }

  func takeSpilled(_ most: Int) -> [UInt] {
    lock.lock()
    defer { lock.unlock() }
    let taken = Array(spilled.suffix(most))
    spilled.removeLast(taken.count)
    return taken
  }
}

@Suite(.inTurn) struct ClosingTests {
  @Test(arguments: testedModes, [false, true])
  func nothingIsLostOrDoubled(_ mode: PerCPUMode, _ inBatches: Bool) throws {
    try withRegion(mode) { fixture in
      // Each object is one word that its owner writes; a second owner would overwrite it. Large
      // batches make long sequences: the fence must wait for one now and then.
      let memory = try SystemCall.reserve(bytes: 4096)
      defer { try? SystemCall.unmap(at: memory, bytes: 4096) }
      try SystemCall.protectReadWrite(at: memory, bytes: 4096)
      let objects = (0..<(inBatches ? 512 : 64)).map { memory + UInt($0) * 8 }
      let sheafClass = inBatches ? 3 : 0
      let shared = Hammering()
      shared.spill(objects)

      // One CPU is left to the closing thread: what it shall meet is a sequence that runs.
      let threads = (0..<min(3, max(1, allowedCPUs().count - 1))).map { index in
        TestThread {
          while !shared.isOver.load(ordering: .acquiring) {
            if inBatches {
              batchRound(fixture, shared, index)
            } else {
              round(fixture, shared, index)
            }
          }
        }
      }
      // For a while, and until it has met what it is for.
      let end = SystemCall.monotonicNanoseconds + 400_000_000
      var closings = 0
      var flushedObjects = 0
      while closings < 100 || flushedObjects == 0
        || shared.pops.load(ordering: .relaxed) == 0 || SystemCall.monotonicNanoseconds < end
      {
        _ = try fixture.open(ofClass: sheafClass)
        for _ in 0..<closings % 7 * 20 { _ = fixture.words.pointee.load(mode: mode) }
        let flushed = try fixture.closeAndFlush(ofClass: sheafClass)
        flushedObjects += flushed.count
        shared.spill(flushed)
        closings += 1
      }
      shared.isOver.store(true, ordering: .releasing)
      for thread in threads { thread.join() }

      #expect(shared.takeovers.load(ordering: .relaxed) == 0)
      #expect(shared.spilled.sorted() == objects)
      #expect(flushedObjects > 0)
      #expect(shared.pops.load(ordering: .relaxed) > 0)
    }
  }
}

/// Takes one object, from the sheaf or else from those that are nowhere, and puts it on the sheaf.
private func round(_ fixture: RegionFixture, _ shared: Hammering, _ thread: Int) {
  var object = fixture.pop()
  if object != 0 {
    shared.pops.add(1, ordering: .relaxed)
  } else {
    guard let spilled = shared.takeSpilled(1).first else { return }
    object = spilled
  }
  own([object], shared, thread)
  if fixture.push(object) != .done { shared.spill([object]) }
}

private func batchRound(_ fixture: RegionFixture, _ shared: Hammering, _ thread: Int) {
  var objects = fixture.popBatch(400)
  if objects.isEmpty {
    objects = shared.takeSpilled(400)
  } else {
    shared.pops.add(1, ordering: .relaxed)
  }
  own(Array(objects.prefix(3)), shared, thread)
  let put = fixture.pushBatch(objects)
  if put < objects.count { shared.spill(Array(objects[put...])) }
}

/// Writes the thread's mark into objects of its own and looks whether it stays.
private func own(_ objects: [UInt], _ shared: Hammering, _ thread: Int) {
  for object in objects { AtomicWord(at: object).store(UInt64(thread) + 1) }
  for _ in 0..<2 {
    for object in objects where AtomicWord(at: object).load() != UInt64(thread) + 1 {
      shared.takeovers.add(1, ordering: .relaxed)
    }
  }
}
