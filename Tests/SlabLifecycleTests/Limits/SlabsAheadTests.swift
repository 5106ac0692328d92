// SPDX-License-Identifier: Apache-2.0
// Slabs that are made ahead of need: what they save, what bounds them, and that no charge is refused for their sake.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

private let slabBytes = 16 << 10
private let objectsOfSlab = 16

/// A group with a cache of 1 KiB that has turned over enough to be watched, and has so many slabs in use.
private func withGrown(
  slabs: Int, max: Int = Group.unlimited, below limit: Int = Group.unlimited,
  configuration: AllocatorConfiguration = .init(),
  _ body: (
    _ allocator: Allocator, _ root: Pointer<RootCache>, _ group: Pointer<Group>,
    _ objects: inout [UInt]
  ) throws -> Void
) throws {
  try withAllocator(configuration: configuration) { allocator in
    let root = try allocator.makeCache("cache", size: 1024)
    // Less than a few slabs, so that what is ahead is not in a sheaf at once.
    try allocator.setSheafCapacity(64, of: root)
    let parent = try allocator.makeGroup("parent", max: limit)
    let group = try allocator.makeGroup("group", below: parent, max: max)
    try onOneCPU {
      for _ in 0..<6 {
        allocator.freeAll(
          try (0..<500).map { _ in try allocator.allocate(from: root, in: group) })
      }
      #expect(group.child(of: root)!.pointee.barn != nil)
      var objects: [UInt] = []
      for _ in 0..<slabs * objectsOfSlab {
        objects.append(try allocator.allocate(from: root, in: group))
      }
      try body(allocator, root, group, &objects)
      allocator.freeAll(objects)
    }
    expectWhole(allocator)
    allocator.release(group)
    allocator.release(parent)
    try allocator.destroy(root)
  }
}

extension Pointer where Pointee == Cache {
  fileprivate var slabs: Int { Int(pointee.slabCount) }
  fileprivate var memory: Int { Int(pointee.units) * UnitMap.unitBytes }
  fileprivate var emptySlabs: Int { Int(pointee.emptyCount) }
}

extension Allocator {
  fileprivate func freeAll(_ objects: [UInt]) { for object in objects { free(object) } }

  /// Until the cache has made slabs. How many.
  fileprivate func grow(
    _ root: Pointer<RootCache>, in group: Pointer<Group>, _ objects: inout [UInt]
  ) throws -> Int {
    let child = group.child(of: root)!
    let before = child.slabs
    repeat { objects.append(try allocate(from: root, in: group)) } while child.slabs == before
    return child.slabs - before
  }

  /// As far as to the next slabs.
  fileprivate func useUp(
    _ root: Pointer<RootCache>, in group: Pointer<Group>, _ objects: inout [UInt]
  ) throws {
    let child = group.child(of: root)!
    _ = try grow(root, in: group, &objects)
    while child.emptySlabs > 0 || child.pointee.partialFirst != nil {
      objects.append(try allocate(from: root, in: group))
    }
  }
}

@Suite(.inTurn) struct SlabsAheadTests {
  /// Eight slabs at a time, an eighth of what there is where that is less.
  @Test(arguments: [(200, 8), (40, 5), (20, 2)])
  func makesAPartOfWhatThereIs(slabs: Int, atATime: Int) throws {
    try withGrown(slabs: slabs) { allocator, root, group, objects in
      let child = group.child(of: root)!
      let made = try allocator.grow(root, in: group, &objects)
      #expect(made <= max(1, child.memory / slabBytes / SlabsAhead.partOfCache))
      #expect(abs(made - atATime) <= 1)
      // Half a sheaf of objects has gone to the CPU.
      #expect(child.emptySlabs >= made - 3)
      // What is ahead is charged.
      #expect(abs(group.currentBytes - child.memory) < 4096)
    }
  }

  /// One visit to the page lock for as many, there and back.
  @Test func severalTakeThePageLockOnce() throws {
    #if DEBUG
      try withGrown(slabs: 200) { allocator, root, group, objects in
        _ = try allocator.grow(root, in: group, &objects)
        let live = objects.count
        let slabs = group.child(of: root)!.slabs
        var locks = HeldLocks.taken(.pages)
        while group.child(of: root)!.slabs < slabs + 32 {
          _ = try allocator.grow(root, in: group, &objects)
        }
        // And some for descriptors of slabs.
        #expect(HeldLocks.taken(.pages) - locks <= 40 / 8 + 2)
        locks = HeldLocks.taken(.pages)
        while objects.count > live { allocator.free(objects.removeLast()) }
        #expect(HeldLocks.taken(.pages) - locks <= 32 / 7 + 2)
      }
    #endif
  }

  /// Empty slabs beyond `min_partial` are a part of what is in use: when nothing is, none is left of them.
  @Test func nothingIsAheadOfNothing() throws {
    try withGrown(slabs: 200) { allocator, root, group, objects in
      try allocator.setSheafCapacity(0, of: root)
      allocator.freeAll(objects)
      objects = []
      #expect(group.child(of: root)!.emptySlabs <= root.minPartial)
    }
  }

  /// A cache that is to keep no empty slab keeps none for the sake of a visit either.
  @Test func noneIsKeptWhereNoneIsWanted() throws {
    try withGrown(slabs: 200) { allocator, root, group, objects in
      try allocator.setMinPartial(0, of: root)
      let child = group.child(of: root)!
      _ = child.shrink()
      while objects.count > 50 * objectsOfSlab { allocator.free(objects.removeFirst()) }
      #expect(child.emptySlabs == 0)
    }
  }

  /// A part of the limit alone, and nothing that leads above `high`.
  @Test func limitsAreInTheWay() throws {
    try withGrown(slabs: 200, max: 4 << 20) { allocator, root, group, objects in
      #expect(try allocator.grow(root, in: group, &objects) == 4)
      try allocator.setMax(Group.unlimited, of: group)
      // Two more would fit, and not eight.
      let high = 3 * group.currentBytes
      let other = try allocator.charge(bytes: 2 * group.currentBytes - 2 * slabBytes, to: group)
      try allocator.setHigh(high, of: group)
      for _ in 0..<2 { #expect(try allocator.grow(root, in: group, &objects) == 1) }
      allocator.endCharge(other)
      #expect(allocator.events(of: group, local: true).high == 0)
    }
  }

  /// At the end of the addresses there are fewer than are wanted: what is missing is not charged.
  @Test func takesWhatThereIs() throws {
    var configuration = AllocatorConfiguration()
    configuration.addressSpaceBytes = 16 << 20
    try withGrown(slabs: 200, configuration: configuration) { allocator, root, group, objects in
      while let object = try? allocator.allocate(from: root, in: group) { objects.append(object) }
      #expect(objects.count > 12 << 10)
      expectWhole(allocator)
    }
  }

  /// All of a limit serves what needs it: what is ahead goes back before a refusal.
  @Test func goesBackBeforeARefusal() throws {
    try withGrown(slabs: 200, max: 32 << 20) { allocator, root, group, objects in
      let others = try allocator.makeCache("others", size: 4096)
      #expect(try allocator.grow(root, in: group, &objects) > 4)
      let empty = group.child(of: root)!.emptySlabs
      try allocator.setMax(group.currentBytes, of: group)
      #expect(group.child(of: root)!.emptySlabs == empty)
      var pages: [UInt] = []
      for _ in 0..<empty * slabBytes / 4096 {
        pages.append(try allocator.allocate(from: others, in: group))
      }
      #expect(allocator.events(of: group, local: true).oom == 0)
      allocator.freeAll(pages)
      allocator.waitUntilIdle()
      try allocator.setMax(Group.unlimited, of: group)
      try allocator.destroy(others)
    }
  }

  /// What does not fit in a group above is not charged below for a moment, in which another charge would be refused: the first
  /// that is charged is the one slab that fits.
  @Test func whatDoesNotFitIsNotTried() async {
    #if DEBUG
      await #expect(processExitsWith: .success) {
        try withGrown(slabs: 200) { allocator, root, group, objects in
          try allocator.useUp(root, in: group, &objects)
          let parent = group.parent!
          let live = group.currentBytes
          try allocator.setMax(parent.currentBytes + slabBytes, of: parent)
          PausePoints.arm(.beforeAddingCharge)
          let grower = TestThread {
            let objects = (0..<100).compactMap { _ in try? allocator.allocate(from: root, in: group)
            }
            allocator.freeAll(objects)
          }
          #expect(PausePoints.waitUntilReached(.beforeAddingCharge))
          #expect(group.currentBytes == live)
          // The next one is that of the group above.
          PausePoints.arm(.beforeAddingCharge)
          PausePoints.resume(.beforeAddingCharge)
          #expect(PausePoints.waitUntilReached(.beforeAddingCharge))
          #expect(group.currentBytes == live + slabBytes)
          PausePoints.resume(.beforeAddingCharge)
          grower.join()
          try allocator.setMax(Group.unlimited, of: parent)
        }
      }
    #endif
  }

  /// A thread has charged several slabs and not listed them; another one that is refused meanwhile, in the group or in one beside
  /// it below the same limit, waits, and gets what the first does not need.
  @Test(arguments: [false, true]) func aRefusalWaitsForSlabsInHand(isBeside: Bool) async {
    #if DEBUG
      await #expect(processExitsWith: .success) { [isBeside] in
        try withGrown(slabs: 200) { allocator, root, group, objects in
          let others = try allocator.makeCache("others", size: 4096)
          let parent = group.parent!
          let beside = try allocator.makeGroup("beside", below: parent)
          let taking = isBeside ? beside : group
          try allocator.useUp(root, in: group, &objects)
          let live = group.currentBytes
          PausePoints.arm(.beforeAddingSlab)
          let grown = Shared<[UInt]>([])
          let grower = TestThread {
            // As many as the CPU may have in its sheaf.
            for _ in 0..<100 {
              guard let object = try? allocator.allocate(from: root, in: group) else { continue }
              grown.with { $0.append(object) }
            }
          }
          #expect(PausePoints.waitUntilReached(.beforeAddingSlab))
          #expect(parent.currentBytes >= live + 8 * slabBytes)
          try allocator.setMax(parent.currentBytes, of: parent)
          let late = Shared(0)
          let taker = TestThread {
            for attempt in 0..<5 {
              let start = SystemCall.monotonicNanoseconds
              do {
                return allocator.free(try allocator.allocate(from: others, in: taking))
              } catch {
                // On a busy machine the grower's turn may come after the time that it waits for slabs in hand.
                if attempt < 4, SystemCall.monotonicNanoseconds - start >= 30_000_000 {
                  late.with { $0 += 1 }
                  continue
                }
                Issue.record("refused: \(error)")
                return
              }
            }
          }
          // Its charge was refused, and it waits.
          #expect(eventually { allocator.events(of: parent, local: true).max >= 1 })
          PausePoints.resume(.beforeAddingSlab)
          taker.join()
          #expect(allocator.events(of: parent, local: true).oom == late.with { $0 })
          try allocator.setMax(Group.unlimited, of: parent)
          grower.join()
          allocator.freeAll(grown.with { $0 })
          allocator.release(beside)
          allocator.waitUntilIdle()
          try allocator.destroy(others)
        }
      }
    #endif
  }
}
