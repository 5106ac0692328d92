// SPDX-License-Identifier: Apache-2.0
// Merging: which user ends a root that has several, and what becomes of those that come meanwhile.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct MergeEndTests {
  @Test func onlyTheLastUserIsRefused() throws {
    try withMergingAllocator { allocator in
      let one = try allocator.makeReference("one", size: 64)
      let two = try allocator.makeReference("two", size: 64)
      let group = try allocator.makeGroup("group")
      let objects = try (0..<7).map { index in
        try allocator.allocate(from: two.root, in: index < 3 ? group : nil)
      }
      let pending = allocator.statistics.pendingEndings
      // They are another one's: no reason to refuse, nothing to end, nothing to wait for.
      try allocator.destroy(one)
      #expect(allocator.statistics.pendingEndings == pending)
      #expect(two.root.cache.state == .active)
      let before = try allocator.slabinfo()
      for live in stride(from: objects.count, to: 0, by: -1) {
        allocator.expectError(.cacheBusy(objects: live)) { () throws(AllocatorError) in
          try allocator.destroy(two)
        }
        if live == objects.count {
          // Nothing has changed: its name, its line, and that it can be joined.
          #expect(try allocator.slabinfo() == before)
          let three = try allocator.makeReference("three", size: 64)
          #expect(three.root == two.root)
          try allocator.destroy(three)
        }
        allocator.free(objects[live - 1])
      }
      try allocator.destroy(two)
      allocator.expectError(.cacheDestroyed) { () throws(AllocatorError) in
        try allocator.liveObjects(of: two.root)
      }
      allocator.release(group)
    }
  }

  /// While the last user's objects are counted nobody joins: so they are counted once, whatever others do,
  /// and those that come get a root of their own.
  @Test(arguments: [false, true]) func nobodyJoinsWhileObjectsAreCounted(isBusy: Bool) throws {
    try withMergingAllocator { allocator in
      let last = try allocator.makeReference("last", size: 64)
      let object = isBusy ? try allocator.allocate(from: last.root, in: nil) : nil
      let hasLeft = try allocator.leaveUnlessLast(last)
      #expect(!hasLeft)
      let other = try allocator.makeReference("other", size: 64)
      #expect(other.root != last.root && other.alias == nil)
      // An alias elsewhere, whose making used to begin the end anew.
      let third = try allocator.makeReference("third", size: 64)
      #expect(third.root == other.root && third.alias != nil)
      allocator.expectError(.nameInUse) { () throws(AllocatorError) in
        try allocator.makeReference("last", size: 64)
      }
      let live = try allocator.liveObjects(of: last.root)
      #expect(live == (isBusy ? 1 : 0))
      if isBusy {
        allocator.expectError(.cacheBusy(objects: 1)) { () throws(AllocatorError) in
          try allocator.lockToEnd(last, live: live).unlock()
        }
        // The oldest can be joined again.
        let next = try allocator.makeReference("next", size: 64)
        #expect(next.root == last.root)
        try allocator.destroy(next)
      } else {
        try allocator.lockToEnd(last, live: live).unlock()
        #expect(last.root.pointee.usersEnding == 0)
      }
      if let object { allocator.free(object) }
      try allocator.destroy(last)
      try allocator.destroy(third)
      try allocator.destroy(other)
    }
  }

  /// A cache that is ending is on the lists until its workers are through.
  @Test func neverIntoOneThatIsEnding() throws {
    try withMergingAllocator { allocator in
      let one = try allocator.makeReference("one", size: 64)
      let two = try allocator.makeReference("two", size: 64)
      try withWorkersHeldOff(of: allocator) {
        try allocator.destroy(one)
        try allocator.destroy(two)
        let next = try allocator.makeReference("two", size: 64)
        #expect(next.root != two.root)
        #expect(next.alias == nil)
        let joined = try allocator.makeReference("one", size: 64)
        #expect(joined.root == next.root)
        expectNames(["two"], try allocator.namesInSlabinfo())
        try allocator.destroy(next)
        try allocator.destroy(joined)
      }
    }
  }

  private func expectNames(_ expected: [String], _ found: [String]) {
    #expect(found == expected)
  }

  @Test func leavingTwice() async {
    await #expect(processExitsWith: .signal(SIGABRT)) {
      try withMergingAllocator { allocator in
        let one = try allocator.makeReference("one", size: 64)
        _ = try allocator.makeReference("two", size: 64)
        try allocator.destroy(one)
        try allocator.destroy(one)
      }
    }
    await #expect(processExitsWith: .signal(SIGABRT)) {
      try withMergingAllocator { allocator in
        _ = try allocator.makeReference("one", size: 64)
        let two = try allocator.makeReference("two", size: 64)
        try allocator.destroy(two)
        try allocator.destroy(two)
      }
    }
  }

  /// Threads make and destroy caches that are alike: a user with a reference has a root that works,
  /// and that ends with its last user.
  @Test func makingAgainstDestroying() throws {
    let rounds = isDebugBuild ? 300 : 2000
    try withMergingAllocator { allocator in
      let joined = Atomic<Int>(0)
      let busy = Atomic<Int>(0)
      onThreads(4) { thread in
        for round in 0..<rounds {
          do throws(AllocatorError) {
            let user = try allocator.makeReference("user-\(thread)", size: 57 + round % 8)
            if user.alias != nil { joined.add(1, ordering: .relaxed) }
            #expect(user.nameOfUser.text == "user-\(thread)")
            let object = try allocator.allocate(from: user.root, in: nil)
            fillObject(object, size: 57, tag: UInt64(thread))
            if round % 3 == 0 {
              // Refused if it is the last; what it says are objects that live.
              do throws(AllocatorError) { try allocator.destroy(user) } catch {
                guard case .cacheBusy(let objects) = error, objects >= 1 else {
                  Issue.record("\(error)")
                  return
                }
                busy.add(1, ordering: .relaxed)
                #expect(isFilled(object, size: 57, tag: UInt64(thread)))
                SharedHeap.free(object, to: user.root)
                try endAmongOthers(user, of: allocator)
                continue
              }
              // It was not: the object is counted as another's, which may be waiting for it.
              #expect(isFilled(object, size: 57, tag: UInt64(thread)))
              allocator.free(object)
            } else {
              #expect(isFilled(object, size: 57, tag: UInt64(thread)))
              SharedHeap.free(object, to: user.root)
              try endAmongOthers(user, of: allocator)
            }
          } catch {
            Issue.record("\(error)")
          }
        }
      }
      allocator.waitUntilIdle()
      expectWhole(allocator)
      let names = try allocator.namesInSlabinfo()
      #expect(names.isEmpty)
      #expect(joined.load(ordering: .relaxed) > 0)
      #expect(busy.load(ordering: .relaxed) > 0)
    }
  }
}

/// Ends a user whose own objects are free. As the last one it may meet objects that a user that
/// left before has not freed yet.
private func endAmongOthers(
  _ user: CacheReference, of allocator: Allocator
) throws(AllocatorError) {
  while true {
    do throws(AllocatorError) {
      try allocator.destroy(user)
      return
    } catch {
      guard case .cacheBusy = error else { throw error }
    }
  }
}
