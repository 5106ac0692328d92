// SPDX-License-Identifier: Apache-2.0
// Blocks: any number of pages, any alignment, other sizes, and their ends.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

private let page = PageAllocator.pageBytes

/// Writes a mark into each page of a block.
private func mark(_ block: UInt, bytes: Int, with tag: UInt64) {
  for index in 0..<bytes / page { Words(at: block)[index * page / 8] = tag &+ UInt64(index) }
}

private func isMarked(_ block: UInt, bytes: Int, with tag: UInt64) -> Bool {
  (0..<bytes / page).allSatisfy { Words(at: block)[$0 * page / 8] == tag &+ UInt64($0) }
}

private func isZero(_ block: UInt, bytes: Int) -> Bool {
  (0..<bytes / 8).allSatisfy { Words(at: block)[$0] == 0 }
}

/// What was freed may be on its way back to the system, in a worker.
private func expectIdleAndWhole(
  _ allocator: Allocator, sourceLocation: SourceLocation = #_sourceLocation
) {
  allocator.waitUntilIdle()
  expectWhole(allocator, sourceLocation: sourceLocation)
}

@Suite(.inTurn) struct BlockTests {
  /// An object of a class stays where it is while at least half of it is used, and what it had is there.
  @Test func smallOnesStayWhileHalfIsUsed() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      var block = try allocator.allocate(bytes: 1000, in: group)
      // SAFETY: the block is this test's, and so long.
      for index in 0..<1000 { unsafe UnsafeMutablePointer<UInt8>(bitPattern: block)![index] = 7 }
      for bytes in [900, 513, 1024, 512] {
        #expect(try allocator.resize(block, toBytes: bytes, in: group) == block)
      }
      let moved = try allocator.resize(block, toBytes: 511, in: group)
      #expect(moved != block)
      #expect(allocator.usableBytes(of: moved) == 512)
      block = moved
      for index in 0..<511 {
        #expect(unsafe UnsafeMutablePointer<UInt8>(bitPattern: block)![index] == 7)
      }
      allocator.free(block)
      allocator.release(group)
    }
  }

  /// Sizes that have no class: 36 KiB, one page more and less than a class, more than a chunk of the heap.
  static let sizes = [
    32 << 10 + 1, 36 << 10, 60 << 10, 68 << 10, 1 << 20 + 1, 4 << 20 + page, 37 << 20,
  ]

  @Test(arguments: sizes) func aBlockIsChargedByItsPages(bytes: Int) throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant")
      let map = allocator.pages.pointee.map
      let pages = SizeClasses.pages(forBytes: bytes)
      let block = try allocator.allocate(bytes: bytes, in: group)
      #expect(allocator.usableBytes(of: block) == pages * page)
      #expect(group.currentBytes == pages * page)
      let units = 0..<pages * page / UnitMap.unitBytes
      #expect(units.filter { map.words[map.unit(of: block) + $0] != 0 } == [0])
      mark(block, bytes: pages * page, with: 1)
      expectIdleAndWhole(allocator)
      allocator.free(block)
      #expect(group.currentBytes == 0)
      #expect(units.allSatisfy { map.cache(at: block + UInt($0 * UnitMap.unitBytes)) == nil })
      expectIdleAndWhole(allocator)
      allocator.release(group)
    }
  }

  @Test(arguments: [13, 16, 20, 22, 23, 26, 30]) func alignments(shift: Int) throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant")
      var blocks: [UInt] = []
      var charged = 0
      for bytes in [0, 1, 5000, 64 << 10, 100_000, 5 << 20] {
        let block = try allocator.allocate(bytes: bytes, alignment: 1 << shift, in: group)
        #expect(block % (1 << UInt(shift)) == 0)
        let usable = allocator.usableBytes(of: block)
        #expect(usable == max(1, SizeClasses.pages(forBytes: bytes)) * page)
        charged += usable
        mark(block, bytes: usable, with: UInt64(bytes))
        blocks.append(block)
      }
      #expect(group.currentBytes == charged)
      expectIdleAndWhole(allocator)
      for block in blocks { allocator.free(block) }
      #expect(throws: AllocatorError.invalidAlignment) {
        try allocator.allocate(bytes: 1, alignment: 2 << 30, in: group)
      }
      allocator.release(group)
    }
  }

  /// What a heap of 16 MiB has, and not more.
  @Test func theReservationIsTheLimit() throws {
    var configuration = AllocatorConfiguration()
    configuration.addressSpaceBytes = 16 << 20
    try withAllocator(configuration: configuration) { allocator in
      let group = try allocator.makeGroup("tenant")
      #expect(throws: AllocatorError.outOfMemory) {
        try allocator.allocate(bytes: 17 << 20, in: group)
      }
      // The system chooses where the heap lies, and one of 64 has a multiple of 1 GiB in it; at its start are objects of the
      // core.
      let start = allocator.pages.pointee.map.address(ofUnit: 0)
      let multiple = (start + 1 << 30 - 1) & ~(1 << 30 - 1)
      if multiple > start, multiple < start + 16 << 20 {
        let block = try allocator.allocate(bytes: 1, alignment: 1 << 30, in: group)
        #expect(block == multiple)
        allocator.free(block)
      } else {
        #expect(throws: AllocatorError.outOfMemory) {
          try allocator.allocate(bytes: 1, alignment: 1 << 30, in: group)
        }
      }
      #expect(group.currentBytes == 0)
      let block = try allocator.allocate(bytes: 11 << 20, in: group)
      #expect(throws: AllocatorError.outOfMemory) {
        _ = try allocator.resize(block, toBytes: 16 << 20, in: group)
      }
      #expect(group.currentBytes == 11 << 20)
      expectIdleAndWhole(allocator)
      allocator.free(block)
      allocator.release(group)
    }
  }

  /// In place while what follows is free; with a move where it is not. The difference alone is charged, so a group
  /// whose limit holds the result holds the way there.
  @Test(arguments: [11, 300, 1500]) func growing(pages: Int) throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant", max: (3 * pages + 8) * page)
      let bytes = pages * page
      var block = try allocator.allocate(bytes: bytes, in: group)
      mark(block, bytes: bytes, with: 7)
      let longer = try allocator.resize(block, toBytes: bytes + 2 * page, in: group)
      #expect(longer == block)
      #expect(group.currentBytes == bytes + 2 * page)
      // Its end goes back, and is another one's.
      #expect(try allocator.resize(block, toBytes: bytes, in: group) == block)
      let neighbour = try allocator.allocate(bytes: 1, alignment: 8192, in: group)
      block = try allocator.resize(block, toBytes: 3 * bytes, in: group)
      #expect(isMarked(block, bytes: bytes, with: 7))
      #expect(group.currentBytes == 3 * bytes + page)
      mark(block, bytes: 3 * bytes, with: 8)
      expectIdleAndWhole(allocator)
      let refusal = #expect(throws: AllocatorError.self) {
        _ = try allocator.resize(block, toBytes: 4 * bytes + 8 * page, in: group)
      }
      #expect(refusal == .groupLimit(group))
      #expect(isMarked(block, bytes: 3 * bytes, with: 8))
      #expect(try allocator.resize(block, toBytes: 40 << 10, in: group) == block)
      allocator.free(neighbour)
      allocator.free(block)
      #expect(group.currentBytes == 0)
      allocator.release(group)
    }
  }

  /// The kernel moves the pages of large blocks, or the bytes are copied.
  @Test(arguments: [false, true]) func contentsMove(isRefused: Bool) async {
    await #expect(processExitsWith: .success) { [isRefused] in
      // An allocator for each: where the next block lies depends on what a worker gives back.
      for bytes in [8 << 20, 8 << 20 + page] {
        try withAllocator { allocator in
          let group = try allocator.makeGroup("tenant")
          if isRefused {
            FaultInjection.failCall(1, of: .movePages, with: .invalidArgument, repeating: true)
          }
          let block = try allocator.allocate(bytes: bytes, in: group)
          let neighbour = try allocator.allocate(bytes: 4 << 20 + page, in: group)
          mark(block, bytes: bytes, with: 9)
          let moved = try allocator.resize(block, toBytes: 20 << 20, in: group)
          #expect(moved != block)
          #expect(isMarked(moved, bytes: bytes, with: 9))
          #expect(FaultInjection.end() > 0 || !isRefused)
          #expect(group.currentBytes == 20 << 20 + 4 << 20 + page)
          expectIdleAndWhole(allocator)
          allocator.free(moved)
          allocator.free(neighbour)
          allocator.release(group)
        }
      }
    }
  }

  /// Each system call of a growth and of a clearing fails in turn.
  @Test(arguments: [false, true]) func everyCallMayFail(repeating: Bool) async {
    await #expect(processExitsWith: .success) { [repeating] in
      let allocator = try Allocator()
      let group = try allocator.makeGroup("tenant")
      let other = try allocator.makeGroup("other")
      let failed = try failEachCall(repeating: repeating) {
        let dirty = try allocator.allocate(bytes: 9 << 20, in: other)
        mark(dirty, bytes: 9 << 20, with: 3)
        allocator.free(dirty)
      } operate: { _ in
        do throws(AllocatorError) {
          let block = try allocator.allocate(bytes: 9 << 20, in: group)
          #expect(isZero(block, bytes: 64 << 10))
          mark(block, bytes: 9 << 20, with: 4)
          let last = (try? allocator.resize(block, toBytes: 90 << 20, in: group)) ?? block
          #expect(isMarked(last, bytes: 9 << 20, with: 4))
          allocator.free(last)
        } catch { #expect(error == .outOfMemory) }
      } check: { _, _ in
        #expect(group.currentBytes == 0)
        allocator.waitUntilIdle()
        allocator.trim()
        expectIdleAndWhole(allocator)
      }
      #expect(failed >= 2)
      allocator.release(group)
      allocator.release(other)
      allocator.unmapEverything()
    }
  }

  /// What another tenant had is not there, however it comes: as a whole, as a part, by growing into it. What the same
  /// tenant had may be.
  @Test(arguments: [40 << 10, 300 << 10, 9 << 20]) func memoryOfOthersIsCleared(bytes: Int) throws {
    try withAllocator { allocator in
      let one = try allocator.makeGroup("one")
      let other = try allocator.makeGroup("other")
      func isOwn(_ block: UInt, bytes: Int) -> Bool {
        (0..<bytes / 8).allSatisfy { Words(at: block)[$0] < 1 << 40 }
      }
      for _ in 0..<2 {
        let block = try allocator.allocate(bytes: 2 * bytes, in: one)
        mark(block, bytes: 2 * bytes, with: .max / 2)
        allocator.free(block)
        let next = try allocator.allocate(bytes: bytes, in: other)
        #expect(isOwn(next, bytes: bytes))
        let longer = try allocator.resize(next, toBytes: 2 * bytes, in: other)
        #expect(isOwn(longer, bytes: 2 * bytes))
        mark(longer, bytes: 2 * bytes, with: 1)
        allocator.free(longer)
        let zeroed = try allocator.allocate(
          bytes: bytes, alignment: 16, in: other, isZeroed: true)
        #expect(isZero(zeroed, bytes: bytes))
        allocator.free(zeroed)
      }
      allocator.release(one)
      allocator.release(other)
    }
  }

  /// A block that outlives its group is charged above it to the byte, also when it becomes shorter there; one that
  /// becomes longer is the new group's.
  @Test func blocksOutliveTheirGroup() throws {
    try withAllocator { allocator in
      let parent = try allocator.makeGroup("parent")
      let group = try allocator.makeGroup("child", below: parent)
      let block = try allocator.allocate(bytes: 25 * page, in: group)
      let other = try allocator.allocate(bytes: 11 * page, in: group)
      mark(block, bytes: 25 * page, with: 5)
      try allocator.close(group)
      #expect(throws: AllocatorError.groupOffline) {
        _ = try allocator.resize(other, toBytes: 12 * page, in: group)
      }
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.childCachesReparented == 1)
      #expect(parent.currentBytes == 36 * page)
      #expect(try allocator.resize(block, toBytes: 20 * page, in: parent) == block)
      #expect(parent.currentBytes == 31 * page)
      let moved = try allocator.resize(block, toBytes: 30 * page, in: parent)
      #expect(isMarked(moved, bytes: 20 * page, with: 5))
      #expect(parent.currentBytes == 41 * page)
      expectIdleAndWhole(allocator)
      allocator.free(other)
      #expect(parent.currentBytes == 30 * page)
      allocator.free(moved)
      #expect(parent.currentBytes == 0)
      allocator.release(parent)
    }
  }

  @Test func aDiscardGivesThemBack() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant")
      for pages in 9..<40 { _ = try allocator.allocate(bytes: pages * page, in: group) }
      _ = try allocator.allocate(bytes: 21 << 20, in: group)
      try allocator.discard(group)
      allocator.waitUntilIdle()
      #expect(group.currentBytes == 0)
      expectIdleAndWhole(allocator)
      allocator.release(group)
    }
  }

  /// The line of slabinfo counts pages.
  @Test func slabinfoCountsPages() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant")
      let block = try allocator.allocate(bytes: 11 * page, in: group)
      let line = try allocator.slabinfo(of: group).split(separator: "\n").first {
        $0.hasPrefix("core:block-pages ")
      }
      #expect(line?.split(separator: " ").dropFirst().prefix(5) == ["11", "11", "4096", "1", "1"])
      allocator.free(block)
      allocator.release(group)
    }
  }

  /// Against a dictionary: any sizes in two groups, contents, charges, and the invariants.
  @Test func model() throws {
    try withSeed { seed in
      try withAllocator { allocator in
        var random = SeededGenerator(seed: seed)
        let groups = [try allocator.makeGroup("a"), try allocator.makeGroup("b")]
        var blocks: [UInt: (tag: UInt64, bytes: Int)] = [:]
        func anySize() -> Int {
          switch Int.random(in: 0..<10, using: &random) {
          case 0: Int.random(in: page...32 << 10, using: &random)
          case 1: 1 << Int.random(in: 16...22, using: &random)
          case 2: Int.random(in: 4 << 20...12 << 20, using: &random)
          default: Int.random(in: 32 << 10...1 << 20, using: &random)
          }
        }
        func add(_ block: UInt) {
          let tag = UInt64(truncatingIfNeeded: random.next() >> 1)
          let bytes = allocator.usableBytes(of: block)
          mark(block, bytes: bytes, with: tag)
          #expect(blocks.updateValue((tag, bytes), forKey: block) == nil)
        }
        for step in 0..<600 {
          let group = Int.random(in: 0...1, using: &random)
          let chosen = blocks.keys.sorted().randomElement(using: &random)
          if let chosen, blocks.count > 20 || Int.random(in: 0..<3, using: &random) == 0 {
            let old = blocks.removeValue(forKey: chosen)!
            #expect(isMarked(chosen, bytes: old.bytes, with: old.tag))
            if Bool.random(using: &random) {
              allocator.free(chosen)
            } else {
              let wanted = anySize()
              let moved = try allocator.resize(chosen, toBytes: wanted, in: groups[group])
              let bytes = allocator.usableBytes(of: moved)
              #expect(bytes >= wanted)
              #expect(isMarked(moved, bytes: min(bytes, old.bytes), with: old.tag))
              add(moved)
            }
          } else {
            add(try allocator.allocate(bytes: anySize(), in: groups[group]))
          }
          if step % 50 == 0 { expectIdleAndWhole(allocator) }
        }
        expectIdleAndWhole(allocator)
        for (block, old) in blocks {
          #expect(isMarked(block, bytes: old.bytes, with: old.tag))
          allocator.free(block)
        }
        for group in groups {
          allocator.reclaim(bytes: .max, of: group)
          #expect(group.currentBytes == 0)
          allocator.release(group)
        }
      }
    }
  }
}
