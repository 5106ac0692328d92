// SPDX-License-Identifier: Apache-2.0
// What becomes of a recording's events: counts, treatments of what is out of order, and what the
// target is told.

import SlabTestSupport
import Testing

@testable import SlabTool

@Suite(.inTurn) struct InterpreterTests {
  @Test func objectsOfAGroup() throws {
    let (target, counts) = try interpret(
      Line.mkdir(1, "/a") + Line.attach(7, to: 1) + Line.allocate("a1") + Line.allocate("a2")
        + Line.allocate("a3", accounted: false) + Line.kfree("a2") + Line.rmdir(1)
        + Line.free("a1") + Line.free("b9"))
    #expect(target.groups == [.init(name: "/a", isOnline: false)])
    #expect(counts.allocations == 3)
    #expect(counts.charged == 2)
    #expect(counts.frees == 2)
    #expect(counts.chargedFreesAfterOffline == 1)
    #expect(counts.unmatchedFrees == 1)
    #expect(counts.live == 1)
    #expect(counts.chargedLive == 0)
    #expect(counts.childCaches == 1)
    #expect(counts.pinnedGroups == 0)
  }

  @Test func anAddressAllocatedAgainWasFreed() throws {
    let (target, counts) = try interpret(
      Line.mkdir(1, "/a") + Line.attach(7, to: 1) + Line.allocate("a1") + Line.allocate("a1"))
    #expect(counts.implicitFrees == 1)
    #expect(counts.chargedFrees == 1)
    #expect(target.frees == 1)
    #expect(target.live == 1)
    #expect(target.greatestPlace == 0)
  }

  @Test func childrenInheritTheGroupOfTheirParent() throws {
    let (_, counts) = try interpret(
      Line.mkdir(1, "/a") + Line.attach(7, to: 1) + Line.fork(7, 8) + Line.fork(8, 9)
        + Line.allocate("a1", pid: 9)
        // The pid is given out again, outside every group.
        + Line.fork(3, 9) + Line.allocate("a2", pid: 9) + Line.allocate("a3", pid: 8))
    #expect(counts.charged == 2)
  }

  @Test func aTaskStaysInItsGroupAfterItsExit() throws {
    let (_, counts) = try interpret(
      Line.mkdir(1, "/a") + Line.attach(7, to: 1)
        + Line.event("sched_process_exit: comm=bash pid=7 prio=120 group_dead=true")
        + Line.allocate("a1"))
    #expect(counts.charged == 1)
  }

  @Test func theParentIsTheLongestPathThatLeadsThere() throws {
    let text =
      Line.mkdir(1, "/a") + Line.mkdir(2, "/a/b") + Line.mkdir(3, "/a/b/c/d")
      + Line.mkdir(4, "/ab") + Line.attach(7, to: 3) + Line.allocate("a1") + Line.rmdir(3)
      + Line.rmdir(2)
    let (target, counts) = try interpret(text)
    #expect(target.groups.map(\.parent) == [nil, 0, 1, nil])
    // The object of the lowest group pins those above it that ended.
    #expect(counts.pinnedGroups == 2)
    #expect(counts.pinnedChildCaches == 1)
    #expect(try interpret(text + Line.kfree("a1")).counts.pinnedGroups == 0)
  }

  @Test func irregularGroups() throws {
    let (target, counts) = try interpret(
      Line.mkdir(1, "/a") + Line.mkdir(1, "/b") + Line.mkdir(2, "/a") + Line.mkdir(3, "/a/x")
        + Line.rmdir(1) + Line.rmdir(99) + Line.rmdir(3) + Line.rmdir(1) + Line.rmdir(1)
        + Line.mkdir(4, "/a") + Line.attach(7, to: 1) + Line.allocate("a1"))
    #expect(target.groups.map(\.name) == ["/a", "/a~2", "/a/x", "/a"])
    #expect(target.groups.map(\.isOnline) == [false, true, false, true])
    #expect(counts.irregularities[.duplicateMkdirs] == 1)
    #expect(counts.irregularities[.renamedGroups] == 1)
    #expect(counts.irregularities[.busyRmdirs] == 1)
    #expect(counts.irregularities[.unknownRmdirs] == 2)
    #expect(counts.irregularities[.unknownAttaches] == 1)
    #expect(counts.charged == 0)
  }

  @Test func allocationsAfterTheGroupsEndGoToTheGroupAbove() throws {
    let (_, counts) = try interpret(
      Line.mkdir(1, "/a") + Line.mkdir(2, "/a/b") + Line.attach(7, to: 2) + Line.rmdir(2)
        + Line.allocate("a1") + Line.rmdir(1) + Line.allocate("a2"))
    #expect(counts.irregularities[.lateAllocations] == 2)
    #expect(counts.charged == 1)
    #expect(counts.allocations == 2)
  }

  @Test(arguments: ["0", "32769", "4294967296", "99999999999999999999999"])
  func sizesThatNoCacheHas(_ bytes: String) throws {
    let (target, counts) = try interpret(
      Line.allocate("a1") + Line.allocate("a1", bytes: bytes) + Line.free("a1"))
    #expect(counts.irregularities[.skippedAllocations] == 1)
    #expect(counts.allocations == 1)
    #expect(counts.implicitFrees == 1)
    #expect(counts.unmatchedFrees == 1)
    #expect(target.cacheNames == ["dentry"])
  }

  @Test func aFailedAllocationIsNoObject() throws {
    let (_, counts) = try interpret(
      Line.allocate("0000000000000000") + Line.allocate("(null)"))
    #expect(counts.irregularities[.skippedAllocations] == 2)
    #expect(counts.live == 0)
  }

  @Test func cachesOfOneNameAndTwoSizes() throws {
    let (target, counts) = try interpret(
      Line.allocate("a1") + Line.allocate("a2", bytes: "200") + Line.allocate("a3")
        + Line.allocate("a4", bytes: "200") + Line.allocate("a5", bytes: "1")
        + Line.allocate("a6", bytes: "32768"))
    #expect(target.cacheNames == ["dentry", "dentry:200", "dentry:1", "dentry:32768"])
    #expect(target.cacheBytes == [192, 200, 1, 32768])
    #expect(counts.irregularities[.renamedCaches] == 3)
  }

  @Test func aThousandCaches() throws {
    let names = (0..<1000).map { "cache-\($0 % 500)" }
    let lines = names.enumerated().map { Line.allocate("a\($0.offset)", cache: $0.element) }
    #expect(try interpret(lines.joined()).target.cacheNames == Array(names[..<500]))
  }

  @Test func linesThatAreNoEvents() throws {
    let (_, counts) = try interpret(
      "# tracer: nop\n#\n\nCPU:1 [LOST 123 EVENTS]\n" + Line.allocate("a1") + "garbage\n"
        + Line.event("kfree: call_site=a") + Line.event("sched_switch: prev_comm=a")
        + "CPU:0 [LOST 1 EVENTS]\n" + Line.kfree("a1").dropLast())
    #expect(counts.lines == 10)
    #expect(counts.events == 2)
    #expect(counts.irregularities[.lostEventLines] == 2)
    #expect(counts.lostEvents == 124)
    #expect(counts.irregularities[.malformedLines] == 2)
    #expect(counts.irregularities[.unknownEvents] == 1)
    #expect(counts.irregularities[.truncatedLines] == 1)
    #expect(counts.frees == 0)
    #expect(
      counts.irregularities.warnings(recording: "F") == [
        "F:4: warning: events were lost here: frees may be missing (2 in all)",
        "F:6: warning: incomplete event: ignored (2 in all)",
        "F:10: warning: the last line is truncated: ignored",
      ])
  }

  @Test(arguments: ["", "# tracer: nop\n#\n", "\n\n"])
  func nothingRecorded(_ text: String) {
    #expect(throws: ToolError.noEvents(name: "test")) { try interpret(text) }
  }

  @Test(arguments: ["hello\n", "hello", "hello\n" + Line.kfree("1")])
  func notARecording(_ text: String) {
    #expect(throws: ToolError.notARecording(name: "test", first: NotUnderstood("hello", line: 2))) {
      try interpret("# a comment\n" + text)
    }
  }

  @Test func anExcerptIsPrintableAndShort() {
    let text = "\u{1B}[2J" + String(repeating: "x", count: 1 << 20)
    let excerpt = "\u{FFFD}[2J" + String(repeating: "x", count: 56)
    let first = NotUnderstood(text, line: 1)
    #expect(first.excerpt == excerpt)
    #expect(throws: ToolError.notARecording(name: "test", first: first)) { try interpret(text) }
  }

  @Test func aLineLargerThanTheBuffer() throws {
    let (_, counts) = try interpret(
      Line.allocate("a1") + String(repeating: "x", count: 3 * LineReader.bufferBytes) + "\n"
        + Line.kfree("a1"))
    #expect(counts.frees == 1)
    #expect(counts.irregularities[.malformedLines] == 1)
    #expect(counts.lines == 3)
  }

  /// A recording may be cut off anywhere: the lines before the cut are lived, nothing crashes.
  @Test func cutOffAtEveryByte() throws {
    let text =
      Line.mkdir(1, "/a") + Line.attach(7, to: 1) + Line.fork(7, 8) + Line.allocate("a1")
      + Line.kfree("a1") + Line.rmdir(1)
    let line = Line.mkdir(1, "/a").utf8.count
    for length in line + 1..<text.utf8.count {
      let cut = try #require(String(text.utf8.prefix(length)))
      let whole = cut.utf8.count { $0 == UInt8(ascii: "\n") }
      let (_, counts) = try interpret(cut)
      #expect(counts.events == whole)
      #expect(counts.irregularities[.truncatedLines] == (cut.hasSuffix("\n") ? 0 : 1))
    }
  }
}
