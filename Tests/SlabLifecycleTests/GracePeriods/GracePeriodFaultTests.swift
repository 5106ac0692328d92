// SPDX-License-Identifier: Apache-2.0
// The n-th system call of grace periods fails, or no thread can be had: everything runs all the same,
// nothing is lost and nobody waits for ever.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

private final class FaultScene: Sendable {
  let allocator: Allocator
  let root: Pointer<RootCache>
  let typeSafe: Pointer<RootCache>
  let objects: [UInt]
  let log: CallbackLog

  init(workers: Int) throws {
    var configuration = AllocatorConfiguration()
    configuration.callbackWorkerLimit = workers
    let allocator = try Allocator(configuration: configuration)
    self.allocator = allocator
    root = try allocator.makeCache("cache", size: 64)
    typeSafe = try allocator.makeCache("type-safe", size: 1024, options: .typeSafe)
    let (root, typeSafe) = (root, typeSafe)
    objects = try (0..<1200).map { index in
      try allocator.allocate(from: index % 2 == 0 ? root : typeSafe, in: nil)
    }
    log = CallbackLog(allocator)
  }

  /// Everything that makes system calls, on this thread.
  func operate() {
    for number in 0..<20 { log.call(number, root) }
    for object in objects { allocator.freeAfterGracePeriod(object) }
    allocator.synchronize()
    allocator.barrier()
  }

  /// A barrier that returned has kept its promise, whatever failed.
  func check(_ nth: Int) throws {
    #expect(log.numbers.sorted() == Array(0..<20), "call \(nth)")
    #expect(root.sum(RootCache.Sum.deferred) == 0, "call \(nth)")
    #expect(typeSafe.sum(RootCache.Sum.deferred) == 0, "call \(nth)")
    try allocator.destroy(root)
    try allocator.destroy(typeSafe)
    allocator.waitUntilIdle()
    expectWhole(allocator)
    #expect(allocator.statistics.rootCachesReleased == 2, "call \(nth)")
    allocator.unmapEverything()
  }
}

@Suite(.inTurn) struct GracePeriodFaultTests {
  /// No grace period is over without its membarrier, which never fails for ever.
  @Test(arguments: [1, 3]) func eachCallFails(workers: Int) async {
    await #expect(processExitsWith: .success) { [workers = workers as Int] in
      for repeating in [false, true] {
        var calls = SystemCallSet.failing
        if repeating { calls.subtract([.membarrier, .futexWait]) }
        let failing = try failEachCall(
          of: calls, repeating: repeating, setUp: { try FaultScene(workers: workers) },
          operate: { $0.operate() }, check: { try $0.check($1) })
        #expect(failing >= 1)
      }
    }
  }

  /// The order, the fence and the flush each get over a membarrier that fails many times.
  @Test func membarrierFails() async {
    await #expect(processExitsWith: .success) {
      for nth in 1...10 {
        let scene = try FaultScene(workers: 1)
        FaultInjection.failCall(nth, of: .membarrier, with: .noMemory)
        scene.operate()
        _ = FaultInjection.end()
        try scene.check(nth)
      }
    }
  }

  /// No thread, or only the first `given`: a thread that waits does the work of those that are missing.
  @Test(arguments: [0, 1, 2]) func withoutThreads(given: Int) async {
    await #expect(processExitsWith: .success) { [given = given as Int] in
      let scene = try FaultScene(workers: 3)
      FaultInjection.failCall(given + 1, of: .startThread, with: .noMemory, repeating: true)
      scene.operate()
      #expect(scene.log.numbers.sorted() == Array(0..<20))
      // In every queue, also those whose worker is missing.
      onEachCPU { for number in 100..<120 { scene.log.call(number, scene.root) } }
      scene.allocator.waitUntilIdle()
      #expect(scene.log.numbers.count == 20 + 20 * allowedCPUs().count)
      #expect(scene.allocator.statistics.pendingCallbacks == 0)
      _ = FaultInjection.end()
      try scene.log.numbers.count > 20 ? scene.checkAfterMore() : ()
    }
  }
}

private func onEachCPU(_ body: () -> Void) { for cpu in allowedCPUs() { onOneCPU(cpu, body) } }

extension FaultScene {
  fileprivate func checkAfterMore() throws {
    #expect(root.sum(RootCache.Sum.deferred) == 0)
    try allocator.destroy(root)
    try allocator.destroy(typeSafe)
    allocator.waitUntilIdle()
    expectWhole(allocator)
    allocator.unmapEverything()
  }
}
