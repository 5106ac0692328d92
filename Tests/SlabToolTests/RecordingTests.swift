// Whole recordings: the counts that any correct reader finds, from every kind of source.

import Foundation
import SlabTestSupport
import Testing

@testable import SlabTool

/// The recording that the packaged one was cut from, beside the checkout if it is there.
private let wholeRecording: String = {
  let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  return package.appendingPathComponent("../shared/traces/transient-300.ftrace.txt.gz")
    .standardizedFileURL.path
}()

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

  @Test(.enabled(if: FileManager.default.fileExists(atPath: wholeRecording)))
  func whole() throws {
    let (target, counts) = try interpret(path: wholeRecording, name: "whole")
    #expect(counts.events == 964_194)
    #expect(counts.irregularities == IrregularityCounts())
    #expect(counts.groups == 300)
    #expect(counts.rootCaches == 35)
    #expect(counts.childCaches == 5_584)
    #expect(counts.allocations == 526_366)
    #expect(counts.charged == 251_824)
    #expect(counts.frees == 435_308)
    #expect(counts.implicitFrees == 88_322)
    #expect(counts.unmatchedFrees == 0)
    #expect(counts.chargedFreesAfterOffline == 15_324)
    #expect(counts.live == 2_736)
    #expect(counts.chargedLive == 1_391)
    #expect(counts.pinnedGroups == 103)
    #expect(target.live == counts.live)
    // Memory follows the live objects, not the text.
    #expect(target.greatestSlot < 20_000)
  }
}
