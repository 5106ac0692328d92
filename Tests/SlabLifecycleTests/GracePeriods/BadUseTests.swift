// SPDX-License-Identifier: Apache-2.0
// Broken contracts of grace periods: each has its line, and the process ends, or goes on where the
// documentation says so.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// An allocator in a process that will end by a line: without the runtime's crash handler.
private func makeAllocator(tracksReaders: Bool = false) throws -> Allocator {
  _ = signal(SIGABRT, SIG_DFL)
  var configuration = AllocatorConfiguration()
  configuration.tracksReaders = tracksReaders
  return try Allocator(configuration: configuration)
}

private func errorText(of result: ExitTest.Result?) throws -> String {
  String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
}

extension Allocator {
  /// Queues a callback that does something with the allocator.
  fileprivate func queue(
    _ root: Pointer<RootCache>, _ function: @escaping GracePeriodCallback.Function
  ) throws {
    let object = try allocate(from: root, in: nil)
    Words(at: object)[2] = UInt64(address)
    unsafe call(Pointer<GracePeriodCallback>(nonzeroAddress: object), function)
  }
}

private func allocator(of head: UnsafeMutableRawPointer) -> Allocator {
  unsafe Allocator(nonzeroAddress: UInt(Words(at: UInt(bitPattern: head))[2]))
}

@Suite(.inTurn) struct BadUseTests {
  /// Found by the next grace period.
  @Test func sectionEndedTwice() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      let allocator = try makeAllocator()
      let section = allocator.beginReading()
      allocator.endReading(section)
      allocator.endReading(section)
      allocator.synchronize()
    }
    #expect(try errorText(of: result) == "slab: reader: a section was ended that is not open\n")
  }

  /// A grace period is over between the two ends: the next one finds it, before its index is in use again.
  @Test func sectionEndedAgainLater() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      let allocator = try makeAllocator()
      let section = allocator.beginReading()
      allocator.endReading(section)
      allocator.synchronize()
      allocator.endReading(section)
      allocator.synchronize()
      exit(0)
    }
    #expect(try errorText(of: result) == "slab: reader: a section was ended that is not open\n")
  }

  /// Found at once.
  @Test func trackedSectionEndedTwice() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      let allocator = try makeAllocator(tracksReaders: true)
      let section = allocator.beginReading()
      allocator.endReading(section)
      allocator.endReading(section)
      exit(0)
    }
    #expect(try errorText(of: result) == "slab: reader: a section was ended that is not open\n")
  }

  /// Whatever runs the callback: a worker, or without one the thread that waits.
  @Test(arguments: [false, true]) func barrierInACallback(isWithoutWorker: Bool) async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) { [isWithoutWorker = isWithoutWorker as Bool] in
      let state = try makeAllocator()
      let root = try state.makeCache("cache", size: 64)
      if isWithoutWorker {
        FaultInjection.failCall(1, of: .startThread, with: .noMemory, repeating: true)
      }
      unsafe try state.queue(root) { unsafe allocator(of: $0).barrier() }
      state.barrier()
    }
    #expect(
      try errorText(of: result).hasSuffix("slab: barrier: called from a callback (deadlock)\n"))
  }

  @Test(arguments: [false, true]) func forkInACallback(isWithoutWorker: Bool) async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) { [isWithoutWorker = isWithoutWorker as Bool] in
      let state = try makeAllocator()
      let root = try state.makeCache("cache", size: 64)
      if isWithoutWorker {
        FaultInjection.failCall(1, of: .startThread, with: .noMemory, repeating: true)
      }
      unsafe try state.queue(root) { _ in _ = forkProcess() }
      state.barrier()
    }
    #expect(
      try errorText(of: result).hasSuffix("slab: fork: called from a callback (deadlock)\n"))
  }

  /// With tracking a thread that would wait for itself is told so, and where.
  @Test(arguments: ["synchronize", "barrier", "cookie"])
  func waitingInAnOwnSection(how: String) async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) { [how = how as String] in
      let allocator = try makeAllocator(tracksReaders: true)
      let cookie = allocator.gracePeriodCookie()
      _ = allocator.beginReading(line: 4711)
      switch how {
      case "synchronize": allocator.synchronize()
      case "barrier": allocator.barrier()
      default: allocator.synchronize(cookie)
      }
    }
    let text = try errorText(of: result)
    #expect(
      text
        == "slab: reader: this thread would wait for its own section, which began at "
        + "SlabLifecycleTests/BadUseTests.swift:4711 (deadlock)\n")
  }

  /// A section that may end on another thread is nobody's own: the wait ends when it does.
  @Test func sectionsThatSuspendAreNotTheThreads() throws {
    var configuration = AllocatorConfiguration()
    configuration.tracksReaders = true
    try withAllocator(configuration: configuration) { allocator in
      let section = allocator.beginReading(suspends: true)
      let word = allocator.readers.pointee.word.first
      let ender = TestThread {
        #expect(
          eventually { allocator.readers.pointee.word.first != word })
        allocator.endReading(section)
      }
      allocator.synchronize()
      ender.join()
    }
  }

  @Test func allocatorEndsWithAnOpenSection() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      let allocator = try makeAllocator()
      _ = allocator.beginReading()
      allocator.unmapEverything()
    }
    #expect(
      try errorText(of: result) == "slab: allocator: ended while a reader section is open\n")
  }

  /// A process may end in the middle of everything.
  @Test(arguments: [false, true]) func processEndsWithAnOpenSection(tracks: Bool) async {
    await #expect(processExitsWith: .exitCode(7)) { [tracks = tracks as Bool] in
      let allocator = try makeAllocator(tracksReaders: tracks)
      let root = try allocator.makeCache("cache", size: 64, options: .typeSafe)
      _ = allocator.beginReading()
      unsafe try allocator.queue(root) { _ in }
      for _ in 0..<600 {
        allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
      }
      exit(7)
    }
  }

  @Test func deferredFreeOfTheSameObjectTwice() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      let allocator = try makeAllocator()
      let root = try allocator.makeCache("cache", size: 64)
      let object = try allocator.allocate(from: root, in: nil)
      try onOneCPU {
        // The first opens the sheaf; then two stand on top of each other.
        allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
        allocator.freeAfterGracePeriod(object)
        allocator.freeAfterGracePeriod(object)
      }
      allocator.barrier()
    }
    #expect(try errorText(of: result).contains("double free"))
  }

  @Test func deferredFreeOfAForeignPointer() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      let allocator = try makeAllocator()
      allocator.freeAfterGracePeriod(4096)
    }
    #expect(try errorText(of: result).hasPrefix("slab: free: "))
  }

  /// Errors, not ends: a type-safe cache and groups that are over already.
  @Test func endingTwice() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64, options: .typeSafe)
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(from: root, in: group)
      allocator.expectError(.cacheBusy(objects: 1)) { () throws(AllocatorError) in
        try allocator.destroy(root)
      }
      try allocator.close(group)
      allocator.expectError(.groupOffline) { () throws(AllocatorError) in
        try allocator.close(group)
      }
      allocator.expectError(.rootGroup) { () throws(AllocatorError) in
        try allocator.close(allocator.rootGroup)
      }
      let section = allocator.beginReading()
      allocator.free(object)
      try allocator.destroy(root)
      // The barrier keeps the descriptor: the second attempt finds it.
      allocator.expectError(.cacheDestroyed) { () throws(AllocatorError) in
        try allocator.destroy(root)
      }
      allocator.expectError(.groupOffline) { () throws(AllocatorError) in
        _ = try allocator.allocate(from: root, in: group)
      }
      allocator.endReading(section)
      allocator.release(group)
    }
  }
}
