// SPDX-License-Identifier: Apache-2.0
// One group's whole life on a thread of its own, and what another thread may do meanwhile; for the
// tests that stop a thread at a hop of it. In debug builds only.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

#if DEBUG
  extension PausePoint {
    /// Those at which anything may be done: nothing waits for the thread that stands there. A life is too short for a
    /// sheaf or a barn to grow; `HeldLockTests` and `IdleClockTests` stop a thread there.
    static let hops = allCases.filter {
      !inTheMiddle.contains($0) && $0 != .beforeGrowing && $0 != .beforeGrowingBarn
    }

    private static let inTheMiddle: Set<PausePoint> = [
      .beforeAddingCharge, .beforeUncharging, .afterEntraining, .beforeCookie,
      .beforeFreeingDeferred, .beforeFlushing, .beforeSleeping, .beforeSleepingWithoutCallbacks,
      .beforeFreeingDescriptors, .beforeStartingWorker, .beforeStocking,
      .beforeUsingSharedCache, .beforeGoingOffline,
    ]
  }

  /// What happens while a thread stands at a hop.
  enum Action: CaseIterable {
    case nothing, freeObjects, releaseGroup, useTheRoots, destroyRoots, readSlabinfo
    case readAndDefer, trimAndShrink, endAnotherGroup
  }

  /// One life: a group with a plain and a type-safe child, of which objects outlive it.
  final class Life: Sendable {
    let allocator: Allocator
    let roots: [Pointer<RootCache>]
    private let objects = Shared([UInt]())
    /// The roots are destroyed: nobody may begin anything with them.
    private let isEnding = Shared(false)
    private let isOver = Shared(false)
    private let group = Shared(Pointer<Group>?.none)
    /// What acts while a thread stands at a hop, and may have to wait for that thread.
    fileprivate let helpers = Shared([TestThread]())

    init(_ allocator: Allocator) throws {
      self.allocator = allocator
      roots = [
        try allocator.makeCache("plain", size: 1000),
        try allocator.makeCache("type-safe", size: 1000, options: .typeSafe),
      ]
    }

    func live() throws {
      defer { isOver.with { $0 = true } }
      try liveBriefly()
      try closeMany()
      let group = try allocator.makeGroup("life")
      self.group.with { $0 = group }
      for root in roots {
        // More than a slab, so that some go back while the group is online, some at its end.
        var own: [UInt] = []
        for _ in 0..<20 {
          // Another thread may take the group or the root away meanwhile.
          guard !isEnding.with({ $0 }), let object = try? allocator.allocate(from: root, in: group)
          else { break }
          own.append(object)
        }
        if let last = own.popLast() { objects.with { $0.append(last) } }
        for object in own { allocator.free(object) }
        if !isEnding.with({ $0 }) { allocator.cache(of: own.first ?? 0)?.shrink() }
      }
      releaseGroup()
      freeObjects()
    }

    /// A group whose objects are discarded.
    private func liveBriefly() throws {
      let group = try allocator.makeGroup("brief")
      for root in roots {
        for _ in 0..<5 where !isEnding.with({ $0 }) {
          _ = try? allocator.allocate(from: root, in: group)
        }
      }
      try allocator.discard(group)
      allocator.release(group)
    }

    /// More groups than go offline under one lock.
    private func closeMany() throws {
      let parent = try allocator.makeGroup("many")
      let groups = try (0..<40).map { _ in try allocator.makeGroup("one", below: parent) }
      try allocator.close(parent)
      for group in groups { allocator.release(group) }
      allocator.release(parent)
    }

    func freeObjects() {
      for object in objects.with({ objects in
        defer { objects = [] }
        return objects
      }) {
        allocator.free(object)
      }
    }

    func releaseGroup() {
      let group = self.group.with { group in
        defer { group = nil }
        return group
      }
      if let group { allocator.release(group) }
    }

    func act(_ action: Action, at hop: PausePoint) throws {
      switch action {
      case .nothing: break
      case .freeObjects: freeObjects()
      case .releaseGroup:
        // Offline, not the handle: the life still uses it.
        if let group = group.with({ $0 }) { try? allocator.close(group) }
      case .useTheRoots:
        let other = try allocator.makeGroup("other")
        for root in roots {
          let objects = try (0..<30).map { _ in try allocator.allocate(from: root, in: other) }
          for object in objects { allocator.free(object) }
        }
        allocator.release(other)
      case .destroyRoots:
        isEnding.with { $0 = true }
        // Either the life stands at the hop, or it comes to its end while a worker does.
        switch hop {
        case .beforeCharging, .beforeLinkingChild, .beforeAddingSlab, .beforeLastHandle,
          .beforeClosingMore:
          break
        case .beforeReleasingSlabs: return
        default: #expect(eventually { isOver.with { $0 } })
        }
        freeObjects()
        for root in roots { try? allocator.destroy(root) }
      case .readSlabinfo:
        _ = try allocator.slabinfo(pieceBytes: 50)
        _ = try allocator.slabinfo(of: allocator.rootGroup)
      case .readAndDefer:
        let section = allocator.beginReading()
        for root in roots {
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
        }
        allocator.endReading(section)
      case .trimAndShrink:
        for root in roots { root.cache.shrink() }
        trimMeanwhile()
      case .endAnotherGroup:
        let parent = try allocator.makeGroup("parent")
        let child = try allocator.makeGroup("child", below: parent)
        let object = try allocator.allocate(from: roots[1], in: child)
        allocator.release(child)
        allocator.release(parent)
        allocator.free(object)
      }
    }
  }

  extension Life {
    /// Trims on a thread of its own: it waits for a worker that stands at a hop. Returns when it is over,
    /// or waits.
    private func trimMeanwhile() {
      let threadID = Shared(0)
      let isOver = Shared(false)
      let trimmer = TestThread { [allocator] in
        threadID.with { $0 = SlabTestSupport.threadID() }
        allocator.trim()
        isOver.with { $0 = true }
      }
      helpers.with { $0.append(trimmer) }
      #expect(
        eventually {
          let threadID = threadID.with { $0 }
          return isOver.with { $0 } || threadID != 0 && isAsleep(threadID: threadID)
        })
    }

    /// After the hop.
    fileprivate func joinHelpers() {
      for helper in helpers.with({ $0 }) { helper.join() }
    }
  }

  /// Lives a life until a thread of it, or a worker of it, stands at a hop; runs the body there, lets it
  /// go on and waits for its end. Nothing of it is left afterwards but the roots.
  func standing(at hop: PausePoint, of life: Life, _ body: () throws -> Void) rethrows {
    let allocator = life.allocator
    PausePoints.arm(hop)
    let thread = TestThread { try? life.live() }
    // The grace period's hops need a callback that a thread waits for.
    let callbacks = TestThread {
      if [.beforeFlip, .afterFlip, .beforeCallbacks].contains(hop) {
        // The life's own callbacks may have come to the hop first, and the body have destroyed the root.
        if let object = try? allocator.allocate(from: life.roots[0], in: nil) {
          allocator.freeAfterGracePeriod(object)
        }
        allocator.barrier()
      }
    }
    #expect(PausePoints.waitUntilReached(hop), "\(hop) is not reached")
    try body()
    PausePoints.resume(hop)
    thread.join()
    callbacks.join()
    life.joinHelpers()
    life.releaseGroup()
    life.freeObjects()
    allocator.barrier()
  }
#endif
