// SPDX-License-Identifier: Apache-2.0
// Looking at a process: churns and replays that are served, and the two programs that look.

import Foundation
import Glibc
import Slab
import SlabServer
import SlabTestSupport
import Testing

@testable import SlabTool

/// A shell script with a process that is served at `$at` while the script runs, which ends it when it is through.
private func served(_ process: String, _ script: String) throws -> Ending {
  try shell(
    """
    folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; at=$folder/s
    "$slab" \(process) --serve "$at" >"$folder/out" 2>"$folder/messages" & process=$!
    until grep -qs 'slab top' "$folder/messages"; do kill -0 $process || exit 9; sleep 0.02; done
    \(script)
    code=$?
    kill -TERM $process; wait $process || exit 8
    [ ! -e "$at" ] || exit 7
    cat "$folder/out"; exit $code
    """)
}

@Suite(.inTurn) struct ObservationTests {
  @Test func aChurn() throws {
    let ending = try served(
      "churn --groups 50",
      """
      "$slab" top "$at" --once && "$slab" top "$at" --once --json && \
      "$slab" report "$at" -o "$folder/page" --for 0.2s --every 0.1 && grep -c '</html>' "$folder/page"
      """)
    #expect(ending.exitCode == 0 && ending.messages == "")
    #expect(ending.output.contains("\n  - tenant-1 "))
    #expect(ending.output.contains("\nCACHE "))
    #expect(!ending.output.contains("\u{1B}"))
    #expect(ending.output.hasSuffix("\n1\n"))
    let lines = ending.output.split(separator: "\n")
    let line = try #require(lines.first { $0.hasPrefix("{") })
    #expect(try ObservedSnapshot(line).groups.count > 50)
    #expect(lines.filter { !$0.hasPrefix("{") }.allSatisfy { $0.count <= 80 })
  }

  /// At the end of the recording it stands still; then it says what it always says.
  @Test func aReplay() throws {
    let ending = try served(
      "replay --endings keep --json",
      #""$slab" top "$at" --once --json | grep -o '"is_online":false' | wc -l"#)
    #expect(ending.exitCode == 0)
    #expect(ending.output.hasPrefix("50\n"))
    #expect(ending.output.contains("\"pinned_groups_at_end\" : 50,"))
    #expect(ending.output.contains("\"charged_bytes_after_cleanup\" : 0,"))
  }

  @Test(arguments: [
    ("churn --groups 5 --serve /no/such/s", 1, "slab: cannot serve /no/such/s: open /no/such/: No"),
    ("churn --groups 5 --serve /etc/passwd", 1, "slab: /etc/passwd exists and is not a socket"),
    ("churn --groups 5 --serve x --json", 64, "--serve measures nothing"),
    ("replay --serve ''", 1, "slab: the path of a socket is empty"),
    ("replay --serve x --design both", 64, "--serve cannot be combined"),
    ("top /no/such/s --once", 1, "slab: cannot connect to /no/such/s: No such file"),
    ("top 0 --once", 1, "slab: there is no process 0"),
    ("top 1 --every 0", 64, "--every must be"), ("top 1 --largest 10001", 64, "--largest must be"),
    ("report /no/such/s -o /dev/shm/never", 1, "slab: cannot connect to /no/such/s"),
    (
      "report /etc/passwd -o /dev/shm/never", 1,
      "slab: /etc/passwd:1: not a snapshot: it is no JSON"
    ),
    ("report /dev/null -o /dev/shm/never", 1, "slab: /dev/null has no snapshot"),
    ("report / -o /dev/shm/never", 1, "slab: cannot read /: it is a directory"),
    ("report - -o /no/such/page", 1, "slab: cannot write /no/such/page: No such file"),
    ("report - -o /", 1, "slab: cannot write /: it exists and is not a file"),
    ("report -", 64, "--output"), ("report - -o x --for 1d", 64, "--for"),
    ("report - -o x --for 20h --every 0.1", 64, "more than 100,000 samples"),
  ])
  func refusals(_ command: String, _ code: Int32, _ words: String) throws {
    let ending = try shell("\"$slab\" \(command)")
    #expect(ending.exitCode == code)
    #expect(ending.messages.contains(words), "\(ending.messages)")
    #expect(ending.output == "")
    #expect(!FileManager.default.fileExists(atPath: "/dev/shm/never"))
  }

  /// Files as the tool and the C library write them: lines, or one object over many.
  @Test func files() throws {
    let allocator = try SlabAllocator()
    let text = try allocator.snapshot(withCaches: true).json()
    // SAFETY: nothing of it is in use.
    unsafe allocator.unmapEverything()
    let whole = try TemporaryFile(text)
    #expect(try SnapshotFile.read(whole.path).count == 1)
    let line = text.split(separator: "\n").joined(separator: " ")
    let lines = try TemporaryFile("\(line)\n\n\(line)\n")
    #expect(try SnapshotFile.read(lines.path).count == 2)
    let broken = try TemporaryFile("\(line)\n\(line.dropLast(20))\n")
    #expect(
      throws: ObservationError.badLine(name: broken.path, line: 2, reason: "it is no JSON")
    ) { try SnapshotFile.read(broken.path) }
    let missing = try TemporaryFile("{\"counters\": [], \"caches\": []}")
    #expect(
      throws: ObservationError.badLine(
        name: missing.path, line: 1, reason: "there is no key groups")
    ) { try SnapshotFile.read(missing.path) }
    #expect(throws: ObservationError.refused("no")) { try ObservedSnapshot("{\"error\":\"no\"}") }
  }

  @Test func dataOfAPage() throws {
    let cache = ObservedSnapshot.Cache("c", size: 8, inUse: 1, total: 2, slabs: 4096)
    var withCaches = ObservedSnapshot([.init("/a", 5)])
    withCaches.groups[0].caches = [cache]
    let snapshots = [
      ObservedSnapshot([], seconds: 1, counters: ["x": 1], process: 6),
      ObservedSnapshot([], seconds: 2, counters: ["x": 2]),
      ObservedSnapshot([.init("/a", 5)], seconds: 3, counters: ["x": 3, "y": 4]),
    ]
    let data = ReportData(snapshots, withCaches: withCaches)
    #expect(data.cachesOfGroups == ["/a": [cache]])
    // Those of another process are none of its course.
    #expect(data.samples.map(\.counters) == [["x": 2], ["x": 3, "y": 4]])
    var old = snapshots
    for index in old.indices { old[index].monotonicNanoseconds = nil }
    #expect(ReportData(old).samples.count == 1)
    let text = try data.encoded()
    #expect(text.contains("\"caches_of_groups\":{\"/a\":[{"))
    #expect(text.contains("\"monotonic_nanoseconds\":2000000000"))
  }

  @Test func times() {
    #expect(Seconds(argument: "10s") == Seconds(10) && Seconds(argument: "1.5m") == Seconds(90))
    #expect(Seconds(argument: "0") == Seconds(0) && Seconds(argument: "1h") == Seconds(3600))
    for text in ["", "s", "-1", "nan", "inf", "1d", "1e300h", "1ss"] {
      #expect(Seconds(argument: text) == nil, "\(text)")
    }
  }

  /// A server that goes in the middle, answers nonsense, or nothing.
  @Test func otherServers() throws {
    let path = NSTemporaryDirectory() + "slab-\(UUID().uuidString.prefix(8)).sock"
    let server = try SlabServer.start(at: path)
    var connection = try ServerConnection(path)
    #expect(try connection.ask("snapshot largest=0").hasPrefix("{"))
    server.stop()
    #expect(throws: ObservationError.serverGone(path: path)) {
      try connection.ask("snapshot largest=0")
    }
    #expect(throws: ObservationError.cannotConnect(path: path, errno: ENOENT)) {
      _ = try ServerConnection(path)
    }
    #expect(throws: ObservationError.pathTooLong(String(repeating: "x", count: 200))) {
      _ = try ServerConnection(String(repeating: "x", count: 200))
    }
  }

  @Test func aSteadyChurnLeavesNothing() throws {
    let allocator = try SlabAllocator()
    do {
      let load = ChurnLoad(groups: 120, caches: 5, objects: 2)
      var churn = try SteadyChurn(load, in: allocator)
      for _ in 0..<300 { try churn.advance() }
      allocator.waitUntilIdle()
      let snapshot = allocator.snapshot()
      #expect(snapshot.groups.filter(\.isOnline).count == 1 + 8 + 120)
      // Objects of the last tenant outlive their groups for a while.
      #expect(snapshot.endings.allSatisfy { $0.path.hasPrefix("/tenant-8/") })
      let second = try #require(snapshot.groups.first { $0.path == "/tenant-2" })
      #expect(second.usage <= second.max ?? 0)
      churn.end()
    }
    allocator.waitUntilIdle()
    let statistics = allocator.statistics
    #expect(statistics.groupsLive == 0 && statistics.chargedBytes == 0)
    // SAFETY: nothing of it is in use.
    unsafe allocator.unmapEverything()
  }
}
