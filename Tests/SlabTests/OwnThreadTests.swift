// SPDX-License-Identifier: Apache-2.0
// What an object that ends after a grace period needs: memory that is not the heap's, and a thread whose
// stack and signals are as any other's; and where there is no thread.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

import struct SlabCore.Allocator

@testable import Slab

/// An object whose end is a recursion.
private final class ChainLink: Sendable {
  let next: ChainLink?
  init(_ next: ChainLink?) { self.next = next }
}

/// What it does at its end, on whichever thread that is.
private struct Acting: ~Copyable, Sendable {
  let action: @Sendable () -> Void
  init(_ action: @escaping @Sendable () -> Void) { self.action = action }
  deinit { action() }
}

/// Where a block is known from outside: a compiler that optimises leaves out a malloc whose block nobody
/// sees, and finds memory for ever.
private let lastBlock = Atomic<UInt>(0)

/// Takes all that malloc has, in pieces as small as a closure.
private func exhaustHeap() {
  var limit = rlimit(rlim_cur: UInt(mappedBytes()), rlim_max: .max)
  guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 else { _exit(30) }
  for shift in stride(from: 26, through: 4, by: -1) {
    while let block = unsafe malloc(1 << shift) {
      lastBlock.store(UInt(bitPattern: block), ordering: .relaxed)
    }
  }
}

/// Bytes of the running thread's stack below the caller.
private func stackBytesLeft() -> Int {
  typealias GetAttributes =
    @convention(c) (pthread_t, UnsafeMutablePointer<pthread_attr_t>) -> Int32
  let get = unsafe unsafeBitCast(dlsym(nil, "pthread_getattr_np")!, to: GetAttributes.self)
  let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
  var start: UnsafeMutableRawPointer?
  var size = 0
  guard unsafe get(pthread_self(), attributes) == 0,
    unsafe pthread_attr_getstack(attributes, &start, &size) == 0
  else { return 0 }
  unsafe attributes.deallocate()
  let frame = unsafe withUnsafeMutablePointer(to: &size) { UInt(bitPattern: $0) }
  return Int(frame - UInt(bitPattern: start))
}

@Suite(.inTurn) struct MissingNotifierTests {
  /// The thread that tells of changes cannot be had: they are told of all the same.
  @Test func whoAwaitsAnEmptyGroupIsTold() async {
    await #expect(processExitsWith: .success) {
      let allocator = try SlabAllocator()
      let group = try allocator.rootGroup.makeChild(named: "group")
      FaultInjection.failCall(1, of: .startThread, with: .noMemory, repeating: true)
      let changes = allocator.handle.notifier.changes(of: group.handle)
      #expect(FaultInjection.end() == 1)
      try group.close()
      for await _ in changes where group.isDrained { break }
      try await group.waitUntilDrained()
    }
  }
}

@Suite(.inTurn, .enabled(if: !isSanitized)) struct OwnThreadTests {
  /// The heap has nothing left, and no thread can be had: objects end all the same.
  @Test func withoutHeap() async {
    await #expect(processExitsWith: .success) {
      // The test library would look at each error of the core's, and allocate.
      prepareForForks()
      let allocator = try SlabAllocator()
      let cache = try SlabCache<Tracked>(named: "tracked", of: allocator)
      let ends = Tracked.Ends()
      // Without optimisation the runtime makes descriptions of types wherever they are first used: once
      // with memory, then without.
      for isWarmUp in [true, false] {
        let objects = try (0..<10_000).map { _ in
          UInt(bitPattern: unsafe try cache.allocate(Tracked(ends)).leak())
        }
        FaultInjection.failCall(1, of: .startThread, with: .noMemory, repeating: true)
        if !isWarmUp { exhaustHeap() }
        for index in 0..<objects.count {
          unsafe cache.adopt(UnsafeMutablePointer(bitPattern: objects[index])!)
            .freeAfterGracePeriod()
        }
        allocator.barrier()
        _ = FaultInjection.end()
      }
      _exit(ends.value == 20_000 ? 0 : 20)
    }
  }

  /// The core has nothing left either: a free waits; in a section of its own not for ever, and then
  /// the object is lost, which is said.
  @Test(arguments: [false, true], [false, true])
  func withoutARecord(isReading: Bool, hasDeinit: Bool) async throws {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) { [isReading = isReading as Bool, hasDeinit = hasDeinit as Bool] in
      let allocator = try SlabAllocator()
      let ends = Tracked.Ends()
      let cache = try SlabCache<Tracked>(named: "tracked", of: allocator)
      let plain = try SlabCache<UInt>(named: "plain", of: allocator)
      let objects = try (0..<20_000).map { _ in
        UInt(bitPattern: unsafe try cache.allocate(Tracked(ends)).leak())
      }
      let numbers = try (0..<20_000).map { _ in
        UInt(bitPattern: unsafe try plain.allocate(1).leak())
      }
      // All that the allocator has is used, but for what is left in the slabs of records and of pages.
      let fillers = try [32 << 10, 4096, 1024].map {
        try RawSlabCache(named: "filler-\($0)", objectSize: $0, of: allocator)
      }
      FaultInjection.failCall(1, of: .protect, with: .noMemory, repeating: true)
      for filler in fillers {
        while unsafe (try? filler.allocate(in: allocator.rootGroup)) != nil {}
      }
      let section = isReading ? allocator.core.beginReading() : nil
      let before = FaultInjection.hitCount
      var freed = 0
      for index in 0..<20_000 where !isReading || FaultInjection.hitCount == before {
        freed += 1
        if hasDeinit {
          unsafe cache.adopt(UnsafeMutablePointer(bitPattern: objects[index])!)
            .freeAfterGracePeriod()
        } else {
          unsafe plain.adopt(UnsafeMutablePointer(bitPattern: numbers[index])!)
            .freeAfterGracePeriod()
        }
      }
      #expect(FaultInjection.end() > before)
      if let section { allocator.core.endReading(section) }
      allocator.barrier()
      if isReading {
        let busy = SlabError.cacheBusy(objects: 20_000 - freed + 1)
        #expect(throws: busy) { try hasDeinit ? cache.destroy() : plain.destroy() }
      } else {
        #expect(ends.value == (hasDeinit ? 20_000 : 0))
      }
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("an object is lost\n") == isReading)
  }

  /// On a thread of the allocator's: a stack as any other's, and no signal from outside.
  @Test func aThreadAsAnyOther() async {
    await #expect(processExitsWith: .success) {
      let allocator = try SlabAllocator()
      let cache = try SlabCache<Acting>(named: "acting", of: allocator)
      let own = pthread_self()
      try cache.allocate(
        Acting {
          #expect(pthread_self() != own, "a thread of the allocator's")
          #expect(stackBytesLeft() > 8 << 20, "thread-local variables come on top")
          var mask = sigset_t()
          _ = unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
          let caused = [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS]
          for signal: Int32 in 1..<32 where signal != SIGKILL && signal != SIGSTOP {
            let isBlocked = unsafe sigismember(&mask, signal) == 1
            #expect(isBlocked != caused.contains(signal), "\(signal)")
          }
        }
      ).freeAfterGracePeriod()
      var chain: ChainLink?
      for _ in 0..<8000 { chain = ChainLink(chain) }
      let links = try SlabCache<ChainLink?>(named: "chain", of: allocator)
      let slot = try links.allocate(chain)
      chain = nil
      slot.freeAfterGracePeriod()
      allocator.barrier()
    }
  }

  /// What a process has for its traps, a handler or a backtrace, is called.
  @Test func aTrapIsReported() async {
    await #expect(processExitsWith: .exitCode(7)) {
      for trap in [SIGILL, SIGTRAP] { _ = signal(trap) { _ in _exit(7) } }
      let allocator = try SlabAllocator()
      let cache = try SlabCache<Acting>(named: "acting", of: allocator)
      let empty: [Int] = []
      try cache.allocate(Acting { _ = empty[empty.count] }).freeAfterGracePeriod()
      allocator.barrier()
    }
  }
}
