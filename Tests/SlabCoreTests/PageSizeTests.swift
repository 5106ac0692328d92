// SPDX-License-Identifier: Apache-2.0
// A kernel whose pages are larger than the allocator's: nothing smaller than a page of its is given back
// or protected, so nothing that is live is lost. Pretended, since this machine has one size.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct PageSizeTests {
  @Test(arguments: [4, 16, 64]) func everythingWorks(kibibytes: Int) async {
    await #expect(processExitsWith: .success) { [kibibytes = kibibytes as Int] in
      FaultInjection.pretendPages(of: kibibytes << 10)
      var configuration = AllocatorConfiguration()
      configuration.freeBytesToKeep = 0
      try withAllocator(configuration: configuration) { allocator in
        let roots = try [24, 200, 1000, 3000, 32768].map { size in
          try unsafe allocator.makeCache("size-\(size)", size: size)
        }
        var kept: [(object: UInt, value: UInt64)] = []
        for round in 0..<6 {
          let group = try allocator.makeGroup("group-\(round)")
          var objects: [UInt] = []
          for root in roots {
            for _ in 0..<200 {
              let object = try allocator.allocate(from: root, in: group)
              Words(at: object)[0] = UInt64(object) ^ 0x5a5a
              objects.append(object)
            }
          }
          // Every seventh stays, so that live pages stand between free ones.
          for (index, object) in objects.enumerated() {
            if index % 7 == 0 {
              kept.append((object, UInt64(object) ^ 0x5a5a))
            } else {
              allocator.free(object)
            }
          }
          try allocator.close(group)
          allocator.release(group)
          allocator.waitUntilIdle()
          allocator.trim()
          #expect(kept.allSatisfy { Words(at: $0.object)[0] == $0.value }, "round \(round)")
          expectWhole(allocator)
        }
        for item in kept { allocator.free(item.object) }
        for root in roots { try allocator.destroy(root) }
        allocator.waitUntilIdle()
        allocator.trim()
        #expect(allocator.statistics.returnedBytes > 0)
      }
      FaultInjection.pretendPages(of: 0)
    }
  }

  @Test func givingBackLeavesPartsOfPagesAlone() async {
    await #expect(processExitsWith: .success) {
      FaultInjection.pretendPages(of: 16 << 10)
      let start = try SystemCall.reserve(bytes: 64 << 10)
      try SystemCall.protectReadWrite(at: start + 4096, bytes: 40 << 10)
      let pages = (0..<12).map { Words(at: start + UInt($0) * 4096) }
      for page in pages { page[0] = 1 }
      try SystemCall.giveBack(at: start + 4096, bytes: 40 << 10)
      // Of 4 to 44 KiB the whole pages are those of 16 to 32 KiB.
      #expect(pages.map { $0[0] } == [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1])
      #expect(throws: Errno.invalidArgument) {
        try SystemCall.giveBack(at: start + 4096, bytes: 16 << 10)
      }
      FaultInjection.pretendPages(of: 0)
    }
  }

  /// A run of which the kernel could not take a page is not taken out to be given back: it is whose it was.
  @Test func smallerRunsStay() async {
    await #expect(processExitsWith: .success) {
      FaultInjection.pretendPages(of: 16 << 10)
      try withPages(chunks: 1) { fixture in
        let unit = try #require(fixture.allocate(order: UnitMap.pageOrder))
        fixture.free(unit, order: UnitMap.pageOrder)
        fixture.giveBack(keeping: 0)
        let run = fixture.pages.allocate(order: UnitMap.pageOrder, for: .rootGroup)
        #expect(run?.unit == unit && run?.isForeign == false)
      }
      FaultInjection.pretendPages(of: 0)
    }
  }

  @Test func largerPagesAreRefused() async {
    await #expect(processExitsWith: .success) {
      FaultInjection.pretendPages(of: 128 << 10)
      #expect(throws: AllocatorError.unsupportedPageSize(bytes: 128 << 10)) { try Allocator() }
      FaultInjection.pretendPages(of: 0)
    }
  }
}
