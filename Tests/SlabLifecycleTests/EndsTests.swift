// SPDX-License-Identifier: Apache-2.0
// Ends from unusual places: out of a callback, out of a process that ends or forks while something is
// on its way.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// An object whose callback ends something: a root, a group, or another callback's object.
private enum EndingInACallback: UInt64, CaseIterable {
  case destroy, offline, lastFree, again

  /// Queues it. The object's words: 2 the allocator, 3 what is ended, 4 the case.
  func queue(_ subject: UInt, from root: Pointer<RootCache>, of allocator: Allocator) throws {
    let object = try allocator.allocate(from: root, in: nil)
    let words = Words(at: object)
    words[2] = UInt64(allocator.address)
    words[3] = UInt64(subject)
    words[4] = rawValue
    unsafe allocator.call(Pointer(nonzeroAddress: object)) { head in
      let words = Words(at: UInt(bitPattern: head))
      let allocator = unsafe Allocator(nonzeroAddress: UInt(words[2]))
      let subject = UInt(words[3])
      switch EndingInACallback(rawValue: words[4])! {
      case .destroy: unsafe try! allocator.destroy(Pointer<RootCache>(nonzeroAddress: subject))
      case .offline: unsafe allocator.release(Pointer<Group>(nonzeroAddress: subject))
      case .lastFree: allocator.free(subject)
      case .again: allocator.freeAfterGracePeriod(subject)
      }
      allocator.free(UInt(bitPattern: head))
    }
  }
}

@Suite(.inTurn) struct EndsTests {
  @Test(arguments: [SlabCacheOptions(), .typeSafe]) func outOfACallback(options: SlabCacheOptions)
    throws
  {
    try withAllocator { allocator in
      let heads = try allocator.makeCache("heads", size: 64)
      for _ in 0..<20 {
        let ended = try allocator.makeCache("ended", size: 100, options: options)
        let pinned = try allocator.makeCache("pinned", size: 100, options: options)
        let group = try allocator.makeGroup("group")
        allocator.free(try allocator.allocate(from: ended, in: group))
        let last = try allocator.allocate(from: pinned, in: group)
        let again = try allocator.allocate(from: pinned, in: group)
        try EndingInACallback.destroy.queue(ended.address, from: heads, of: allocator)
        try EndingInACallback.offline.queue(group.address, from: heads, of: allocator)
        try EndingInACallback.lastFree.queue(last, from: heads, of: allocator)
        try EndingInACallback.again.queue(again, from: heads, of: allocator)
        // Those, and what they put in.
        allocator.barrier()
        allocator.barrier()
        try allocator.destroy(pinned)
        // The name is free again at once.
        try allocator.destroy(try allocator.makeCache("ended", size: 300))
      }
      try allocator.destroy(heads)
    }
  }

  #if DEBUG
    /// A process that ends while a thread stands at a hop ends like any other.
    @Test(arguments: PausePoint.hops) func theProcessEnds(at hop: PausePoint) async {
      await #expect(processExitsWith: .exitCode(7)) { [hop = hop.rawValue as UInt64] in
        let hop = PausePoint(rawValue: hop)!
        let allocator = try Allocator()
        let life = try Life(allocator)
        standing(at: hop, of: life) { exit(7) }
      }
    }

    /// A fork while a thread stands at a hop: it waits for what must not be halfway in the child, whose
    /// allocator is whole and ends what is left. The parent goes on.
    @Test(.enabled(if: !isSanitized), arguments: PausePoint.hops)
    func theProcessForks(at hop: PausePoint) async {
      await #expect(processExitsWith: .success) { [hop = hop.rawValue as UInt64] in
        let hop = PausePoint(rawValue: hop)!
        try withAllocator { allocator in
          prepareForForks()
          let life = try Life(allocator)
          // Once, so that the child is not the first to need anything of the runtime.
          try life.live()
          try life.act(.useTheRoots, at: hop)
          allocator.waitUntilIdle()
          expectWhole(allocator)
          let code = Shared(-1)
          var forking: TestThread?
          standing(at: hop, of: life) {
            forking = TestThread {
              let process = forkProcess()
              if process == 0 {
                // What the parent's threads had is nobody's here: the objects of its life.
                do {
                  try life.act(.useTheRoots, at: hop)
                  allocator.synchronize()
                  allocator.barrier()
                  allocator.waitUntilIdle()
                  _exit(allocator.brokenInvariant() == nil ? 42 : 1)
                } catch { _exit(2) }
              }
              code.with { $0 = exitCode(ofChild: process) }
            }
            // It forks now, or as soon as the hop is over.
            _ = eventually(within: 20_000_000) { code.with { $0 } != -1 }
          }
          forking?.join()
          #expect(code.with { $0 } == 42, "\(hop)")
          for root in life.roots { try allocator.destroy(root) }
        }
      }
    }
  #endif
}
