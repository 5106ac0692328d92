// SPDX-License-Identifier: Apache-2.0
// Grace periods: what they wait for and what not, cookies, callbacks, barriers, deferred frees.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct GracePeriodTests {
  @Test func withoutReadersItIsOverAtOnce() throws {
    try withAllocator { allocator in
      let before = allocator.statistics.gracePeriods
      allocator.synchronize()
      #expect(allocator.statistics.gracePeriods == before + 1)
    }
  }

  @Test func waitsForASectionThatIsOpen() throws {
    try withAllocator { allocator in
      let section = allocator.beginReading()
      let isOver = Shared(false)
      let word = allocator.readers.pointee.word.first
      let waiter = TestThread {
        allocator.synchronize()
        isOver.with { $0 = true }
      }
      // The wait has begun once the index has changed.
      #expect(
        eventually { allocator.readers.pointee.word.first != word })
      #expect(!isOver.with { $0 })
      // Sections that begin now are not waited for.
      let later = allocator.beginReading()
      #expect(!isOver.with { $0 })
      allocator.endReading(section)
      waiter.join()
      #expect(isOver.with { $0 })
      allocator.endReading(later)
    }
  }

  /// Each grace period changes the index and costs one membarrier, or a turn of the stripes' locks.
  @Test func costsOneFence() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let isFencedByCall = allocator.region.pointee.mode == .restartableSequences
        for _ in 0..<10 {
          // The first fails and is made again; without that there is no second.
          for (nth, failing) in [(1, isFencedByCall ? 1 : 0), (2, 0)] {
            FaultInjection.failCall(nth, of: .membarrier, with: .noMemory)
            allocator.synchronize()
            #expect(FaultInjection.end() == failing)
          }
          let word = allocator.readers.pointee.word.first
          allocator.synchronize()
          #expect(allocator.readers.pointee.word.first == word ^ Readers.indexBit)
        }
      }
    }
  }

  @Test func sectionsNestAndEndOnOtherThreads() throws {
    try withAllocator { allocator in
      let outer = allocator.beginReading()
      let inner = allocator.beginReading()
      let cookie = allocator.gracePeriodCookie()
      allocator.endReading(outer)
      let waiter = TestThread { allocator.synchronize(cookie) }
      #expect(!allocator.isOver(cookie))
      TestThread { allocator.endReading(inner) }.join()
      waiter.join()
      #expect(allocator.isOver(cookie))
    }
  }

  /// The counters of sections wrap, and so do their sums: what counts is the difference.
  @Test(arguments: [false, true]) func sectionsAcrossTheCountersEnd(onEveryStripe: Bool) throws {
    try withAllocator { allocator in
      let state = allocator
      let block = state.readers.pointee.word.first & ~63
      for stripe in 0..<(onEveryStripe ? state.region.pointee.stripeCount : 1) {
        let counters = Words(at: state.region.pointee.address(block, onStripe: stripe))
        for counter in 0..<4 { counters[counter] = UInt64(Int.max) }
      }
      for _ in 0..<3 {
        let isOver = Shared(false)
        let section = allocator.beginReading()
        let waiter = TestThread {
          allocator.synchronize()
          isOver.with { $0 = true }
        }
        while state.gracePeriods.pointee.value.load(ordering: .acquiring) & 1 == 0 {
          Threads.yield()
        }
        #expect(state.hasOpenSections)
        #expect(!isOver.with { $0 })
        allocator.endReading(section)
        waiter.join()
        #expect(!state.hasOpenSections)
      }
    }
  }

  @Test func cookies() throws {
    try withAllocator { allocator in
      let first = allocator.gracePeriodCookie()
      #expect(!allocator.isOver(first))
      allocator.synchronize()
      #expect(allocator.isOver(first))
      let second = allocator.gracePeriodCookie()
      #expect(second != first)
      let before = allocator.statistics.gracePeriods
      allocator.synchronize(second)
      allocator.synchronize(second)
      #expect(allocator.statistics.gracePeriods == before + 1)
    }
  }

  /// A cookie that is made while a grace period goes on is not satisfied by that one.
  @Test func cookieOfTheMiddleWaitsForTheNext() throws {
    try withAllocator { allocator in
      let section = allocator.beginReading()
      let word = allocator.readers.pointee.word.first
      let waiter = TestThread { allocator.synchronize() }
      #expect(
        eventually { allocator.readers.pointee.word.first != word })
      let cookie = allocator.gracePeriodCookie()
      allocator.endReading(section)
      waiter.join()
      #expect(!allocator.isOver(cookie))
      allocator.synchronize()
      #expect(allocator.isOver(cookie))
    }
  }

  @Test func manyWaitersShareGracePeriods() throws {
    try withAllocator { allocator in
      let section = allocator.beginReading()
      let before = allocator.statistics.gracePeriods
      let begun = Shared(0)
      let waiters = (0..<8).map { _ in
        TestThread {
          begun.with { $0 += 1 }
          allocator.synchronize()
        }
      }
      #expect(eventually { begun.with { $0 } == 8 })
      allocator.endReading(section)
      for waiter in waiters { waiter.join() }
      // One that was going on, and those after it: each serves all threads that asked before it began.
      #expect(allocator.statistics.gracePeriods - before <= 8)
      #expect(allocator.statistics.gracePeriods > before)
    }
  }

  @Test func callbacksRunInOrderAfterTheirGracePeriod() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let section = allocator.beginReading()
      let log = CallbackLog(allocator)
      onOneCPU { for number in 0..<200 { log.call(number, root) } }
      for _ in 0..<100 { Threads.yield() }
      #expect(log.numbers.isEmpty)
      allocator.endReading(section)
      allocator.barrier()
      #expect(log.numbers == Array(0..<200))
      try allocator.destroy(root)
    }
  }

  @Test func barrierWithoutCallbacksIsNoGracePeriod() throws {
    try withAllocator { allocator in
      allocator.barrier()
      let before = allocator.statistics
      let section = allocator.beginReading()
      allocator.barrier()
      #expect(allocator.statistics.gracePeriods == before.gracePeriods)
      #expect(allocator.statistics.barriers == before.barriers + 1)
      allocator.endReading(section)
    }
  }

  @Test(arguments: [1, 3]) func barrierWaitsForEveryQueue(workers: Int) throws {
    var configuration = AllocatorConfiguration()
    configuration.callbackWorkerLimit = workers
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let log = CallbackLog(allocator)
      for round in 1...30 {
        onThreads(3) { thread in
          for number in 0..<20 { log.call(thread * 100 + number, root) }
        }
        allocator.barrier()
        #expect(log.numbers.count == round * 60)
      }
      try allocator.destroy(root)
    }
  }

  @Test func barriersFromManyThreads() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let log = CallbackLog(allocator)
      onThreads(4) { thread in
        for number in 0..<50 {
          let mine = thread * 1000 + number
          log.call(mine, root)
          allocator.barrier()
          #expect(log.numbers.contains(mine))
        }
      }
      #expect(log.numbers.count == 200)
      try allocator.destroy(root)
    }
  }

  @Test(arguments: [1, 508, 509, 510, 511, 5000]) func deferredFrees(count: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      let objects = try (0..<count).map { _ in try allocator.allocate(from: root, in: group) }
      let section = allocator.beginReading()
      for object in objects { allocator.freeAfterGracePeriod(object) }
      #expect(try allocator.liveObjects(of: root) == 0)
      #expect(Int(root.sum(RootCache.Sum.deferred)) == count)
      #expect(root.sum(RootCache.Sum.objectsInUse) >= count)
      allocator.endReading(section)
      allocator.barrier()
      #expect(root.sum(RootCache.Sum.deferred) == 0)
      try allocator.close(group)
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(rootGroupBytes(allocator) == 0)
      try allocator.destroy(root)
    }
  }

  @Test func destroyDoesNotCountDeferredFrees() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let other = try allocator.makeCache("other", size: 64)
      let kept = try allocator.allocate(from: other, in: nil)
      let section = allocator.beginReading()
      for _ in 0..<700 {
        allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
      }
      try allocator.destroy(root)
      // Its name is free at once, though its objects wait.
      let again = try allocator.makeCache("cache", size: 64)
      allocator.endReading(section)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.rootCachesReleased == 1)
      allocator.free(kept)
      try allocator.destroy(again)
      try allocator.destroy(other)
    }
  }

  /// A flood makes grace periods come faster, and slows the thread that makes it.
  @Test func aFloodIsBounded() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      var most = 0
      for _ in 0..<(isSanitized ? 60 : 100) {
        for _ in 0..<20_000 {
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
        }
        most = max(most, root.sum(RootCache.Sum.deferred))
      }
      // Of two million, or 1.2. Without the limit a worker that is behind stays behind.
      #expect(most < 1_000_000)
      #expect(allocator.statistics.gracePeriods > 10)
      allocator.barrier()
      #expect(root.sum(RootCache.Sum.deferred) == 0)
      try allocator.destroy(root)
    }
  }
}

private func rootGroupBytes(_ allocator: Allocator) -> Int {
  allocator.rootGroup.pointee.current.load(ordering: .relaxed)
}

/// Callbacks that write down that they ran; each stands in an object that it frees.
final class CallbackLog: Sendable {
  private let allocator: Allocator
  private let log = Shared([Int]())

  init(_ allocator: Allocator) { self.allocator = allocator }

  var numbers: [Int] { log.with { $0 } }

  func call(_ number: Int, _ root: Pointer<RootCache>) {
    let object = try! allocator.allocate(from: root, in: nil)
    let words = Words(at: object)
    words[2] = UInt64(number)
    words[3] = UInt64(allocator.address)
    // SAFETY: the log outlives the callbacks: the tests wait for them.
    words[4] = unsafe UInt64(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()))
    unsafe allocator.call(Pointer(nonzeroAddress: object)) { head in
      let words = Words(at: UInt(bitPattern: head))
      let allocator = unsafe Allocator(nonzeroAddress: UInt(words[3]))
      // SAFETY: as above.
      let log = unsafe Unmanaged<CallbackLog>.fromOpaque(
        UnsafeRawPointer(bitPattern: UInt(words[4]))!
      ).takeUnretainedValue()
      log.log.with { $0.append(Int(words[2])) }
      allocator.free(UInt(bitPattern: head))
    }
  }
}
