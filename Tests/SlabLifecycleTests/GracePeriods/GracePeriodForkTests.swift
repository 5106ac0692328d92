// SPDX-License-Identifier: Apache-2.0
// fork in the middle of grace periods: the child inherits what was queued, waits for no reader of the
// parent's, and settles all of it; the parent goes on as if nothing had been.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// What a child does: grace periods, callbacks and a barrier of its own, and a look whether what it
/// inherited is done. The code of the first step that failed, or 0.
private func useGracePeriods(_ allocator: Allocator, _ root: Pointer<RootCache>) -> Int32 {
  allocator.synchronize()
  let ran = CallbackCount.ran.load(ordering: .relaxed)
  guard queue(1, on: allocator, root) else { return 2 }
  allocator.barrier()
  if CallbackCount.ran.load(ordering: .relaxed) <= ran { return 3 }
  allocator.waitUntilIdle()
  if root.sum(RootCache.Sum.deferred) != 0 { return 4 }
  let figures = allocator.statistics
  if figures.pendingCallbacks != 0 { return 5 }
  if figures.cachesAwaitingBarrier != 0 { return 6 }
  if allocator.brokenInvariant() != nil { return 7 }
  return 0
}

/// Callbacks that have run in this process; static, so that a child needs nothing to reach it.
private enum CallbackCount {
  static let ran = Atomic<Int>(0)
}

/// As many callbacks and deferred frees. False without memory.
private func queue(_ count: Int, on allocator: Allocator, _ root: Pointer<RootCache>) -> Bool {
  for _ in 0..<count {
    guard let object = try? allocator.allocate(from: root, in: nil),
      let other = try? allocator.allocate(from: root, in: nil)
    else { return false }
    Words(at: object)[2] = UInt64(allocator.address)
    unsafe allocator.call(Pointer(nonzeroAddress: object)) { head in
      let object = UInt(bitPattern: head)
      CallbackCount.ran.add(1, ordering: .relaxed)
      unsafe Allocator(nonzeroAddress: UInt(Words(at: object)[2])).free(object)
    }
    allocator.freeAfterGracePeriod(other)
  }
  return true
}

/// An allocator whose child's code has run once, so that the child is not the first to need anything
/// of the runtime.
private func withForkingAllocator(
  tracksReaders: Bool = false, _ body: (Allocator, Pointer<RootCache>) throws -> Void
) throws {
  var configuration = AllocatorConfiguration()
  configuration.tracksReaders = tracksReaders
  configuration.callbackWorkerLimit = 2
  try withAllocator(configuration: configuration) { allocator in
    prepareForForks()
    let root = try allocator.makeCache("cache", size: 64)
    #expect(useGracePeriods(allocator, root) == 0)
    try body(allocator, root)
    #expect(useGracePeriods(allocator, root) == 0)
    try allocator.destroy(root)
  }
}

/// A section of another thread, which lasts until `end`.
private final class OtherReader: Sendable {
  private let state = Atomic<Int>(0)
  private let thread: Shared<TestThread?> = Shared(nil)

  init(of allocator: Allocator) {
    let thread = TestThread { [self] in
      let section = allocator.beginReading()
      state.store(1, ordering: .releasing)
      while state.load(ordering: .acquiring) < 2 { usleep(100) }
      allocator.endReading(section)
    }
    self.thread.with { $0 = thread }
    while state.load(ordering: .acquiring) < 1 { Threads.yield() }
  }

  func end() {
    state.store(2, ordering: .releasing)
    thread.with { $0 }?.join()
  }
}

@Suite(.inTurn, .enabled(if: !isSanitized)) struct GracePeriodForkTests {
  /// Another thread of the parent is in a section, and perhaps one waits for it.
  @Test(arguments: [false, true], [false, true])
  func readersOfTheParent(waits: Bool, tracks: Bool) async {
    await #expect(processExitsWith: .success) { [waits = waits as Bool, tracks = tracks as Bool] in
      try withForkingAllocator(tracksReaders: tracks) { allocator, root in
        for round in 0..<5 {
          let reader = OtherReader(of: allocator)
          let cookie = allocator.gracePeriodCookie()
          let word = allocator.readers.pointee.word.first
          let waiter = waits ? TestThread { allocator.synchronize(cookie) } : nil
          if waits {
            #expect(
              eventually {
                allocator.readers.pointee.word.first != word
              })
          }
          let process = forkProcess()
          if process == 0 { _exit(useGracePeriods(allocator, root)) }
          #expect(exitCode(ofChild: process) == 0, "round \(round)")
          // The parent's grace period waits for the parent's reader.
          #expect(!allocator.isOver(cookie))
          reader.end()
          waiter?.join()
          allocator.synchronize(cookie)
        }
      }
    }
  }

  /// Callbacks, deferred frees and a barrier batch, none of which can go on in the parent.
  @Test func queuesAreInherited() async {
    await #expect(processExitsWith: .success) {
      try withForkingAllocator { allocator, root in
        for round in 0..<5 {
          let reader = OtherReader(of: allocator)
          let before = CallbackCount.ran.load(ordering: .relaxed)
          #expect(queue(700, on: allocator, root))
          let typeSafe = try allocator.makeCache("type-safe", size: 1024, options: .typeSafe)
          allocator.free(try allocator.allocate(from: typeSafe, in: nil))
          try allocator.destroy(typeSafe)
          #expect(eventually { allocator.statistics.cachesAwaitingBarrier == 1 })
          let released = allocator.statistics.rootCachesReleased
          let process = forkProcess()
          if process == 0 {
            let code = useGracePeriods(allocator, root)
            if code != 0 { _exit(code) }
            let ran = CallbackCount.ran.load(ordering: .relaxed) - before
            if ran != 701 { _exit(20) }
            _exit(allocator.statistics.rootCachesReleased == released + 1 ? 0 : 21)
          }
          #expect(exitCode(ofChild: process) == 0, "round \(round)")
          #expect(CallbackCount.ran.load(ordering: .relaxed) == before)
          #expect(allocator.statistics.cachesAwaitingBarrier == 1)
          reader.end()
          allocator.waitUntilIdle()
          #expect(CallbackCount.ran.load(ordering: .relaxed) == before + 700)
          #expect(allocator.statistics.rootCachesReleased == released + 1)
        }
      }
    }
  }

  /// A child that waits for nothing: its first callback, or its first deferred free, starts a worker,
  /// which finds what was inherited.
  @Test(arguments: [false, true]) func inheritedQueuesHaveAWorker(isDeferred: Bool) async {
    await #expect(processExitsWith: .success) { [isDeferred = isDeferred as Bool] in
      try withForkingAllocator { allocator, root in
        let reader = OtherReader(of: allocator)
        let before = CallbackCount.ran.load(ordering: .relaxed)
        // On one CPU: what the child queues comes behind what it inherited.
        try onOneCPU {
          #expect(queue(100, on: allocator, root))
          let object = try allocator.allocate(from: root, in: nil)
          let process = forkProcess()
          if process == 0 {
            if isDeferred {
              allocator.freeAfterGracePeriod(object)
            } else if !queue(1, on: allocator, root) {
              _exit(20)
            }
            let wanted = before + (isDeferred ? 100 : 101)
            guard eventually({ CallbackCount.ran.load(ordering: .acquiring) == wanted }) else {
              _exit(21)
            }
            _exit(eventually { root.sum(RootCache.Sum.deferred) == 0 } ? 0 : 22)
          }
          #expect(exitCode(ofChild: process) == 0)
          allocator.free(object)
        }
        reader.end()
      }
    }
  }

  /// A section that is open at the fork protects nothing in the child, but may end there; also in a
  /// child of the child, whose counters are its own.
  @Test(arguments: [false, true]) func sectionsMayEndInChildren(tracks: Bool) async {
    await #expect(processExitsWith: .success) { [tracks = tracks as Bool] in
      try withForkingAllocator(tracksReaders: tracks) { allocator, root in
        let section = allocator.beginReading()
        let process = forkProcess(endingAfter: 40)
        if process == 0 {
          allocator.synchronize()
          let own = allocator.beginReading()
          let grandchild = forkProcess()
          if grandchild == 0 {
            allocator.endReading(section)
            allocator.synchronize()
            allocator.endReading(own)
            _exit(useGracePeriods(allocator, root))
          }
          let code = exitCode(ofChild: grandchild)
          allocator.endReading(own)
          allocator.endReading(section)
          _exit(code == 0 ? useGracePeriods(allocator, root) : 30)
        }
        #expect(exitCode(ofChild: process) == 0)
        allocator.endReading(section)
      }
    }
  }

  /// Whatever grace period the parent has asked for is over in the child: nobody there reads.
  @Test func cookiesOfTheParentAreOver() async {
    await #expect(processExitsWith: .success) {
      try withForkingAllocator { allocator, _ in
        let cookie = allocator.gracePeriodCookie()
        #expect(!allocator.isOver(cookie))
        let process = forkProcess()
        if process == 0 { _exit(allocator.isOver(cookie) ? 0 : 1) }
        #expect(exitCode(ofChild: process) == 0)
        #expect(!allocator.isOver(cookie))
      }
    }
  }

  /// A thread of the child may have the identity of a thread of the parent's that was reading.
  @Test func recordsOfTheParentAreNobodys() async {
    await #expect(processExitsWith: .success) {
      try withForkingAllocator(tracksReaders: true) { allocator, _ in
        // Once here: what starting a thread needs of the runtime is there then.
        TestThread { allocator.synchronize() }.join()
        let readers = (0..<3).map { _ in OtherReader(of: allocator) }
        let process = forkProcess()
        if process == 0 {
          for _ in 0..<8 { TestThread { allocator.synchronize() }.join() }
          _exit(0)
        }
        #expect(exitCode(ofChild: process) == 0)
        for reader in readers { reader.end() }
      }
    }
  }

  /// Threads queue, defer, wait and read all the while.
  @Test func inTheMiddleOfEverything() async {
    await #expect(processExitsWith: .success) {
      try withForkingAllocator { allocator, root in
        let isOver = Shared(false)
        let roots = try (0..<3).map { try allocator.makeCache("busy-\($0)", size: 64) }
        let threads = roots.map { root in
          TestThread {
            while !isOver.with({ $0 }) {
              let section = allocator.beginReading()
              _ = queue(20, on: allocator, root)
              allocator.endReading(section)
              allocator.synchronize()
              allocator.barrier()
            }
          }
        }
        for round in 0..<20 {
          let process = forkProcess()
          if process == 0 {
            // What the other threads had in hand is lost here: their roots are not looked at.
            _exit(useGracePeriods(allocator, root))
          }
          #expect(exitCode(ofChild: process) == 0, "round \(round)")
        }
        isOver.with { $0 = true }
        for thread in threads { thread.join() }
        for root in roots { try allocator.destroy(root) }
      }
    }
  }
}
