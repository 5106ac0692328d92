// SPDX-License-Identifier: Apache-2.0
// Nothing is left: hundreds of thousands of groups and child caches come and go, in waves and all
// at once, and every counter and the memory is back where it was.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// Resident memory of this process, in bytes.
private func residentBytes() -> Int {
  guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
  defer { unsafe fclose(file) }
  var text = [UInt8](repeating: 0, count: 128)
  let count = unsafe fread(&text, 1, text.count, file)
  let fields = String(decoding: text[..<count], as: UTF8.self).split(separator: " ")
  return (Int(fields[1]) ?? 0) * 4096
}

@Suite(.inTurn(minutes: 5)) struct NothingLeftTests {
  // In a process of its own: no other test's memory is in the figures.
  @Test(arguments: [false, true]) func allComesBack(allAtOnce: Bool) async {
    await #expect(processExitsWith: .success) { [allAtOnce = allAtOnce as Bool] in
      let total = isDebugBuild ? 20_000 : 100_000
      let wave = allAtOnce ? total : total / 20
      try withAllocator { allocator in
        let roots = try [64, 192, 512].map { try allocator.makeCache("cache-\($0)", size: $0) }
        func live(_ count: Int) throws {
          var groups: [Pointer<Group>] = []
          groups.reserveCapacity(count)
          var objects: [UInt] = []
          objects.reserveCapacity(count * 4)
          for index in 0..<count {
            let group = try allocator.makeGroup("tenant")
            for root in roots { objects.append(try allocator.allocate(from: root, in: group)) }
            if index % 100 == 0 { try allocator.warmUp(roots[0], in: group) }
            groups.append(group)
          }
          // A third of the groups ends before its objects do.
          for index in stride(from: 0, to: count, by: 3) { allocator.release(groups[index]) }
          for object in objects { allocator.free(object) }
          for index in 0..<count where index % 3 != 0 { allocator.release(groups[index]) }
        }
        // Once around, so that what is kept for good is there: sums, ids, the region's first pages.
        try live(wave)
        allocator.waitUntilIdle()
        allocator.trim()
        let before = allocator.statistics
        let residentBefore = residentBytes()
        for _ in 0..<(total / wave) { try live(wave) }
        allocator.waitUntilIdle()
        allocator.trim()
        let after = allocator.statistics
        #expect(after.groupsCreated == total + wave)
        #expect(after.groupsReleased == after.groupsCreated)
        #expect(after.childCachesCreated == 3 * (total + wave))
        #expect(after.childCachesReleased == after.childCachesCreated)
        #expect(after.chargedBytes == 0)
        // The slabs that each of the core's 16 caches begins with are not always of the same order
        // and place, and a slab that is left pins its descriptor's: some 16 slabs of 32 KiB.
        // A worker may be about to give a run of pages back, which counts as used meanwhile.
        let isBack = eventually {
          let now = allocator.statistics
          return now.systemBytes <= before.systemBytes + 16 * (32 << 10)
            && now.usedBytes <= 16 * (32 << 10)
        }
        let now = allocator.statistics
        #expect(
          isBack,
          "system \(before.systemBytes) -> \(now.systemBytes) bytes, used \(now.usedBytes)")
        // The rest of the process: the arrays of this test, the stack of a worker.
        #expect(isSanitized || residentBytes() <= residentBefore + (4 << 20))
        for root in roots { try allocator.destroy(root) }
      }
    }
  }

  /// The most that there was stays the most, whatever goes back: pages, sheaves, and the tables of names.
  @Test func thePeakIsThePeak() throws {
    try withAllocator { allocator in
      let roots = try (0..<40).map { try allocator.makeCache("cache-\($0)", size: 64) }
      for root in roots {
        let objects = try (0..<200).map { _ in try allocator.allocate(from: root, in: nil) }
        for object in objects { allocator.free(object) }
      }
      let groups = try (0..<3000).map { try allocator.makeGroup("group-\($0)", isUnique: true) }
      let most = allocator.statistics
      #expect(most.systemBytesPeak >= most.systemBytes)
      let (sheaves, tables) = (
        allocator.region.usedBytes, allocator.tableFigures.now
      )
      for group in groups { allocator.release(group) }
      for root in roots { try allocator.destroy(root) }
      allocator.waitUntilIdle()
      allocator.trim()
      #expect(allocator.region.usedBytes < sheaves)
      #expect(allocator.tableFigures.now < tables)
      #expect(allocator.region.usedBytesPeak == sheaves)
      #expect(allocator.tableFigures.peak >= tables)
      let now = allocator.statistics
      #expect(now.systemBytes < most.systemBytes)
      #expect(now.systemBytesPeak >= most.systemBytesPeak)
    }
  }

  /// A run that a worker is giving back may be the end of the heap.
  @Test func trimWaitsForWorkers() throws {
    try withAllocator { allocator in
      let trimmer = Shared(0)
      let isOver = Shared(false)
      let thread = withWorkersHeldOff(of: allocator) {
        let thread = TestThread {
          trimmer.with { $0 = threadID() }
          allocator.trim()
          isOver.with { $0 = true }
        }
        #expect(eventually { trimmer.with { $0 } != 0 })
        #expect(waitUntilAsleep(threadID: trimmer.with { $0 }))
        #expect(!isOver.with { $0 })
        return thread
      }
      thread.join()
      #expect(isOver.with { $0 })
    }
  }

  /// Roots, with their indices, sums and names.
  @Test func rootsComeAndGo() throws {
    try withAllocator { allocator in
      func live() throws {
        var roots: [Pointer<RootCache>] = []
        for index in 0..<500 {
          roots.append(try allocator.makeCache("cache-\(index)", size: 8 + index * 8))
          allocator.free(try allocator.allocate(from: roots[index], in: nil))
        }
        for root in roots { try allocator.destroy(root) }
        allocator.waitUntilIdle()
        allocator.trim()
      }
      try live()
      let before = allocator.statistics
      for _ in 0..<5 { try live() }
      #expect(allocator.statistics.rootCachesReleased == 3000)
      // As above.
      #expect(
        eventually {
          let now = allocator.statistics
          return now.systemBytes <= before.systemBytes + 16 * (32 << 10)
            && now.usedBytes <= 16 * (32 << 10)
        })
    }
  }
}

extension Allocator {
  fileprivate var tableFigures: (now: Int, peak: Int) {
    let registry = lockRegistry()
    return (tableBytes(under: registry), tableBytesPeak(under: registry))
  }
}
