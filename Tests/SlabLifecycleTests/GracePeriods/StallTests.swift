// SPDX-License-Identifier: Apache-2.0
// Readers that hold grace periods up: what is said of them, when, and when nothing is.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// A report, taken apart.
private struct StallReport: Equatable {
  let milliseconds: Int
  let sections: Int
  /// Where the oldest began, and its age, with tracking.
  var origin: String?

  init?(_ line: Substring) {
    guard
      let match = line.wholeMatch(
        of:
          /slab: a grace period has waited (\d+) ms for (\d+) reader sections?(?:; the oldest began at (\S+), (\d+) ms ago)?/
      ), let milliseconds = Int(match.1), let sections = Int(match.2)
    else { return nil }
    self.milliseconds = milliseconds
    self.sections = sections
    origin = match.3.map { String($0) }
  }
}

@Suite(.inTurn) struct StallTests {
  /// Reported after the time, and again after each doubling, until the section ends.
  @Test(arguments: [false, true]) func reports(tracks: Bool) async throws {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) { [tracks = tracks as Bool] in
      var configuration = AllocatorConfiguration()
      configuration.stallTimeout = .milliseconds(40)
      configuration.tracksReaders = tracks
      try withAllocator(configuration: configuration) { allocator in
        let sections = [allocator.beginReading(line: 42), allocator.beginReading(line: 43)]
        let waiter = TestThread { allocator.synchronize() }
        #expect(eventually { allocator.statistics.stalls >= 2 })
        allocator.endReading(sections[0])
        // The next one may be on its way already, with the number of before.
        let before = allocator.statistics.stalls
        #expect(eventually { allocator.statistics.stalls >= before + 2 })
        allocator.endReading(sections[1])
        waiter.join()
      }
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    let reports = text.split(separator: "\n").compactMap { StallReport($0) }
    #expect(reports.count >= 4, "\(text)")
    #expect(reports.first?.sections == 2 && reports.last?.sections == 1, "\(text)")
    for (index, report) in reports.enumerated() {
      #expect(report.milliseconds >= 40 << index, "\(text)")
      let line = report.sections == 2 ? 42 : 43
      let origin = tracks ? "SlabLifecycleTests/StallTests.swift:\(line)" : nil
      // Between the count and the look at the records a section may end.
      if report.sections == 1 || index == 0 { #expect(report.origin == origin, "\(text)") }
    }
  }

  /// Without tracking a thread that waits for itself is reported; another one may end the section.
  @Test func waitingInAnOwnSection() async throws {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) {
      var configuration = AllocatorConfiguration()
      configuration.stallTimeout = .milliseconds(20)
      try withAllocator(configuration: configuration) { allocator in
        let root = try allocator.makeCache("cache", size: 64)
        for wait in [{ allocator.synchronize() }, { allocator.barrier() }] {
          allocator.freeAfterGracePeriod(try allocator.allocate(from: root, in: nil))
          let before = allocator.statistics.stalls
          let section = allocator.beginReading()
          let other = TestThread {
            #expect(eventually { allocator.statistics.stalls > before })
            allocator.endReading(section)
          }
          wait()
          other.join()
        }
        try allocator.destroy(root)
      }
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("for 1 reader section\n"))
  }

  /// 0 is never.
  @Test func silence() async throws {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) {
      var configuration = AllocatorConfiguration()
      configuration.stallTimeout = .zero
      try withAllocator(configuration: configuration) { allocator in
        let section = allocator.beginReading()
        let waiter = TestThread { allocator.synchronize() }
        // As long as three reports take in the test above.
        let end = SystemCall.monotonicNanoseconds + 300_000_000
        while SystemCall.monotonicNanoseconds < end { Threads.yield() }
        allocator.endReading(section)
        waiter.join()
        #expect(allocator.statistics.stalls == 0)
      }
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(!text.contains("slab:"), "\(text)")
  }
}
