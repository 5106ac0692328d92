// SPDX-License-Identifier: Apache-2.0
// Replays on the allocator, in this process: counts, copies, stamps, sums, reports.

import Foundation
import Slab
import SlabTestSupport
import Testing

@testable import SlabTool

private func replay(
  _ path: String, copies: Int = 1, endings: EndingPolicy = .reparent
) throws -> ReplayOutcome {
  try Replay(
    path: path, name: "test", copies: copies, endings: endings, isSlabinfoWanted: true
  ).run { _ in }
}

@Suite(.inTurn) struct ReplayTests {
  @Test(arguments: EndingPolicy.allCases)
  func copiesMultiplyEveryCountButTheRootCaches(endings: EndingPolicy) throws {
    let path = try PackagedRecording.path()
    let single = ReplayReport(try replay(path, endings: endings)).figures
    let triple = ReplayReport(try replay(path, copies: 3, endings: endings)).figures
    #expect(single.sumCheckFailures == [])
    #expect(triple.sumCheckFailures == [])
    #expect(triple.rootCaches == single.rootCaches)
    for count: KeyPath<ReplayFigures, Int> in [
      \.events, \.groups, \.offlined, \.childCaches, \.allocations, \.charged, \.frees,
      \.implicitFrees, \.unmatchedFrees, \.chargedFreesAfterOffline, \.liveAtEnd,
      \.chargedLiveAtEnd, \.pinnedGroupsAtEnd, \.groupsReleased, \.childCachesReleased,
    ] {
      #expect(triple[keyPath: count] == 3 * single[keyPath: count])
    }
    #expect(single.groups == 50)
    #expect(single.pinnedGroupsAtEnd == (endings == .keep ? 50 : 0))
    #expect(single.dyingGroupsAtEnd == single.pinnedGroupsAtEnd)
    #expect((single.reparentedCaches > 0) == (endings == .reparent))
    #expect(single.chargedBytesAfterCleanup == 0)
    #expect(single.bytesAtEnd <= single.peakBytes)
    #expect(single.slabinfo?.hasPrefix("slabinfo - version: 2.1\n") == true)
  }

  @Test func groupsAndObjectsThatTheRecordingLeaves() throws {
    let file = try TemporaryFile(
      Line.mkdir(1, "/a") + Line.mkdir(2, "/a/b") + Line.attach(7, to: 2) + Line.allocate("a1")
        + Line.allocate("a2", cache: "tiny", bytes: "1")
        + Line.allocate("a3", cache: "small", bytes: "9") + Line.mkdir(3, "/a")
        + Line.allocate("a4", cache: "large", bytes: "32768") + Line.rmdir(3))
    let outcome = try replay(file.path, copies: 2)
    let figures = ReplayReport(outcome).figures
    #expect(figures.sumCheckFailures == [])
    #expect(figures.liveAtEnd == 8)
    #expect(figures.groupsReleased == 6)
    #expect(figures.childCachesReleased == 8)
    #expect(figures.pinnedGroupsAtEnd == 0)
    #expect(figures.offlined == 2)
  }

  /// Each copy has its own tree: a parent is held by the child of its own copy alone.
  @Test func pinnedChildrenHoldTheirOwnParents() throws {
    let file = try TemporaryFile(
      Line.mkdir(1, "/a") + Line.mkdir(2, "/a/b") + Line.attach(7, to: 2) + Line.allocate("a1")
        + Line.rmdir(2) + Line.rmdir(1))
    let kept = ReplayReport(try replay(file.path, copies: 3, endings: .keep)).figures
    #expect(kept.sumCheckFailures == [])
    #expect(kept.pinnedGroupsAtEnd == 6)
    #expect(kept.dyingGroupsAtEnd == 6)
    #expect(kept.pinnedChildCachesAtEnd == 3)
    #expect(kept.reparentedCaches == 0)
    let moved = ReplayReport(try replay(file.path, copies: 3)).figures
    #expect(moved.sumCheckFailures == [])
    #expect(moved.pinnedGroupsAtEnd == 0)
    #expect(moved.dyingGroupsAtEnd == 0)
    #expect(moved.pinnedChildCachesAtEnd == 3)
    #expect(moved.reparentedCaches == 3)
    // Whichever group stands for the objects, they are charged.
    #expect(moved.chargedBytesAtEnd == kept.chargedBytesAtEnd && kept.chargedBytesAtEnd > 0)
  }

  @Test func copiesAreNamedApart() {
    let names = (0..<3).map { SlabReplayTarget.groupName("/jobs/job0", group: 4, copy: $0) }
    #expect(names == ["job0#5", "job0#5.2", "job0#5.3"])
    #expect(SlabReplayTarget.groupName("/", group: 0, copy: 0) == "group#1")
    #expect(SlabReplayTarget.groupName("/a b\u{7}é", group: 0, copy: 0) == "a_b___#1")
    let long = String(repeating: "x", count: 300)
    #expect(SlabReplayTarget.groupName(long, group: 0, copy: 0).utf8.count == 202)
  }

  @Test func overwrittenObjectsAreFound() {
    for objectBytes in 1...64 {
      let stamp = ObjectStamp(place: 3, copy: 1, generation: 9, objectBytes: objectBytes)
      let object = UnsafeMutableRawPointer.allocate(byteCount: objectBytes, alignment: 1)
      defer { unsafe object.deallocate() }
      // SAFETY: the object has the bytes that the stamp was told.
      unsafe stamp.write(to: object)
      #expect(unsafe stamp.isIntact(in: object))
      for offset in [0, objectBytes - 1] {
        unsafe object.storeBytes(
          of: ~object.load(fromByteOffset: offset, as: UInt8.self), toByteOffset: offset,
          as: UInt8.self)
        #expect(unsafe !stamp.isIntact(in: object))
        unsafe stamp.write(to: object)
      }
    }
  }

  @Test(arguments: EndingPolicy.allCases)
  func aWrongEndingIsFound(endings: EndingPolicy) throws {
    var changed = try replay(PackagedRecording.path(), endings: endings)
    changed.endings = endings == .keep ? .reparent : .keep
    #expect(SumCheck(changed).failures != [])
  }

  @Test func aWrongBookIsFound() throws {
    let outcome = try replay(PackagedRecording.path(), endings: .keep)
    for wrong: WritableKeyPath<RecordingCounts, Int> in [
      \.allocations, \.charged, \.frees, \.implicitFrees, \.live, \.groups, \.offlined,
      \.groupsGone, \.rootCaches, \.childCaches, \.childCachesGone, \.chargedLive,
    ] {
      var changed = outcome
      changed.counts[keyPath: wrong] += 1
      #expect(SumCheck(changed).failures != [])
    }
    #expect(SumCheck(outcome).failures == [])
  }

  @Test func percentilesAreExact() {
    var latencies = Latencies()
    #expect(latencies.percentiles == .init(p50: 0, p99: 0, p999: 0, max: 0))
    for sample in [30, 10, 20] { latencies.add(nanoseconds: sample) }
    #expect(latencies.percentiles == .init(p50: 20, p99: 30, p999: 30, max: 30))
    latencies = Latencies()
    for sample in (1...1000).shuffled() { latencies.add(nanoseconds: sample) }
    #expect(latencies.percentiles == .init(p50: 500, p99: 990, p999: 999, max: 1000))
  }
}

@Suite(.inTurn) struct ReportTests {
  private static let requiredKeys = [
    "groups", "offlined", "root_caches", "child_caches", "allocations", "charged", "frees",
    "implicit_frees", "unmatched_frees", "charged_frees_after_offline", "live_at_end",
    "charged_live_at_end", "pinned_groups_at_end", "dying_groups_at_end", "reparented_caches",
    "pinned_child_caches_at_end", "endings", "groups_released", "child_caches_released",
    "charged_bytes_peak", "charged_bytes_at_end", "charged_bytes_after_cleanup", "peak_bytes",
    "bytes_after_cleanup", "fences", "fence_batches", "worker_threads_peak", "offline_ns",
    "replay_seconds", "events", "events_per_second", "version", "format", "null_frees", "notes",
    "lost_events", "hashed_addresses", "expected_collisions", "caches_named_by_free",
    "caches_named_by_size", "unread_allocation_events",
  ]

  @Test func jsonHasEveryKey() throws {
    let report = ReplayReport(try replay(PackagedRecording.path()))
    let json = try JSONSerialization.jsonObject(with: Data(report.json().utf8))
    let object = try #require(json as? [String: Any])
    for key in Self.requiredKeys + Irregularity.allCases.map(\.rawValue) {
      #expect(object[key] != nil, "\(key)")
    }
    let offline = try #require(object["offline_ns"] as? [String: Int])
    #expect(Set(offline.keys) == ["p50", "p99", "p999", "max"])
    #expect(object["charged"] as? Int == 43_761)
  }

  @Test func textNamesWhatWasFound() throws {
    let file = try TemporaryFile(Line.allocate("a1") + "garbage\n")
    let text = ReplayReport(try replay(file.path, copies: 1000)).text()
    #expect(text.contains("slab replay of test, 1,000 copies side by side\n"))
    #expect(text.contains("  0 frees, 0 of them implicit; 0 of unknown addresses, 0 of NULL\n"))
    #expect(text.contains("1 malformed_lines: incomplete event: ignored\n"))
    #expect(text.contains("1,000 objects live, 0 of them charged"))
  }

  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1,000"), (558_400, "558,400"), (-1_234_567, "-1,234,567"),
  ])
  func thousandsAreApart(_ number: Int, _ text: String) {
    #expect(number.grouped == text)
  }

  @Test func progress() {
    let half = String(repeating: "#", count: 20) + String(repeating: ".", count: 20)
    #expect(ProgressBar.drawing(bytes: 4 << 20, of: 8 << 20) == "[\(half)] 50 % of 8 MiB")
    #expect(ProgressBar.drawing(bytes: 9 << 20, of: 8 << 20).contains("100 %"))
    #expect(ProgressBar.drawing(bytes: 4 << 20, of: nil) == "4 MiB read")
  }
}
