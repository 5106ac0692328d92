// SPDX-License-Identifier: Apache-2.0
// fork in the middle of everything: the child has a working allocator, the parent goes on.
//
// Each test runs in a process of its own, whose only other threads are its own: the child of a fork
// of a process with threads does nothing but use the allocator and end by `_exit`, with a code that
// says how far it came.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// What a child does: uses everything, ends it, and looks whether all is whole. The code of the
/// first step that failed, or 0.
private func useAllocator(
  _ allocator: Allocator, root: Pointer<RootCache>, group old: Pointer<Group>, checked: Bool
) -> Int32 {
  // What was on the queues at the moment of the fork.
  allocator.waitUntilIdle()
  if checked, allocator.brokenInvariant() != nil { return 2 }
  do throws(AllocatorError) {
    // In a group of the parent's, in one of its own, and for nobody.
    let group = try allocator.makeGroup("child")
    for group in [old, group, nil] {
      for _ in 0..<200 {
        let object = try allocator.allocate(from: root, in: group)
        fillObject(object, size: 64, tag: 7)
        let other = try allocator.allocate(from: root, in: group)
        if !isFilled(object, size: 64, tag: 7) { return 3 }
        allocator.free(object)
        allocator.free(other)
      }
    }
    let before = allocator.statistics
    try allocator.close(group)
    allocator.release(group)
    try allocator.close(old)
    allocator.waitUntilIdle()
    let after = allocator.statistics
    if after.pendingEndings != 0 { return 4 }
    if after.groupsReleased <= before.groupsReleased { return 5 }
    if after.workerThreadsPeak < 1 { return 6 }
    if checked, allocator.brokenInvariant() != nil { return 7 }
  } catch {
    return 8
  }
  return 0
}

/// Once in the parent, so that the child is not the first to need anything of the runtime.
private func useAllocatorOnce(
  _ allocator: Allocator, root: Pointer<RootCache>
) throws(AllocatorError) {
  prepareForForks()
  let group = try allocator.makeGroup("first")
  #expect(useAllocator(allocator, root: root, group: group, checked: false) == 0)
  allocator.release(group)
  allocator.waitUntilIdle()
  expectWhole(allocator)
}

@Suite(.inTurn, .enabled(if: !isSanitized)) struct ForkTests {
  /// Forks with endings on the batch and on the destroy queue, and no worker in the child.
  @Test func pendingWork() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let root = try allocator.makeCache("cache", size: 64)
        try useAllocatorOnce(allocator, root: root)
        let released = allocator.statistics.groupsReleased
        for round in 0..<10 {
          let group = try allocator.makeGroup("group")
          let ending = try (0..<50).map { index in
            let group = try allocator.makeGroup("ending")
            if index % 2 == 0 { try allocator.warmUp(root, in: group) }
            return group
          }
          let dying = try (0..<50).map { _ in try allocator.makeGroup("dying") }
          let objects = try dying.map { try allocator.allocate(from: root, in: $0) }
          for group in dying { allocator.release(group) }
          allocator.waitUntilIdle()
          // None of the work is done before the fork: the batch lock keeps the workers off it, and
          // their busy locks, which the fork itself takes, are free.
          let process = allocator.withQueuesFull(objects, ending) { forkProcess() }
          if process == 0 {
            unsafe allocator.lifecycle.pointee.batchLock.alreadyHeld().unlock()
            let waiting = allocator.statistics.pendingEndings
            guard waiting >= ending.count else { _exit(20) }
            allocator.waitUntilIdle()
            let figures = allocator.statistics
            guard figures.pendingEndings == 0 else { _exit(21) }
            guard figures.groupsCreated - figures.groupsReleased == 1 else { _exit(22) }
            _exit(useAllocator(allocator, root: root, group: group, checked: true))
          }
          unsafe allocator.lifecycle.pointee.batchLock.alreadyHeld().unlock()
          let code = exitCode(ofChild: process)
          #expect(code == 0, "round \(round): exit code \(code)")
          allocator.waitUntilIdle()
          #expect(allocator.statistics.groupsReleased == released + 101 * round + 100)
          allocator.release(group)
          allocator.waitUntilIdle()
        }
        try allocator.destroy(root)
      }
    }
  }

  /// Forks while other threads allocate, free, make groups and end them, and destroy caches.
  @Test(arguments: [1, 3], [false, true])
  func inTheMiddleOfAStorm(workerLimit: Int, isLinux410: Bool) async {
    await #expect(processExitsWith: .success) {
      [workerLimit = workerLimit as Int, isLinux410 = isLinux410 as Bool] in
      try withSeed { seed in
        var configuration = AllocatorConfiguration()
        configuration.design = isLinux410 ? .linux410 : .current
        configuration.workerLimit = workerLimit
        configuration.freeBytesToKeep = 1 << 20
        try withAllocator(configuration: configuration) { allocator in
          let roots = try [64, 300, 5000].map { try allocator.makeCache("cache-\($0)", size: $0) }
          let own = try allocator.makeCache("own", size: 64)
          try useAllocatorOnce(allocator, root: own)
          let storm = Storm(allocator: allocator, roots: roots)
          let isDone = Shared(false)
          let threads = (0..<3).map { thread in
            TestThread {
              var player = StormPlayer(storm, seed: seed &+ UInt64(thread), name: thread)
              while !isDone.with({ $0 }) { player.step() }
              player.leave()
            }
          }
          for round in 0..<20 {
            let group = try allocator.makeGroup("forked")
            let process = forkProcess()
            if process == 0 {
              _exit(useAllocator(allocator, root: own, group: group, checked: true))
            }
            #expect(process > 0)
            let code = exitCode(ofChild: process)
            #expect(code == 0, "round \(round): exit code \(code)")
            allocator.release(group)
          }
          isDone.with { $0 = true }
          for thread in threads { thread.join() }
          for object in storm.mailbox.with({ $0 }) { #expect(object.free(to: allocator)) }
          for root in roots + [own] { try allocator.destroy(root) }
        }
      }
    }
  }

  /// Forks while groups with many caches and live objects end, one below the other: in the child no
  /// group is half moved, and those on the queue move.
  @Test(arguments: [1, 3])
  func groupsOnTheMove(workerLimit: Int) async {
    await #expect(processExitsWith: .success) { [workerLimit = workerLimit as Int] in
      var configuration = AllocatorConfiguration()
      configuration.workerLimit = workerLimit
      try withAllocator(configuration: configuration) { allocator in
        let roots = try (0..<40).map { try allocator.makeCache("cache-\($0)", size: 64) }
        let own = try allocator.makeCache("own", size: 64)
        try useAllocatorOnce(allocator, root: own)
        let isDone = Shared(false)
        let thread = TestThread {
          while !isDone.with({ $0 }) {
            do throws(AllocatorError) {
              let parent = try allocator.makeGroup("parent")
              let group = try allocator.makeGroup("group", below: parent)
              var objects: [UInt] = []
              for root in roots { objects.append(try allocator.allocate(from: root, in: group)) }
              allocator.release(group)
              allocator.release(parent)
              for object in objects { allocator.free(object) }
            } catch {
              Issue.record("\(error)")
            }
          }
        }
        for round in 0..<40 {
          let group = try allocator.makeGroup("forked")
          let process = forkProcess()
          if process == 0 {
            let code = useAllocator(allocator, root: own, group: group, checked: true)
            // All but the one whose handle is held here, and those that the thread had online.
            guard allocator.statistics.groupsDying == 1 else { _exit(30) }
            _exit(code)
          }
          let code = exitCode(ofChild: process)
          #expect(code == 0, "round \(round): exit code \(code)")
          allocator.release(group)
        }
        isDone.with { $0 = true }
        thread.join()
        allocator.waitUntilIdle()
        #expect(allocator.statistics.childCachesReparented > 0)
        for root in roots + [own] { try allocator.destroy(root) }
      }
    }
  }

  /// A child's child, and children that fork at the same time.
  @Test func childrenOfChildren() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let root = try allocator.makeCache("cache", size: 64)
        let groups = try (0..<4).map { try allocator.makeGroup("group-\($0)") }
        try useAllocatorOnce(allocator, root: root)
        onThreads(3) { thread in
          for _ in 0..<4 {
            let process = forkProcess(endingAfter: 40)
            if process == 0 {
              let grandchild = forkProcess()
              if grandchild == 0 {
                _exit(useAllocator(allocator, root: root, group: groups[thread], checked: true))
              }
              let code = exitCode(ofChild: grandchild)
              guard code == 0 else { _exit(Int32(code & 0x7f)) }
              _exit(useAllocator(allocator, root: root, group: groups[thread], checked: true))
            }
            if exitCode(ofChild: process) != 0 { Issue.record("a child failed") }
          }
        }
        for group in groups { allocator.release(group) }
        try allocator.destroy(root)
      }
    }
  }
}

extension Allocator {
  /// Fills the destroy queue and the offline batch and runs a body before anybody works on them;
  /// afterwards the caller, or its child, unlocks the batch lock.
  fileprivate func withQueuesFull<Result>(
    _ objects: [UInt], _ groups: [Pointer<Group>], _ body: () -> Result
  ) -> Result {
    HeldLocks.beginFork()
    unsafe lifecycle.pointee.batchLock.lock().leaveLocked()
    withWorkersHeldOff(of: self) {
      for object in objects { free(object) }
      for group in groups { release(group) }
    }
    return body()
  }
}
