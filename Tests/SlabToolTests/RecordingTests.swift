// SPDX-License-Identifier: Apache-2.0
// Whole recordings: the counts that any correct reader finds, from every kind of source.

import Foundation
import SlabTestSupport
import Testing

@testable import SlabTool

@Suite(.inTurn) struct RecordingTests {
  private func expectPackagedCounts(
    _ found: (target: CountingTarget, counts: RecordingCounts)
  ) {
    let (target, counts) = found
    #expect(counts.lines == 163_849)
    #expect(counts.events == 163_849)
    #expect(counts.irregularities == IrregularityCounts())
    #expect(counts.groups == 50)
    #expect(counts.offlined == 50)
    #expect(counts.rootCaches == 35)
    #expect(counts.childCaches == 947)
    #expect(counts.allocations == 91_992)
    #expect(counts.charged == 43_761)
    #expect(counts.frees == 71_437)
    #expect(counts.implicitFrees == 14_009)
    #expect(counts.unmatchedFrees == 0)
    #expect(counts.chargedFreesAfterOffline == 943)
    #expect(counts.live == 6_546)
    #expect(counts.chargedLive == 3_611)
    #expect(counts.pinnedGroups == 50)
    #expect(target.groups.map(\.name) == (0..<50).map { "/kmemrec/job\($0)" })
    #expect(target.allocations == counts.allocations)
    #expect(target.charged == counts.charged)
    #expect(target.frees == counts.frees + counts.implicitFrees)
    #expect(target.live == counts.live)
    #expect(target.cacheNames.count == 35)
  }

  @Test func packaged() throws {
    expectPackagedCounts(try interpret(path: PackagedRecording.path(), name: "packaged"))
  }

  @Test(arguments: [
    ("cat", ".txt"), ("zstd -q -c", ".zst"), ("xz -0 -c", ".xz"), ("gzip -c", ".gz"),
  ])
  func everyKindOfFile(_ compress: String, _ suffix: String) throws {
    let file = try TemporaryFile("", suffix: suffix)
    let made = try shell(
      "gzip -dc \"$1\" | \(compress) > \"$2\"", PackagedRecording.path(), file.path)
    #expect(made.exitCode == 0)
    expectPackagedCounts(try interpret(path: file.path, name: "test"))
  }

  /// All 300 groups of the recording that the packaged one begins, with a sixteenth of the addresses.
  @Test func thinned() throws {
    let path = try resource("transient-300-thinned.ftrace.txt")
    let (target, counts) = try interpret(path: path, name: "thinned")
    #expect(counts.events == 53_204)
    #expect(counts.irregularities == IrregularityCounts())
    #expect(counts.groups == 300 && counts.offlined == 300)
    #expect(counts.rootCaches == 28)
    #expect(counts.childCaches == 2_220)
    #expect(counts.allocations == 28_436)
    #expect(counts.charged == 16_966)
    #expect(counts.frees == 22_248)
    #expect(counts.implicitFrees == 6_010)
    #expect(counts.unmatchedFrees == 0)
    #expect(counts.chargedFreesAfterOffline == 999)
    #expect(counts.live == 178)
    #expect(counts.chargedLive == 89)
    #expect(counts.pinnedGroups == 38)
    #expect(target.live == counts.live)
    // Memory follows the live objects, not the text.
    #expect(target.greatestPlace < 1_500)
  }
}
