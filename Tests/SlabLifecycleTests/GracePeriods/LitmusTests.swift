// SPDX-License-Identifier: Apache-2.0
// Litmus tests: two or three threads, a few words, and an outcome that must not be seen. They are the
// shapes that the orders of the core are there for; each runs many times, since one says nothing.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct LitmusTests {
  private static let rounds = isDebugBuild || isSanitized ? 4000 : 40_000

  /// Store buffering: a section's beginning and the load after it, against a store and the look at the
  /// counters after it. Forbidden: a section that saw no X, and then sees the Y that was stored a
  /// grace period later.
  @Test func sectionAgainstSynchronize() throws {
    try withAllocator { allocator in
      let words = LitmusWords()
      // One CPU is the writer's: a reader that is preempted in its section tests nothing but patience.
      let readers = (0..<max(1, min(3, allowedCPUs().count - 1))).map { _ in
        TestThread {
          while !words.isOver.load(ordering: .relaxed) {
            if words.looks.load(ordering: .relaxed) % 64 == 0 { Threads.yield() }
            words.fillStoreBuffer()
            let section = allocator.beginReading()
            let x = words.x.load(ordering: .relaxed)
            for _ in 0..<x % 64 { Threads.pause() }
            // Acquiring: pairs with the releasing store: a thread that sees Y has a grace period behind X.
            let y = words.y.load(ordering: .acquiring)
            allocator.endReading(section)
            if y > x { words.forbidden.add(1, ordering: .relaxed) }
            words.looks.add(1, ordering: .relaxed)
          }
        }
      }
      while words.looks.load(ordering: .relaxed) == 0 { Threads.yield() }
      for round in 1...UInt(Self.rounds) * 5 {
        words.fillStoreBuffer()
        words.x.store(round, ordering: .relaxed)
        allocator.synchronize()
        words.y.store(round, ordering: .releasing)
      }
      words.isOver.store(true, ordering: .relaxed)
      for reader in readers { reader.join() }
      #expect(words.forbidden.load(ordering: .relaxed) == 0)
    }
  }

  /// Message passing: a reader that finds an object finds it whole, though its memory was another object's a
  /// moment ago.
  @Test func publishedObjectsAreWhole() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let words = LitmusWords()
      let readers = (0..<2).map { _ in
        TestThread {
          while !words.isOver.load(ordering: .relaxed) {
            let section = allocator.beginReading()
            // Acquiring: pairs with the releasing exchange below.
            let object = words.x.load(ordering: .acquiring)
            if object != 0 {
              let first = AtomicWord(at: object).load()
              for index in 1..<8 where AtomicWord(at: object + UInt(index * 8)).load() != first {
                words.forbidden.add(1, ordering: .relaxed)
              }
            }
            allocator.endReading(section)
            words.looks.add(1, ordering: .relaxed)
          }
        }
      }
      while words.looks.load(ordering: .relaxed) == 0 { Threads.yield() }
      for round in 1...Self.rounds * 5 {
        let object = try allocator.allocate(from: root, in: nil)
        for index in 0..<8 { AtomicWord(at: object + UInt(index * 8)).store(UInt64(round)) }
        let old = words.x.exchange(object, ordering: .acquiringAndReleasing)
        if old != 0 { allocator.freeAfterGracePeriod(old) }
      }
      words.isOver.store(true, ordering: .relaxed)
      for reader in readers { reader.join() }
      allocator.free(words.x.load(ordering: .relaxed))
      #expect(words.forbidden.load(ordering: .relaxed) == 0)
      try allocator.destroy(root)
    }
  }

  /// The first use of a cache in a group, by two threads at once: both get the same child, whole.
  @Test func publishedChildCachesAreWhole() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64, options: .typeSafe)
      for _ in 0..<(Self.rounds / 40) {
        let group = try allocator.makeGroup("group")
        let children = Shared([Pointer<Cache>]())
        onThreads(2) { _ in
          guard let object = try? allocator.allocate(from: root, in: group),
            let child = allocator.cache(of: object)
          else { return }
          #expect(child.pointee.root == root && child.pointee.group == group)
          children.with { $0.append(child) }
          allocator.free(object)
        }
        let both = children.with { $0 }
        #expect(both.count == 2 && both.first == both.last)
        allocator.release(group)
      }
      try allocator.destroy(root)
    }
  }

  /// After the fence nobody writes to a sheaf that was closed before it.
  @Test func closedSheafIsNotWrittenAfterTheFence() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let words = LitmusWords()
      let pushers = (0..<2).map { _ in
        TestThread {
          while !words.isOver.load(ordering: .relaxed) {
            guard let object = try? allocator.allocate(from: root, in: nil) else { return }
            allocator.freeAfterGracePeriod(object)
            words.looks.add(1, ordering: .relaxed)
          }
        }
      }
      while words.looks.load(ordering: .relaxed) < 2000 { Threads.yield() }
      for _ in 0..<(Self.rounds / 10) where !allocator.deferredSheafStandsStill() {
        words.forbidden.add(1, ordering: .relaxed)
      }
      words.isOver.store(true, ordering: .relaxed)
      for pusher in pushers { pusher.join() }
      allocator.barrier()
      #expect(root.sum(RootCache.Sum.deferred) == 0)
      #expect(words.forbidden.load(ordering: .relaxed) == 0)
      try allocator.destroy(root)
    }
  }

  /// Objects that a callback is freeing at that moment are nobody's: a cache is not busy with them.
  @Test func destroyAgainstDeferredFrees() throws {
    try withAllocator { allocator in
      for round in 0..<(Self.rounds / 4) {
        let root = try allocator.makeCache("cache", size: 64)
        for _ in 0..<100 {
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
        }
        allocator.kickCallbackWorker(isHurried: true)
        for _ in 0..<round % 256 { Threads.pause() }
        if round % 2 == 0 { Threads.yield() }
        try allocator.destroy(root)
      }
    }
  }

  /// An object in the hand of a callback that is slow: destroy waits for it, and refuses nothing.
  @Test func destroyAgainstASlowDeferredFree() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let deferred = Pointer<DeferredFrees>(of: &allocator.deferredFrees.pointee)
      let object = try allocator.allocate(from: root, in: nil)
      // As in `freeDeferred`, before the free.
      deferred.pointee.freeing.add(1, ordering: .sequentiallyConsistent)
      let outcome = Shared<Result<Void, AllocatorError>?>(nil)
      let destroyer = TestThread {
        let result = Result { () throws(AllocatorError) in try allocator.destroy(root) }
        outcome.with { $0 = result }
      }
      #expect(
        eventually { deferred.pointee.counting.load(ordering: .sequentiallyConsistent) == 1 })
      for _ in 0..<100 { Threads.yield() }
      #expect(outcome.with { $0 } == nil)
      allocator.free(object)
      deferred.pointee.freeing.subtract(1, ordering: .sequentiallyConsistent)
      destroyer.join()
      #expect(throws: Never.self) { try outcome.with { $0 }?.get() }
    }
  }

  /// A flush that has begun and has queued nothing yet: a barrier waits for it.
  @Test func barrierAgainstAFlushThatIsSlow() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let deferred = Pointer<DeferredFrees>(of: &allocator.deferredFrees.pointee)
      // The first opens the sheaf; then nobody is at work on it.
      allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
      allocator.barrier()
      HeldLocks.beginFork()
      let lock = deferred.pointee.lock.lock()
      allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
      // As in `flushDeferredFrees`, up to the fence.
      deferred.pointee.isMoving.store(true, ordering: .sequentiallyConsistent)
      deferred.pointee.isUsed.store(false, ordering: .sequentiallyConsistent)
      let thread = Shared(0)
      let waiter = TestThread {
        thread.with { $0 = threadID() }
        allocator.barrier()
        #expect(root.sum(RootCache.Sum.deferred) == 0)
      }
      #expect(eventually { thread.with { $0 } != 0 })
      #expect(waitUntilAsleep(threadID: thread.with { $0 }))
      #expect(root.sum(RootCache.Sum.deferred) == 1)
      deferred.pointee.isUsed.store(true, ordering: .sequentiallyConsistent)
      deferred.pointee.isMoving.store(false, ordering: .sequentiallyConsistent)
      lock.unlock()
      waiter.join()
      try allocator.destroy(root)
    }
  }

  /// A barrier waits for deferred frees that another thread is moving off the sheaf at that moment.
  @Test func barrierAgainstFlush() throws {
    try withAllocator { allocator in
      let roots = try (0..<3).map { try allocator.makeCache("cache-\($0)", size: 64) }
      let late = Shared(0)
      onThreads(3) { thread in
        let root = roots[thread]
        for _ in 0..<(Self.rounds / 4) {
          guard let object = try? allocator.allocate(from: root, in: nil) else { return }
          allocator.freeAfterGracePeriod(object)
          if thread == 2 { allocator.flushDeferredFrees() } else { allocator.barrier() }
          if thread < 2, root.sum(RootCache.Sum.deferred) != 0 { late.with { $0 += 1 } }
        }
      }
      #expect(late.with { $0 } == 0)
      allocator.barrier()
      for root in roots { try allocator.destroy(root) }
    }
  }
}

private final class LitmusWords: Sendable {
  let x = Atomic<UInt>(0)
  let y = Atomic<UInt>(0)
  let looks = Atomic<Int>(0)
  let forbidden = Atomic<Int>(0)
  let isOver = Atomic<Bool>(false)
  private let noise = InlineArray<128, Atomic<UInt>> { _ in Atomic(0) }

  /// Stores to lines that other CPUs store to: what is stored next waits behind them, and is seen late.
  func fillStoreBuffer() {
    for line in 0..<16 { noise[line * 8].store(1, ordering: .relaxed) }
  }
}

extension Pointer where Pointee == AllocatorState {
  /// Closes the sheaf of deferred frees, fences, and looks twice at every CPU's words.
  fileprivate func deferredSheafStandsStill() -> Bool {
    let lock = deferredFrees.pointee.lock.lock()
    let mode = region.pointee.mode
    let word = deferredFrees.pointee.words.exchange(.closed, mode: mode)
    var standsStill = false
    if (try? region.pointee.fence()) != nil {
      let before = words(of: word)
      for _ in 0..<300 { Threads.pause() }
      standsStill = words(of: word) == before
    }
    _ = deferredFrees.pointee.words.exchange(word, mode: mode)
    lock.unlock()
    return standsStill
  }

  private func words(of word: SheafWord) -> [UInt64] {
    (0..<region.pointee.stripeCount).flatMap { stripe in
      let first = region.pointee.address(word.first, onStripe: stripe)
      let count = AtomicWord(at: first).load()
      // What stands above the top is nobody's, but must not change either.
      return [count] + (1...word.capacity).map { AtomicWord(at: first + UInt($0 * 8)).load() }
    }
  }
}
