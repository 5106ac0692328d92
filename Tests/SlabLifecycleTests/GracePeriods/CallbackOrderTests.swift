// SPDX-License-Identifier: Apache-2.0
// The order of callbacks of several workers, one of which is held up: by a callback that blocks, or at
// a pause point. A barrier waits for the one that is held up; the others go on.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct CallbackOrderTests {
  /// What a callback that blocks holds up: its worker's queues, and barriers. Nothing else.
  @Test func aBlockedCallbackHoldsUpItsWorkerOnly() throws {
    var configuration = AllocatorConfiguration()
    configuration.callbackWorkerLimit = 2
    try withAllocator(configuration: configuration) { allocator in
      // Queue 0 is worker 0's, queue 1 worker 1's.
      guard allocator.callbacks.pointee.queueCount > 1 else { return }
      let root = try allocator.makeCache("cache", size: 64)
      let slow = BlockedCallback()
      let quick = BlockedCallback()
      try slow.call(in: 0, blocks: true, of: allocator, root)
      try slow.call(in: 0, blocks: false, of: allocator, root)
      let isOver = Shared(false)
      let waiter = TestThread {
        allocator.barrier()
        #expect(slow.count == 2)
        isOver.with { $0 = true }
      }
      // The other worker's callbacks run, and grace periods are done.
      for count in 1...20 {
        try quick.call(in: 1, blocks: false, of: allocator, root)
        #expect(eventually { quick.count == count })
        allocator.synchronize()
      }
      #expect(slow.count == 0)
      #expect(!isOver.with { $0 })
      slow.open()
      waiter.join()
      allocator.barrier()
      try allocator.destroy(root)
    }
  }

  #if DEBUG
    /// The grace period is over and the callbacks have not run: a barrier waits on.
    @Test func barrierAgainstAWorkerThatIsLate() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let log = CallbackLog(allocator)
          PausePoints.arm(.beforeCallbacks)
          log.call(1, root)
          let isOver = Shared(false)
          let waiter = TestThread {
            allocator.barrier()
            #expect(log.numbers.contains(1))
            isOver.with { $0 = true }
          }
          #expect(PausePoints.waitUntilReached(.beforeCallbacks))
          // More than the barrier has to wait for; and grace periods, which are no barriers.
          log.call(2, root)
          allocator.synchronize()
          allocator.synchronize()
          #expect(!isOver.with { $0 } && log.numbers.isEmpty)
          PausePoints.resume(.beforeCallbacks)
          waiter.join()
          allocator.barrier()
          #expect(log.numbers.sorted() == [1, 2])
          try allocator.destroy(root)
        }
      }
    }

    /// Around the flip: what was open before is waited for, whatever index it has; what begins
    /// afterwards is not.
    @Test(arguments: [PausePoint.beforeFlip, .afterFlip])
    func sectionsAroundTheFlip(point: PausePoint) async {
      await #expect(processExitsWith: .success) { [number = point.rawValue as UInt64] in
        let point = PausePoint(rawValue: number)!
        try withAllocator { allocator in
          let before = allocator.beginReading()
          PausePoints.arm(point)
          let isOver = Shared(false)
          let waiter = TestThread {
            allocator.synchronize()
            isOver.with { $0 = true }
          }
          #expect(PausePoints.waitUntilReached(point))
          let between = allocator.beginReading()
          PausePoints.resume(point)
          for _ in 0..<200 { Threads.yield() }
          #expect(!isOver.with { $0 })
          allocator.endReading(before)
          if point == .afterFlip {
            // It took the new index: this grace period does not wait for it, the next one does.
            waiter.join()
            let next = TestThread { allocator.synchronize() }
            allocator.endReading(between)
            next.join()
          } else {
            allocator.endReading(between)
            waiter.join()
          }
        }
      }
    }
  #endif
}
