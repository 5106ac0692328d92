// SPDX-License-Identifier: Apache-2.0
// The ten patches of "slab: make memcg slab destruction scalable" (Linux 4.11), each with its check
// from outside ("How to check" in the reference, section c). docs/ten-patches.md maps each to the
// code, to these tests and to a figure.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct PatchTests {
  /// 0001 takes the wait back under the lock, for 0008 to remove it. Of our own there is only the end:
  /// while the fence worker stands before its fence, a thread that needs the lock gets it.
  @Test func patch0001NothingWaitsUnderTheLock() async {
    #if DEBUG
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64, options: .typeSafe)
          let group = try allocator.makeGroup("group")
          try allocator.warmUp(root, in: group)
          PausePoints.arm(.beforeFence)
          allocator.release(group)
          #expect(PausePoints.waitUntilReached(.beforeFence))
          let registry = allocator.base.pointee.registryLock.tryLock()
          let isFree = registry != nil
          #expect(isFree)
          registry?.unlock()
          // Groups and roots come and go meanwhile.
          let other = try allocator.makeGroup("other")
          allocator.free(try allocator.allocate(from: root, in: other))
          allocator.release(other)
          try allocator.destroy(try allocator.makeCache("another", size: 64))
          PausePoints.resume(.beforeFence)
          try allocator.destroy(root)
        }
      }
    #endif
  }

  /// 0002: the name goes at one moment, the memory at another, and no reader of names is in the way of
  /// either: one in the middle blocks no other thread, and reads on.
  @Test func patch0002ReadersOfNamesBlockNobody() throws {
    try withAllocator { allocator in
      let roots = try (0..<20).map {
        try allocator.makeCache("cache-\($0)", size: 64, options: $0 % 2 == 0 ? .typeSafe : [])
      }
      let group = try allocator.makeGroup("group")
      for root in roots { allocator.free(try allocator.allocate(from: root, in: group)) }
      var ofRoots = try SlabinfoReader(of: allocator, group: nil)
      var ofGroup = try SlabinfoReader(of: allocator, group: group)
      // Into the middle of both.
      _ = readPiece(&ofRoots, bytes: 400)
      _ = readPiece(&ofGroup, bytes: 400)
      try allocator.close(group)
      for root in roots { try allocator.destroy(root) }
      allocator.waitUntilIdle()
      // All names are gone, and what only a handle keeps is kept.
      #expect(allocator.statistics.childCachesShutDown == 20)
      #expect(!(try allocator.slabinfo()).contains("cache-"))
      var rest = [readPiece(&ofRoots, bytes: 4096)]
      while let last = rest.last, !last.isEmpty { rest.append(readPiece(&ofRoots, bytes: 4096)) }
      // A group's lines are of the moment when the reading began; the next one has none.
      let text = String(decoding: readPiece(&ofGroup, bytes: 4096), as: UTF8.self)
      #expect(text.split(separator: "\n").count { $0.hasPrefix("cache-") } > 10)
      #expect(readPiece(&ofGroup, bytes: 4096).isEmpty)
      #expect(!(try allocator.slabinfo(of: group)).contains("cache-"))
      ofRoots.close()
      ofGroup.close()
      allocator.release(group)
    }
  }

  /// 0003: k type-safe caches that are destroyed back to back need one barrier or two and never k;
  /// destroy waits for none; no descriptor is released while a section is open.
  @Test(arguments: [1, 2, 100]) func patch0003OneBarrierForABatch(count: Int) throws {
    try withAllocator { allocator in
      let roots = try (0..<count).map {
        try allocator.makeCache("cache-\($0)", size: 1024, options: .typeSafe)
      }
      for root in roots { allocator.free(try allocator.allocate(from: root, in: nil)) }
      let section = allocator.beginReading()
      let before = allocator.statistics
      for root in roots { try allocator.destroy(root) }
      #expect(eventually { allocator.statistics.cachesAwaitingBarrier == count })
      let open = allocator.statistics
      #expect(open.gracePeriods == before.gracePeriods)
      #expect(open.rootCachesReleased == 0)
      allocator.endReading(section)
      allocator.waitUntilIdle()
      let after = allocator.statistics
      #expect(after.rootCachesReleased == count)
      #expect((1...2).contains(after.barrierBatches - before.barrierBatches))
      // The reader's, and one of each barrier at most.
      #expect(after.gracePeriods - before.gracePeriods <= 3)
    }
  }

  /// 0004: a child is its root's until it is shut down, long after the table has lost it.
  @Test func patch0004ChildrenAreListedUntilShutdown() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(from: root, in: group)
      let child = allocator.cache(of: object)!
      #expect(group.child(of: root) == child)
      #expect(children(of: root) == [child])
      try allocator.close(group)
      allocator.waitUntilIdle()
      #expect(group.child(of: root) == nil)
      #expect(children(of: root) == [child])
      allocator.free(object)
      allocator.waitUntilIdle()
      #expect(children(of: root).isEmpty)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// 0005: ending a group and reading its slabinfo take as many steps with 1,000 other groups as with 10.
  @Test func patch0005OneGroupsStepsAreItsOwn() throws {
    let few = try stepsOfOneGroup(besides: 10)
    let many = try stepsOfOneGroup(besides: 1000)
    #expect(few == many)
    // Nine caches, read once, closed once and shut down once, and the group.
    #expect(few.reading == 9)
    #expect((18...20).contains(few.ending))
  }

  private func stepsOfOneGroup(besides others: Int) throws -> (reading: Int, ending: Int) {
    var steps = (reading: 0, ending: 0)
    try withAllocator { allocator in
      let roots = try (0..<9).map { try allocator.makeCache("cache-\($0)", size: 64) }
      let groups = try (0...others).map { _ in try allocator.makeGroup("group") }
      for group in groups {
        for root in roots { allocator.free(try allocator.allocate(from: root, in: group)) }
      }
      let before = allocator.statistics.listSteps
      _ = try allocator.slabinfo(of: groups[0])
      let between = allocator.statistics.listSteps
      allocator.release(groups[0])
      allocator.waitUntilIdle()
      let after = allocator.statistics.listSteps
      steps = (between - before, after - between)
      for group in groups[1...] { allocator.release(group) }
      for root in roots { try allocator.destroy(root) }
    }
    return steps
  }

  /// 0006: reading slabinfo visits the roots and none of their children, in whatever pieces.
  @Test func patch0006RootsAreReadWithoutTheirChildren() throws {
    try withAllocator { allocator in
      let roots = try (0..<9).map { try allocator.makeCache("cache-\($0)", size: 64) }
      func steps(pieceBytes: Int) throws -> Int {
        let before = allocator.statistics.listSteps
        _ = try allocator.slabinfo(pieceBytes: pieceBytes)
        return allocator.statistics.listSteps - before
      }
      let withoutChildren = try steps(pieceBytes: 4096)
      let groups = try (0..<1000).map { _ in try allocator.makeGroup("group") }
      for group in groups {
        for root in roots { allocator.free(try allocator.allocate(from: root, in: group)) }
      }
      #expect(try steps(pieceBytes: 4096) == withoutChildren)
      #expect(try steps(pieceBytes: 30) == withoutChildren)
      for group in groups { allocator.release(group) }
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// 0007: deactivation is the allocator's own: nothing is parked afterwards, and nothing can be.
  @Test func patch0007DeactivationParksNothing() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      try allocator.warmUp(root, in: group)
      let objects = try (0..<300).map { _ in try allocator.allocate(from: root, in: group) }
      for object in objects[1...] { allocator.free(object) }
      let child = allocator.cache(of: objects[0])!
      try allocator.close(group)
      allocator.waitUntilIdle()
      let mode = allocator.region.pointee.mode
      #expect(child.state == .deactivated)
      #expect(child.words.pointee.load(mode: mode).isClosed)
      #expect(child.pointee.objectsInUse == 1)
      #expect(child.pointee.slabCount == 1)
      #expect(child.pointee.emptyCount == 0)
      allocator.free(objects[0])
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// 0008: offline contains no fence, no grace period and no barrier: nothing that could wait, with
  /// every child type-safe and a reader in its section. Slabs that become empty afterwards go back
  /// without a shrink.
  @Test func patch0008OfflineWaitsForNothing() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let roots = try (0..<20).map {
          try allocator.makeCache("cache-\($0)", size: 1024, options: .typeSafe)
        }
        let group = try allocator.makeGroup("group")
        let objects = try roots.map { try allocator.allocate(from: $0, in: group) }
        for root in roots { try allocator.warmUp(root, in: group) }
        let section = allocator.beginReading()
        let before = allocator.statistics
        try withWorkersHeldOff(of: allocator) {
          FaultInjection.failCall(
            1, of: [.membarrier, .futexWait], with: .invalidArgument, repeating: true)
          try allocator.close(group)
          #expect(FaultInjection.end() == 0)
        }
        #expect(allocator.statistics.gracePeriods == before.gracePeriods)
        #expect(allocator.statistics.barriers == before.barriers)
        allocator.endReading(section)
        allocator.waitUntilIdle()
        let pinned = group.currentBytes
        #expect(pinned > 0)
        for object in objects { allocator.free(object) }
        allocator.barrier()
        #expect(group.currentBytes == 0)
        allocator.release(group)
        for root in roots { try allocator.destroy(root) }
      }
    }
  }

  /// 0009: a cache without objects loses its names before its group goes, though another group's object
  /// and a handle keep the group; with one live object it keeps them until it is shut down.
  @Test func patch0009EmptyCachesLoseTheirNamesEarly() throws {
    try withAllocator { allocator in
      let empty = try allocator.makeCache("empty", size: 64)
      let emptySafe = try allocator.makeCache("empty-safe", size: 64, options: .typeSafe)
      let pinned = try allocator.makeCache("pinned", size: 64)
      let group = try allocator.makeGroup("group")
      for root in [empty, emptySafe] {
        allocator.free(try allocator.allocate(from: root, in: group))
      }
      let object = try allocator.allocate(from: pinned, in: group)
      try allocator.close(group)
      allocator.waitUntilIdle()
      #expect(names(try allocator.slabinfo(of: group)) == ["pinned"])
      #expect(allocator.statistics.groupsReleased == 0)
      allocator.free(object)
      allocator.waitUntilIdle()
      #expect(names(try allocator.slabinfo(of: group)) == [])
      allocator.release(group)
      for root in [empty, emptySafe, pinned] { try allocator.destroy(root) }
    }
  }

  /// 0010: with 10,000 endings pending the number of workers stays at its limit, and other work is not
  /// delayed: it goes on while no worker can do anything at all.
  @Test(arguments: [1, 2]) func patch0010WorkersStayAtTheirLimit(limit: Int) throws {
    var configuration = AllocatorConfiguration()
    configuration.workerLimit = limit
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makeCache("cache", size: 64, options: .typeSafe)
      let groups = try (0..<10_000).map { _ in try allocator.makeGroup("group") }
      for group in groups { allocator.free(try allocator.allocate(from: root, in: group)) }
      try withWorkersHeldOff(of: allocator) {
        for group in groups { allocator.release(group) }
        #expect(allocator.statistics.pendingEndings >= 10_000)
        #expect(allocator.statistics.workerThreads <= limit)
        // Another tenant: allocations, groups, callbacks, barriers.
        let tenant = try allocator.makeGroup("tenant")
        for _ in 0..<1000 {
          let object = try allocator.allocate(from: root, in: tenant)
          allocator.freeAfterGracePeriod(object)
        }
        allocator.barrier()
        #expect(root.sum(RootCache.Sum.deferred) == 0)
        allocator.release(tenant)
        #expect(allocator.statistics.pendingEndings >= 10_001)
      }
      allocator.waitUntilIdle()
      #expect(allocator.statistics.workerThreadsPeak <= limit)
      #expect(allocator.statistics.groupsReleased == 10_001)
      #expect(allocator.statistics.barrierBatches < 1000)
      try allocator.destroy(root)
    }
  }
}

private func readPiece(_ reader: inout SlabinfoReader, bytes: Int) -> [UInt8] {
  [UInt8](capacity: bytes) { buffer in _ = reader.read(into: &buffer) }
}

/// The names of slabinfo's lines.
private func names(_ slabinfo: String) -> [String] {
  slabinfo.split(separator: "\n").dropFirst(2).map { String($0.prefix { $0 != " " }) }
}

private func children(of root: Pointer<RootCache>) -> [Pointer<Cache>] {
  var children: [Pointer<Cache>] = []
  var node = root.children.successor(in: root.children)
  while let current = node {
    node = current.successor(in: root.children)
    children.append(Pointer<Cache>(siblingNode: current))
  }
  return children
}
