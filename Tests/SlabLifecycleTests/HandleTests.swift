// SPDX-License-Identifier: Apache-2.0
// Handles: they keep descriptors, and the order in which handles, objects, children and parents go
// does not matter.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct HandleTests {
  private enum Step: CaseIterable {
    case freeParents, freeChilds, offlineParent, offlineChild, releaseParent, releaseChild
  }

  /// Every order of six steps that the contract allows; with the workers done after each of them,
  /// and with all steps before the workers begin.
  @Test(arguments: [true, false], [EndingPolicy.keep, .reparent])
  func everyOrder(settlingBetween: Bool, endings: EndingPolicy) throws {
    var configuration = AllocatorConfiguration()
    configuration.endings = endings
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      var runs = 0
      for order in Self.permutations(of: Step.allCases) where Self.isAllowed(order) {
        runs += 1
        let parent = try allocator.makeGroup("parent")
        let child = try allocator.makeGroup("child", below: parent)
        let object = try allocator.allocate(from: root, in: child)
        let parents = try allocator.allocate(from: root, in: parent)
        func perform(_ step: Step) throws {
          switch step {
          case .freeParents: allocator.free(parents)
          case .freeChilds: allocator.free(object)
          case .offlineParent: try allocator.close(parent)
          case .offlineChild: try allocator.close(child)
          case .releaseParent: allocator.release(parent)
          case .releaseChild: allocator.release(child)
          }
        }
        if settlingBetween {
          for step in order {
            try perform(step)
            allocator.waitUntilIdle()
            expectWhole(allocator)
          }
        } else {
          try withWorkersHeldOff(of: allocator) { for step in order { try perform(step) } }
          allocator.waitUntilIdle()
        }
        let figures = allocator.statistics
        #expect(figures.groupsReleased == 2 * runs, "\(order)")
        #expect(figures.childCachesReleased == 2 * runs, "\(order)")
        #expect(figures.chargedBytes == 0, "\(order)")
      }
      // 720 orders; in half of them offlines come in the right order, and so on.
      #expect(runs > 50)
      try allocator.destroy(root)
    }
  }

  /// Offline is children first; a release comes after the same group's offline, or is the offline
  /// if there was none before (then it is left out).
  private static func isAllowed(_ order: [Step]) -> Bool {
    func place(_ step: Step) -> Int { order.firstIndex(of: step)! }
    return place(.offlineChild) < place(.offlineParent)
      && place(.offlineChild) < place(.releaseChild)
      && place(.offlineParent) < place(.releaseParent)
  }

  private static func permutations(of steps: [Step]) -> [[Step]] {
    guard steps.count > 1 else { return [steps] }
    return steps.indices.flatMap { index -> [[Step]] in
      var rest = steps
      let first = rest.remove(at: index)
      return permutations(of: rest).map { [first] + $0 }
    }
  }

  @Test func lastHandleIsOffline() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("group", endings: .keep)
      let object = try allocator.allocate(from: root, in: group)
      allocator.retain(group)
      allocator.release(group)
      #expect(group.isOnline)
      allocator.release(group)
      #expect(allocator.statistics.groupsOfflined == 1)
      allocator.waitUntilIdle()
      // The object holds the group.
      #expect(allocator.statistics.groupsReleased == 0)
      allocator.free(object)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 1)
      try allocator.destroy(root)
    }
  }

  /// The last handle goes back at the moment at which the worker finds the group settled or a
  /// cache empty: one of the two releases it, once.
  @Test func releaseRacesWithTheWorkers() throws {
    var configuration = AllocatorConfiguration()
    configuration.workerLimit = 2
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let rounds = isDebugBuild ? 3000 : 20000
      onThreads(3) { thread in
        var random = SeededGenerator(seed: UInt64(thread))
        for _ in 0..<rounds {
          guard let group = try? allocator.makeGroup("group"),
            let object = try? allocator.allocate(from: root, in: group)
          else {
            Issue.record("no group or object")
            return
          }
          allocator.retain(group)
          try? allocator.close(group)
          switch Int.random(in: 0..<4, using: &random) {
          case 0: _ = allocator.runFenceBatch()
          case 1: while group.state == .offline {}
          default: break
          }
          allocator.free(object)
          allocator.release(group)
          if Bool.random(using: &random) { _ = allocator.runDestroyQueue() }
          allocator.release(group)
        }
      }
      allocator.waitUntilIdle()
      #expect(allocator.statistics.groupsReleased == 3 * rounds)
      try allocator.destroy(root)
    }
  }

  /// An ending is counted before a worker can find it, and so never done before it is pending.
  @Test func endingsAreCountedBeforeTheyAreFound() throws {
    try withAllocator { allocator in
      let isDone = Shared(false)
      let worker = TestThread {
        while !isDone.with({ $0 }) {
          _ = allocator.runFenceBatch()
          if allocator.statistics.pendingEndings < 0 { Issue.record("more done than pending") }
        }
      }
      for _ in 0..<(isDebugBuild ? 20_000 : 100_000) {
        allocator.release(try allocator.makeGroup("group"))
      }
      isDone.with { $0 = true }
      worker.join()
    }
  }

  /// Handles pass from thread to thread; the group lives exactly as long as the last of them.
  @Test func handlesBetweenThreads() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let box = Shared<[Pointer<Group>]>([])
      onThreads(4) { thread in
        var random = SeededGenerator(seed: UInt64(thread))
        for step in 0..<1500 {
          if step % 5 == 0, let group = try? allocator.makeGroup("group") {
            for _ in 0..<4 {
              allocator.retain(group)
              box.with { $0.append(group) }
            }
            allocator.release(group)
          }
          let group = box.with { groups -> Pointer<Group>? in
            guard !groups.isEmpty else { return nil }
            groups.swapAt(Int.random(in: 0..<groups.count, using: &random), groups.count - 1)
            return groups.removeLast()
          }
          guard let group else { continue }
          do throws(AllocatorError) {
            allocator.free(try allocator.allocate(from: root, in: group))
            if Int.random(in: 0..<4, using: &random) == 0 { try allocator.close(group) }
          } catch {
            if error != .groupOffline { Issue.record("\(error)") }
          }
          allocator.release(group)
        }
      }
      for group in box.with({ $0 }) { allocator.release(group) }
      try allocator.destroy(root)
    }
  }
}
