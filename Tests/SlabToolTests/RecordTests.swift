// SPDX-License-Identifier: Apache-2.0
// `slab record` on a folder that looks like tracefs: what it sets, what it puts back on each way out, what it writes.

import Foundation
import Glibc
import SlabMount
import SlabTestSupport
import Testing

@testable import SlabTool

/// A folder as tracefs has it, without instances; removed with its owner.
private final class TraceFolderFixture {
  static let events = [
    "kmem/kmem_cache_alloc", "kmem/kmem_cache_free", "kmem/kmalloc", "kmem/kfree",
    "cgroup/cgroup_mkdir", "cgroup/cgroup_rmdir", "cgroup/cgroup_attach_task",
    "sched/sched_process_fork", "sched/sched_process_exit",
  ]
  let path = NSTemporaryDirectory() + "slab-tracefs-\(UUID().uuidString)"
  let text = Line.allocate("a1") + Line.free("a1")

  init(without missing: String? = nil) throws {
    for event in Self.events where event != missing {
      // One of them is on before.
      try write(event == "kmem/kfree" ? "1*\n" : "0\n", to: "events/\(event)/enable")
    }
    try write("1\n", to: "tracing_on")
    try write("7 (expanded: 1408)\n", to: "buffer_size_kb")
    try write("1\n", to: "options/hash-ptr")
    try write("# tracer: nop\n", to: "trace")
    try write(text, to: "trace_pipe")
    try write("entries: 0\noverrun: 0\ndropped events: 0\n", to: "per_cpu/cpu0/stats")
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }

  func write(_ text: String, to file: String) throws {
    let url = URL(fileURLWithPath: "\(path)/\(file)")
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try text.write(to: url, atomically: false, encoding: .utf8)
  }

  /// The value of every setting.
  func settings() throws -> [String: String] {
    var files = ["tracing_on", "buffer_size_kb", "options/hash-ptr"]
    files += Self.events.map { "events/\($0)/enable" }
    let folder = TraceFolder(path: path)
    return try Dictionary(
      uniqueKeysWithValues: files.filter(folder.has).map { ($0, try folder.value(of: $0)) })
  }

  /// Runs the script, in which `record` is the program's start and `$1` this folder; every setting must be afterwards
  /// what it was before.
  func record(_ script: String) throws -> Ending {
    let before = try settings()
    let ending = try shell(
      "record() { \"$slab\" record --tracefs \"$folder\" \"$@\"; }; folder=$1; \(script)", path)
    #expect(try settings() == before)
    let files = try FileManager.default.contentsOfDirectory(atPath: path)
    #expect(files.filter { $0.contains("partial") } == [])
    return ending
  }

  func has(_ file: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(file)") }
}

@Suite(.inTurn) struct RecordTests {
  @Test(arguments: [("out.txt", "cat"), ("out.txt.gz", "gzip -dc")])
  func recordsForATime(_ name: String, _ reader: String) throws {
    let fixture = try TraceFolderFixture()
    let ending = try fixture.record(
      "record --seconds 0.01 -o $1/\(name) && \(reader) $1/\(name)")
    #expect(ending.exitCode == 0)
    #expect(ending.output == fixture.text)
    #expect(
      ending.messages
        == "slab: recorded 2 events, \(fixture.text.utf8.count) B of text, to \(fixture.path)/\(name)\n"
    )
  }

  @Test func standardOutputCanBeReplayed() throws {
    let fixture = try TraceFolderFixture()
    let ending = try fixture.record("record --seconds 0.01 -o - | \"$slab\" replay - --json")
    #expect(ending.exitCode == 0)
    #expect(ending.output.contains("\"allocations\" : 1,"))
  }

  @Test func whatItSets() throws {
    let fixture = try TraceFolderFixture()
    let ending = try fixture.record(
      """
      record --buffer-size 3 -o $1/out -- grep -rHx '[0-9]*' $1/tracing_on $1/buffer_size_kb \
      $1/options $1/events
      """)
    #expect(ending.exitCode == 0)
    let prefix = fixture.path + "/"
    var expected = ["buffer_size_kb:3072", "options/hash-ptr:0", "tracing_on:1"]
    expected += TraceFolderFixture.events.map { "events/\($0)/enable:1" }
    let found = ending.output.split(separator: "\n").map { String($0.dropFirst(prefix.count)) }
    #expect(found.sorted() == expected.sorted())
  }

  @Test(arguments: [
    ("INT", 0), ("TERM", 143), ("HUP", 129), ("USR1", 138), ("ALRM", 142), ("XCPU", 152),
    ("XFSZ", 153),
  ])
  func aSignalEndsItAndKeepsTheRecording(_ signal: String, _ code: Int32) throws {
    let fixture = try TraceFolderFixture()
    // That setting is made when signals are held back already.
    let ending = try fixture.record(
      """
      "$slab" record --tracefs $1 -o $1/out & process=$!
      until [ "$(cat $1/options/hash-ptr)" = 0 ]; do :; done
      kill -\(signal) $process; wait $process; code=$?; cat $1/out; exit $code
      """)
    #expect(ending.exitCode == code)
    #expect(ending.output == fixture.text)
  }

  @Test func nohupIsHeeded() throws {
    let fixture = try TraceFolderFixture()
    let ending = try fixture.record(
      """
      trap '' HUP; "$slab" record --tracefs $1 -o $1/out & process=$!
      until [ "$(cat $1/options/hash-ptr)" = 0 ]; do :; done
      kill -HUP $process; kill -INT $process; wait $process
      """)
    #expect(ending.exitCode == 0)
  }

  @Test func theBarMakesRoomForMessages() throws {
    let terminal = Terminal(columns: 30)
    let fixture = try TraceFolderFixture()
    let ending = try shell(
      "\"$slab\" record --tracefs $1 --seconds 0.01 -o $1/out 2> $2", fixture.path,
      terminal.path)
    #expect(ending.exitCode == 0)
    let message =
      "slab: recorded 2 events, \(fixture.text.utf8.count) B of text, to \(fixture.path)/out\r\n"
    #expect(try terminal.written().hasSuffix("\r\u{1B}[K" + message))
  }

  @Test(arguments: [
    ("sh -c 'exit 7'", 7), ("sh -c 'kill -9 $$'", 137), ("true", 0),
  ])
  func theCommandsExitCode(_ command: String, _ code: Int32) throws {
    let fixture = try TraceFolderFixture()
    let ending = try fixture.record("record -o $1/out -- \(command)")
    #expect(ending.exitCode == code)
    #expect(fixture.has("out"))
  }

  /// Sent to the program alone, it is passed on, and the command's end ends the recording.
  @Test func aSignalReachesTheCommand() throws {
    let fixture = try TraceFolderFixture()
    let ending = try fixture.record(
      """
      "$slab" record --tracefs $1 -o $1/out -- \
        sh -c 'trap "exit 5" TERM; > $0/ready; while :; do sleep 0.01; done' $1 &
      until [ -e $1/ready ]; do :; done
      kill -TERM $!; wait $!
      """)
    #expect(ending.exitCode == 5)
    #expect(fixture.has("out"))
  }

  @Test(arguments: [
    ("-o $1/out -- /does/not/exist", 127, "cannot start /does/not/exist: No such file"),
    ("-o $1/out -- /etc/passwd", 126, "cannot start /etc/passwd: Permission denied"),
    ("-o /dev/full --seconds 1", 1, "cannot write /dev/full: No space left on device"),
    ("-o - --seconds 1 > /dev/full", 1, "cannot write standard output: No space left on device"),
    ("-o $1/none/out --seconds 1", 1, "/none/out: No such file or directory"),
    ("--tracefs /etc -o $1/out", 1, "/etc is not a tracefs: it has no events/kmem"),
  ])
  func failures(_ arguments: String, _ code: Int32, _ message: String) throws {
    let fixture = try TraceFolderFixture()
    let ending = try fixture.record("record \(arguments)")
    #expect(ending.exitCode == code)
    #expect(ending.messages.contains(message))
    #expect(!fixture.has("out"))
  }

  @Test func aCommandGoesOnWhenTheRecordingFails() throws {
    let fixture = try TraceFolderFixture()
    let ending = try fixture.record("record -o /dev/full -- sh -c 'sleep 0.2; echo ended'")
    #expect(ending.exitCode == 1)
    #expect(ending.output == "ended\n")
    #expect(
      ending.messages == """
        slab: the recording failed; the command continues
        slab: cannot write /dev/full: No space left on device

        """)
  }

  /// What was there under the name stays.
  @Test func aFailureKeepsTheOlderRecording() throws {
    let fixture = try TraceFolderFixture()
    let ending = try fixture.record(
      "echo older > $1/out.gz; PATH=/nowhere; record --seconds 1 -o $1/out.gz; /bin/cat $1/out.gz")
    #expect(ending.output == "older\n")
    #expect(ending.messages.contains("gzip is not installed"))
  }

  @Test func anEventThatIsNeeded() throws {
    let fixture = try TraceFolderFixture(without: "kmem/kmem_cache_free")
    let ending = try fixture.record("record -o $1/out --seconds 1")
    #expect(ending.exitCode == 1)
    #expect(ending.messages.contains("this kernel has no event kmem/kmem_cache_free"))
  }

  @Test func anEventThatIsWanted() throws {
    let fixture = try TraceFolderFixture(without: "cgroup/cgroup_mkdir")
    let ending = try fixture.record("record -o $1/out -- true")
    #expect(ending.exitCode == 0)
    #expect(ending.messages.hasPrefix("slab: this kernel has no event cgroup/cgroup_mkdir\n"))
  }

  @Test func lostEventsAreTold() throws {
    let fixture = try TraceFolderFixture()
    try fixture.write("overrun: 1200\ndropped events: 34\n", to: "per_cpu/cpu0/stats")
    try fixture.write("overrun: 1\ncommit overrun: 9\n", to: "per_cpu/cpu1/stats")
    let ending = try fixture.record("record -o $1/out -- true")
    #expect(ending.exitCode == 0)
    #expect(
      ending.messages.hasSuffix(
        "slab: 1,235 events were lost: record again with a --buffer-size above 8\n"))
  }

  @Test(arguments: ["--seconds 0", "--seconds 1 -- true", "--cgroup", "--buffer-size 0"])
  func argumentsThatAreRefused(_ arguments: String) throws {
    #expect(try TraceFolderFixture().record("record -o $1/out \(arguments)").exitCode == 64)
  }

  @Test func sizesOfRecordings() {
    var summary = RecordSummary()
    summary.add(Array(repeating: UInt8(ascii: "\n"), count: 1500)[...])
    #expect(summary.line == "1,500 events, 1.5 KiB of text")
    summary.add(Array(repeating: UInt8(ascii: "x"), count: 3 << 20)[...])
    #expect(summary.line == "1,500 events, 3.0 MiB of text")
  }

  /// What recordings have left that were killed goes with the next one; what is in use stays, and so does
  /// what is not ours.
  @Test func instancesOfRecordingsThatWereKilled() throws {
    let fixture = try TraceFolderFixture()
    let (process, error) = ChildProcess.start(["true"])
    #expect(error == 0)
    _ = ChildProcess.wait(for: process)
    let names = ["slab-\(process)", "slab-\(getppid())", "slab-x", "slab-", "other-\(process)"]
    let instances = fixture.path + "/instances"
    for name in names {
      try FileManager.default.createDirectory(
        atPath: "\(instances)/\(name)", withIntermediateDirectories: true)
    }
    let root = TraceFolder(path: fixture.path)
    #expect(
      TraceInstance.removeAbandoned(in: root) == [
        "removed \(instances)/slab-\(process), left by a recording that was killed"
      ])
    let left = try FileManager.default.contentsOfDirectory(atPath: instances)
    #expect(Set(left) == Set(names.dropFirst()))
    // One that cannot be removed: said, with how to do it.
    try fixture.write("", to: "instances/slab-\(process)/file")
    let notes = TraceInstance.removeAbandoned(in: root)
    #expect(
      notes == [
        "a recording that was killed left \(instances)/slab-\(process), which is still recording: "
          + "rmdir \(instances)/slab-\(process)"
      ])
  }

  @Test func mounts() {
    let mounts = MountTable.entries(
      of: """
        proc /proc proc rw,nosuid 0 0
        nodev /a\\040b tracefs rw 0 0
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
        cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
        """)
    #expect(mounts.first { $0.type == "tracefs" }?.path == "/a b")
    #expect(MemoryCgroup.mountPoint(in: mounts) == "/sys/fs/cgroup/memory")
    #expect(MemoryCgroup.mountPoint(in: Array(mounts.prefix(3))) == "/sys/fs/cgroup/unified")
    #expect(MemoryCgroup.mountPoint(in: Array(mounts.prefix(2))) == nil)
  }
}
