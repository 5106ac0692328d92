// SPDX-License-Identifier: Apache-2.0
// What a thread that has something in hand may do while a fork waits for it: everything but fork.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// What a callback needs, which has no context.
private enum Scene {
  static let isRunning = Atomic<Bool>(false)
  static let other = Atomic<UInt>(0)
  static let root = Atomic<UInt>(0)

  static var allocator: Allocator {
    unsafe Allocator(nonzeroAddress: other.load(ordering: .acquiring))
  }
}

/// In a callback, while a fork waits: objects of another allocator, found by their address, its groups,
/// and an allocator that is made and ended. All of it takes locks that the fork wants.
private func useOtherAllocators() {
  let allocator = Scene.allocator
  let root = unsafe Pointer<RootCache>(nonzeroAddress: Scene.root.load(ordering: .acquiring))
  do throws(AllocatorError) {
    let group = try allocator.makeGroup("in the callback")
    var objects: [UInt] = []
    for _ in 0..<1000 { objects.append(try allocator.allocate(from: root, in: group)) }
    for object in objects { SharedHeap.freeElsewhere(object) }
    allocator.release(group)
    try Allocator().unmapEverything()
  } catch {
    Issue.record("\(error)")
  }
}

@Suite(.inTurn, .enabled(if: !isSanitized)) struct ForkGateTests {
  @Test(arguments: [false, true]) func aCallbackUsesOtherAllocators(isOldest: Bool) async {
    await #expect(processExitsWith: .success) { [isOldest = isOldest as Bool] in
      prepareForForks()
      // The list has them newest first; the fork locks them in this order.
      let first = try Allocator()
      let second = try Allocator()
      let (other, own) = isOldest ? (first, second) : (second, first)
      let root = try other.makeCache("cache", size: 64)
      Scene.root.store(root.address, ordering: .releasing)
      Scene.other.store(other.address, ordering: .releasing)
      useOtherAllocators()
      var head = GracePeriodCallback()
      try unsafe withUnsafeMutablePointer(to: &head) { head in
        unsafe own.call(Pointer(head)) { _ in
          Scene.isRunning.store(true, ordering: .releasing)
          #expect(eventually { ForkGate.isForking })
          useOtherAllocators()
        }
        #expect(eventually { Scene.isRunning.load(ordering: .acquiring) })
        let process = forkProcess()
        if process == 0 { _exit(0) }
        #expect(exitCode(ofChild: process) == 0)
        own.barrier()
        try other.destroy(root)
      }
      own.unmapEverything()
      other.unmapEverything()
    }
  }

  /// A thread without anything in hand waits for the fork, and one with something passes at once.
  @Test func whoHasSomethingInHandPasses() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let root = try unsafe allocator.makeCache("constructed", size: 64) { _ in
          // With the slab in hand.
          #expect(Threads.thingsInHand > 0)
        }
        #expect(Threads.thingsInHand == 0)
        allocator.free(try allocator.allocate(from: root, in: nil))
        #expect(Threads.thingsInHand == 0)
        try allocator.destroy(root)
      }
    }
  }

  /// It would wait for itself.
  @Test func forkInAConstructor() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      _ = signal(SIGABRT, SIG_DFL)
      let allocator = try Allocator()
      let root = try unsafe allocator.makeCache("forking", size: 64) { _ in _ = forkProcess() }
      _ = try allocator.allocate(from: root, in: nil)
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text == "slab: fork: called from a constructor (deadlock)\n")
  }
}
