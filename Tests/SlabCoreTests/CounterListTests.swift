// SPDX-License-Identifier: Apache-2.0
// The list of counters: a declaration is all that a counter needs besides the place that counts.

import Foundation
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct CounterListTests {
  /// One row of the table in docs/counters.md.
  private func row(_ counter: CounterDescription) -> String {
    "| `\(counter.name)` | \(counter.unit.text) | \(counter.kind) | \(counter.help) |"
  }

  /// Every counter and every reading, in its order. `SLAB_PRINT_COUNTERS=1` prints the rows to be copied.
  @Test func theDocumentedTable() throws {
    try withAllocator { allocator in
      var expected: [String] = []
      allocator.forEachReading { counter, _ in expected.append(row(counter)) }
      if ProcessInfo.processInfo.environment["SLAB_PRINT_COUNTERS"] != nil {
        print(expected.joined(separator: "\n"))
      }
      let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../docs/counters.md")
      let rows = try String(contentsOf: file, encoding: .utf8)
        .split(separator: "\n").filter { $0.hasPrefix("| `") }.map(String.init)
      #expect(rows == expected)
    }
  }

  /// Names are those of cgroup files and metrics, and no two counters have the same.
  @Test func names() throws {
    try withAllocator { allocator in
      var names: [String] = []
      allocator.forEachReading { counter, _ in
        names.append("\(counter.name)")
        #expect("\(counter.name)".wholeMatch(of: /[a-z]+(_[a-z]+)*/) != nil)
        #expect("\(counter.help)".hasSuffix("."))
      }
      #expect(Set(names).count == names.count)
    }
  }

  /// The walk over the struct's memory comes to each field, by its own name.
  @Test func theWalkFindsEveryDeclaration() throws {
    #expect(Counters.isHomogeneous)
    try withAllocator { allocator in
      var names: [String] = []
      allocator.counters.visit { counter, _ in names.append("\(counter.name)") }
      #expect(names.count == Counters.count)
      let before = allocator.statistics
      allocator.counters.pointee.groupsCreated += 3
      allocator.counters.pointee.tableBytesReturned += 5
      let after = allocator.statistics
      #expect(names.first == "groups_created" && names.last == "table_bytes_returned")
      #expect(after.groupsCreated == before.groupsCreated + 3)
      #expect(after.tableBytesReturned == before.tableBytesReturned + 5)
      let others = before.byName.filter {
        !["groups_created", "groups_live", "table_bytes_returned", "returned_bytes"]
          .contains($0.key)
      }
      for (name, value) in others { #expect(after.byName[name] == value) }
      allocator.counters.pointee.groupsCreated -= 3
      allocator.counters.pointee.tableBytesReturned -= 5
    }
  }

  /// What is counted by many threads at once, without a lock, is all there.
  @Test func anyThreadCounts() throws {
    try withAllocator { allocator in
      onThreads(4) { _ in
        for _ in 0..<10_000 { allocator.counters.pointee.reclaimSteps += 1 }
      }
      #expect(allocator.counters.pointee.reclaimSteps.value == 40_000)
    }
  }
}
