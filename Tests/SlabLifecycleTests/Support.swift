// SPDX-License-Identifier: Apache-2.0
// What the tests of the life cycle share: holding the workers off, waiting with a bound, and a box
// to pass things between threads that ThreadSanitizer understands.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// Runs a body while no worker can begin anything: their busy locks are held, as fork does.
func withWorkersHeldOff<Result>(
  of allocator: Allocator, _ body: () throws -> Result
) rethrows -> Result {
  HeldLocks.beginFork()
  for index in 0..<Workers.most {
    unsafe allocator.lifecycle.pointee.workers.busy[index].lock().leaveLocked()
  }
  defer {
    for index in 0..<Workers.most {
      unsafe allocator.lifecycle.pointee.workers.busy[index].alreadyHeld().unlock()
    }
  }
  return try body()
}

/// Waits until a condition holds; false if it does not within 20 s.
func eventually(within nanoseconds: UInt64 = 20_000_000_000, _ condition: () -> Bool) -> Bool {
  let deadline = SystemCall.monotonicNanoseconds + nanoseconds
  while SystemCall.monotonicNanoseconds < deadline {
    if condition() { return true }
    sched_yield()
  }
  return false
}

/// A thread that may have to wait for another one.
final class HeldUpThread: Sendable {
  private let shared: Words
  private let thread: TestThread

  /// What it shares with the threads that look at it, without a lock: then it sleeps nowhere but in its body.
  private final class Words: Sendable {
    let threadID = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
  }

  init(_ body: @escaping @Sendable () -> Void) {
    let shared = Words()
    self.shared = shared
    thread = TestThread {
      shared.threadID.store(SlabTestSupport.threadID(), ordering: .releasing)
      body()
      shared.isOver.store(true, ordering: .releasing)
    }
  }

  var isOver: Bool { shared.isOver.load(ordering: .acquiring) }

  /// Whether it waits for something; false if its body is over. Waits for one of the two.
  func waits() -> Bool {
    let waitsOrIsOver = eventually {
      let threadID = shared.threadID.load(ordering: .acquiring)
      return isOver || threadID != 0 && isAsleep(threadID: threadID)
    }
    return waitsOrIsOver && !isOver
  }

  func join() { thread.join() }
}

/// A value that threads share under the allocator's own lock: it is taken by compare-and-swap in
/// user space, so that ThreadSanitizer sees it.
final class Shared<Value>: @unchecked Sendable {
  private let lock = Lock(outsideOfTheOrder: ())
  private var value: Value

  init(_ value: Value) { self.value = value }

  func with<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    lock.lock()
    defer { lock.unlock() }
    return try body(&value)
  }
}

/// An object with what is needed to check it and to free it.
struct TestObject: Sendable {
  let address: UInt
  let size: Int
  let tag: UInt64

  /// Takes an object and fills it.
  init(
    from root: Pointer<RootCache>, in group: Pointer<Group>?, of allocator: Allocator, tag: UInt64
  ) throws(AllocatorError) {
    address = try allocator.allocate(from: root, in: group)
    size = root.pointee.objectSize
    self.tag = tag
    fillObject(address, size: size, tag: tag)
  }

  /// Frees the object; false if other code had written to it.
  func free(to allocator: Allocator) -> Bool {
    let isWhole = isFilled(address, size: size, tag: tag)
    allocator.free(address)
    return isWhole
  }
}

extension Allocator {
  /// A cache without a constructor, whose type alone would make each call an unsafe expression.
  func makeCache(
    _ name: String, size: Int, options: SlabCacheOptions = []
  ) throws(AllocatorError) -> Pointer<RootCache> {
    try unsafe makeCache(name, size: size, options: options, constructor: nil)
  }

  /// Takes and frees objects until the cache that serves them has a sheaf with objects in it.
  func warmUp(_ root: Pointer<RootCache>, in group: Pointer<Group>?) throws {
    for _ in 0..<400 {
      let first = try allocate(from: root, in: group)
      let second = try allocate(from: root, in: group)
      let cache = self.cache(of: first)!
      free(first)
      free(second)
      if cache.sheafObjects > 0 { return }
    }
    Issue.record("the cache has no sheaf")
  }

  func expectError<Result>(
    _ expected: AllocatorError, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws(AllocatorError) -> Result
  ) {
    do throws(AllocatorError) {
      _ = try body()
      Issue.record("no error", sourceLocation: sourceLocation)
    } catch {
      #expect(error == expected, sourceLocation: sourceLocation)
    }
  }
}

extension Pointer where Pointee == Group {
  /// Bytes charged now, and the most that were.
  var currentBytes: Int { pointee.current.load(ordering: .relaxed) }
  var peakBytes: Int { pointee.peak.load(ordering: .relaxed) }
}

/// The pages that objects lie in.
func pages(of objects: [UInt]) -> Set<UInt> { Set(objects.map { $0 >> 12 }) }

/// The object size that costs one slab of 32 KiB per object: then charges are plain numbers.
let slabOfOne = 32 << 10

extension Pointer where Pointee == Cache {
  var sheafObjects: Int {
    let lock = pointee.lock.lock()
    return objectsInSheaf(under: lock)
  }
  /// Open or resting.
  var sheaf: SheafWord {
    let lock = pointee.lock.lock()
    return sheaf(under: lock)
  }
}
