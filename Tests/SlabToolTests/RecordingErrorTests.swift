// SPDX-License-Identifier: Apache-2.0
// Recordings that are none, that hold too little, or of which too little was understood: what a user
// is told.

import SlabTestSupport
import Testing

@testable import SlabTool

private func replay(_ text: String) throws -> Ending {
  let file = try TemporaryFile(text)
  return try shell("\"$slab\" replay - < \"$1\"", file.path)
}

@Suite(.inTurn) struct RecordingErrorTests {
  @Test(arguments: [
    ("\\x17\\x08\\x44tracing6\\0\\0\\1", "trace-cmd report FILE | slab replay -"),
    ("PERFILE2h\\0\\0\\0", "perf script -i FILE | slab replay -"),
    ("\\x1f\\x8b\\x08\\0\\n", "gzip -dc FILE | slab replay -"),
    ("\\x28\\xb5\\x2f\\xfd", "zstd -dc FILE | slab replay -"),
    ("\\xfd7zXZ\\0\\n", "xz -dc FILE | slab replay -"),
  ])
  func binaryRecordings(_ bytes: String, _ command: String) throws {
    let ending = try shell("printf '\(bytes)' | \"$slab\" replay -")
    #expect(ending.exitCode == 1)
    #expect(ending.messages.hasPrefix("slab: standard input is "))
    #expect(
      ending.messages.hasSuffix("; try: \(command)\n")
        || ending.messages.hasSuffix("try: \(command)\n"))
    let file = try TemporaryFile("", suffix: ".dat")
    let named = try shell("printf '\(bytes)' > \"$1\"; \"$slab\" replay \"$1\"", file.path)
    #expect(named.messages.contains(command.replacing("FILE", with: file.path)))
  }

  @Test func nothingLived() throws {
    let groups = try replay(Line.mkdir(1, "/a") + Line.rmdir(1))
    #expect(groups.exitCode == 1)
    #expect(
      groups.messages
        == "slab: standard input: there is nothing to replay: it contains no allocations: "
        + "the events kmem_cache_alloc and kmalloc were disabled\n")
    let pages = try replay(Line.event("mm_page_alloc: page=1") + Line.kfree("a1") + "garbage\n")
    #expect(pages.exitCode == 1)
    #expect(pages.messages.contains("were disabled; there is mm_page_alloc"))
    #expect(pages.messages.contains("; line 3 was not understood: \"garbage\"\n"))
    let failed = try replay(Line.allocate("0000000000000000"))
    #expect(failed.exitCode == 1)
    #expect(failed.messages.contains("none of its allocations allocates an object"))
  }

  @Test(arguments: [(1, 1, 0), (1, 2, 1)])
  func moreThanHalfNotUnderstood(_ whole: Int, _ damaged: Int, _ exitCode: Int32) throws {
    let line = Line.allocate("a1")
    let cut = line.dropLast(12) + "\n"
    let ending = try replay(
      String(repeating: line, count: whole) + String(repeating: String(cut), count: damaged))
    #expect(ending.exitCode == exitCode)
    let message = "2 of 3 allocations were not understood, first line 2: \""
    #expect(ending.messages.contains(message) == (exitCode == 1))
  }

  @Test func whatIsLost() throws {
    let (_, counts) = try interpret(
      "# entries-in-buffer/entries-written: 100/250   #P:4\n" + Line.allocate("a1")
        + "CPU:1 [LOST 20 EVENTS]\nCPU:0 [3 EVENTS DROPPED]\nCPU:0 [LOST EVENTS]\n"
        + Line.allocate("a2"))
    #expect(counts.lostEvents == 173)
    #expect(counts.irregularities[.lostEventLines] == 4)
    #expect(ReplayNotes(counts).lines.contains { $0.hasPrefix("173 events were lost in 4 places") })
    let perf = try interpret(
      "bash 1 [000] 1.0: kmem:kfree: call_site=a ptr=0x1\n"
        + "bash 1 [000] 1.0: PERF_RECORD_LOST lost 40\n"
    ).counts
    #expect(perf.lostEvents == 40)
  }

  /// With cgroup v1 each hierarchy has a group of the same path, and ids of its own.
  @Test(arguments: [(nil, 1), (1, 1), (9, 1), (5, 0)] as [(UInt64?, Int)])
  func oneHierarchyIsLived(_ hierarchy: UInt64?, _ groups: Int) throws {
    let attach = "dst_level=1 dst_path=/a pid=7 comm=bash"
    let text =
      Line.event("cgroup_mkdir: root=1 id=3 level=1 path=/a")
      + Line.event("cgroup_mkdir: root=9 id=3 level=1 path=/a")
      + Line.event("cgroup_attach_task: dst_root=9 dst_id=3 \(attach)") + Line.allocate("a1")
      + Line.event("cgroup_attach_task: dst_root=1 dst_id=3 \(attach)") + Line.allocate("a2")
      + Line.event("cgroup_rmdir: root=1 id=3 level=1 path=/a") + Line.allocate("a3")
      + Line.event("cgroup_rmdir: root=9 id=3 level=1 path=/a")
    let file = try TemporaryFile(text)
    var interpreter = RecordingInterpreter(
      CountingTarget(), recording: "test", hierarchy: hierarchy)
    try interpreter.interpret(RecordingSource(file.path, name: "test")) { _ in }
    let counts = interpreter.currentCounts
    #expect(counts.groups == groups && counts.offlined == groups)
    #expect(counts.charged == (hierarchy == 9 ? 3 : hierarchy == 5 ? 0 : 1))
    #expect(counts.irregularities[.otherHierarchies] == (hierarchy == 5 ? 6 : 3))
    #expect(counts.irregularities[.duplicateMkdirs] == 0)
    let isOfOthers = ReplayNotes(counts).lines.contains {
      $0.hasSuffix("belong to other hierarchies")
    }
    #expect(isOfOthers == (hierarchy == 5))
  }

  /// Most objects of a place decide, also where one was freed under another name by mistake.
  @Test func namesAreVotedFor() throws {
    func allocate(_ address: String, _ site: String) -> String {
      Line.event(
        "kmem_cache_alloc: call_site=\(site)+0x1/0x2 ptr=\(address) bytes_req=64 bytes_alloc=64 "
          + "gfp_flags=GFP_KERNEL node=-1 accounted=true")
    }
    let (target, counts) = try interpret(
      allocate("a1", "one") + Line.free("a1", cache: "wrong") + allocate("a2", "one")
        + Line.free("a2", cache: "right") + allocate("a3", "one") + Line.free("a3", cache: "right")
        + allocate("a4", "two") + Line.free("a4", cache: "right") + allocate("a5", "three")
        + allocate("a6", "four") + Line.kfree("a6"))
    #expect(target.cacheNames == ["right", "size-64"])
    #expect((counts.cachesNamedByFree, counts.cachesNamedBySize) == (1, 1))
  }

  @Test func stacksAreSkipped() throws {
    let kernel = try interpret(
      Line.allocate("a1") + Line.event("<stack trace>") + " => d_alloc\n => path_openat\n"
        + Line.event("<user stack trace>") + " =>  <00007f0000001000>\n"
    ).counts
    #expect(kernel.irregularities == IrregularityCounts())
    let perf = try interpret(
      "bash 1 [000] 1.0: kmem:kfree: call_site=a ptr=0x1\n"
        + "\tffffffff8128d1a4 kfree+0x24 ([kernel.kallsyms])\n\t    7f00 main (/bin/bash)\n\n"
    ).counts
    #expect(perf.irregularities == IrregularityCounts())
  }
}

@Suite(.inTurn) struct ReplayNoteTests {
  private func notes(_ text: String) throws -> String {
    ReplayNotes(try interpret(text).counts).lines.joined(separator: "\n")
  }

  @Test func whatIsMissingIsSaid() throws {
    let bare = try notes(Line.allocate("ffff888100000001"))
    #expect(bare.contains("no groups, so nothing is charged: the event cgroup_mkdir was disabled"))
    #expect(bare.contains("no frees: the events kmem_cache_free and kfree were disabled"))
    let uncharged = try notes(
      Line.mkdir(1, "/a") + Line.allocate("ffff888100000001") + Line.kfree("ffff888100000002")
        + Line.event("mm_page_alloc: page=1") + Line.event("mm_page_alloc: page=2"))
    #expect(uncharged.contains("nothing is charged: the events cgroup_attach_task"))
    #expect(uncharged.contains("2 events mm_page_alloc, which slab does not read"))
    #expect(uncharged.contains("an unknown address was allocated before the recording"))
    let whole = try notes(
      Line.mkdir(1, "/a") + Line.attach(7, to: 1) + Line.allocate("ffff888100000001")
        + Line.free("ffff888100000001"))
    #expect(whole == "")
  }

  @Test func hashedAddresses() throws {
    let lines = (1...30_000).map { Line.allocate(String($0 * 64, radix: 16)) }.joined()
    let counts = try interpret(lines).counts
    #expect(counts.areAddressesHashed)
    #expect(abs(counts.expectedCollisions - 0.1048) < 0.001)
    #expect(
      ReplayNotes(counts).lines.contains {
        $0.contains("with 30,000 live objects, expect 0.10 collisions") && $0.contains("hash-ptr")
      })
    let real = try interpret(lines + Line.allocate("ffff888100000001")).counts
    #expect(!real.areAddressesHashed && real.expectedCollisions == 0)
  }

  @Test func theReportFitsATerminal() throws {
    let ending = try shell("\"$slab\" replay && \"$slab\" replay --design both")
    #expect(ending.exitCode == 0)
    #expect(ending.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
    // 50 samples have no 99th percentile.
    #expect(ending.output.contains("(p50)"))
    #expect(!ending.output.contains("(p99"))
    #expect("a bb ccc dddd".wrapped(columns: 6) == ["a bb", "ccc", "dddd"])
    #expect("".wrapped(columns: 6) == [])
    #expect(
      "a aabbccaabbcc bbb aabb".wrapped(columns: 3)
        == ["a", "aab", "bcc", "aab", "bcc", "bbb", "aab", "b"])
  }

  @Test func namesAreOnesThatCachesCanHave() throws {
    let long = String(repeating: "x", count: 100)
    let file = try TemporaryFile(
      ["mem_cgroup", "slab", "core:slab", "core_slab", "a b", "a_b", "ünï", long + "1", long + "2"]
        .enumerated().map { Line.allocate("ffff88810000000\($0.offset)", cache: $0.element) }
        .joined())
    let ending = try shell("\"$slab\" replay --slabinfo \"$1\"", file.path)
    #expect(ending.exitCode == 0)
    let names = ending.output.split(separator: "\n").map { $0.prefix { $0 != " " } }
    for name in ["mem_cgroup", "core:mem_cgroup", "core_slab", "core_slab~2", "a_b", "a_b~2"] {
      #expect(names.count { $0 == name } == 1, "\(name)")
    }
  }
}
