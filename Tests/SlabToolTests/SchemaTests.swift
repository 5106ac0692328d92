// SPDX-License-Identifier: Apache-2.0
// What the program prints with --json is as docs/schema has it, and the schemas refuse what they should.

import Foundation
import Slab
import SlabServer
import SlabTestSupport
import Testing

@testable import SlabTool

@Suite(.inTurn) struct SchemaTests {
  @Test(arguments: [
    "replay --json", "replay --json --copies 3 --endings keep --slabinfo",
    "replay --json --design 4.10", "replay --json --design both",
  ])
  func replays(_ command: String) throws {
    let ending = try shell("\"$slab\" \(command)")
    #expect(ending.exitCode == 0)
    #expect(try JSONSchema(named: "replay-1").problems(with: ending.output) == [])
  }

  /// The fallback says why it is the fallback; sequences have nothing to explain.
  @Test func reasonOfTheFallback() throws {
    let line = "\"fallback_reason\" : \"SLAB_PERCPU=fallback\""
    for command in ["replay", "churn --groups 10"] {
      let forced = try shell("SLAB_PERCPU=fallback \"$slab\" \(command) --json")
      #expect(forced.output.contains(line))
      let best = try shell("env -u SLAB_PERCPU \"$slab\" \(command) --json")
      #expect(best.output.contains("fallback_reason") == best.output.contains(" : \"fallback\""))
    }
    let text = try shell("SLAB_PERCPU=fallback \"$slab\" replay")
    #expect(text.output.contains("fallback (SLAB_PERCPU=fallback); fences: locks"))
  }

  @Test(arguments: ["--design current", "--design both", "--design both --most-seconds 0.0001"])
  func churns(_ options: String) throws {
    let ending = try shell("\"$slab\" churn --groups 600 --json \(options)")
    #expect(ending.exitCode == 0)
    #expect(try JSONSchema(named: "churn-1").problems(with: ending.output) == [])
  }

  /// The counters of a report are those of the list, which a snapshot has too: a new one needs nothing here.
  @Test func everyCounterIsInTheReport() throws {
    let allocator = try SlabAllocator()
    let names = Set(allocator.snapshot(largest: 0).counters.map(\.name))
    // SAFETY: nothing of it is in use.
    unsafe allocator.unmapEverything()
    let ending = try shell("\"$slab\" replay --json")
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(ending.output.utf8)) as? [String: Any])
    for key in ["counters_at_end", "counters_after_cleanup"] {
      let counters = try #require(report[key] as? [String: Int])
      #expect(Set(counters.keys) == names)
    }
    let after = try #require(report["counters_after_cleanup"] as? [String: Int])
    #expect(after["groups_released"] == report["groups_released"] as? Int)
    #expect(after["groups_live"] == 0)
  }

  @Test func snapshots() throws {
    let allocator = try SlabAllocator()
    do {
      let group = try allocator.rootGroup.makeChild(named: "tenant", max: 1 << 20)
      let cache = try SlabCache<Int>(named: "numbers", of: allocator)
      let slot = try cache.allocate(7, in: group)
      let text = try allocator.snapshot(withCaches: true).json()
      #expect(try JSONSchema(named: "snapshot-1").problems(with: text) == [])
      #expect(text.contains("\"name\" : \"numbers\""))
      _ = consume slot
    }
    allocator.waitUntilIdle()
    // SAFETY: nothing of it is in use.
    unsafe allocator.unmapEverything()
  }

  @Test func servedSnapshots() throws {
    let allocator = try SlabAllocator()
    do {
      let group = try allocator.rootGroup.makeChild(named: "tenant", max: 1 << 20)
      let cache = try SlabCache<Int>(named: "numbers", of: allocator)
      let slot = try cache.allocate(7, in: group)
      let path = NSTemporaryDirectory() + "slab-\(UUID().uuidString.prefix(8)).sock"
      let server = try SlabServer.start(at: path, for: allocator)
      var connection = try ServerConnection(path)
      let line = try connection.ask("snapshot caches")
      server.stop()
      #expect(try JSONSchema(named: "snapshot-2").problems(with: line) == [])
      // The tool understands it, and what the library encodes itself.
      let observed = try ObservedSnapshot(line)
      #expect(observed.process?.id == Int(getpid()))
      #expect(observed.groups.map(\.path) == ["/", "/tenant"])
      #expect(observed.groups.last?.caches.map(\.name) == ["numbers"])
      let own = try ObservedSnapshot(try allocator.snapshot(withCaches: true).json())
      #expect(own.groups.map(\.usage) == observed.groups.map(\.usage) && own.process == nil)
      _ = consume slot
    }
    allocator.waitUntilIdle()
    // SAFETY: nothing of it is in use, and the server has stopped.
    unsafe allocator.unmapEverything()
  }

  /// Unknown and missing keys, wrong types and values.
  @Test(arguments: [
    (#"{"n": 1, "list": ["x"]}"#, 0), (#"{"n": 1}"#, 1), (#"{"n": 1, "list": [], "m": 2}"#, 1),
    (#"{"n": "1", "list": []}"#, 1), (#"{"n": 1.5, "list": []}"#, 1),
    (#"{"n": true, "list": []}"#, 1), (#"{"n": -1, "list": []}"#, 1),
    (#"{"n": 1, "list": [3]}"#, 1), (#"{"n": 1, "list": ["y"]}"#, 1), (#"[]"#, 1),
    (#"{"n": 1, "list": [], "map": {"a": 1}}"#, 0), (#"{"n": 1, "list": [], "map": {"A": 1}}"#, 1),
    (#"{"n": 1, "list": [], "map": {"a": true}}"#, 1),
  ])
  func refusals(text: String, problems: Int) throws {
    let schema = try JSONSchema(
      Data(
        #"""
        {"type": "object", "required": ["n", "list"], "additionalProperties": false,
         "properties": {"n": {"type": "integer", "minimum": 0},
           "list": {"type": "array", "items": {"$ref": "#/$defs/x"}},
           "map": {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"},
             "additionalProperties": {"type": "integer"}}},
         "$defs": {"x": {"enum": ["x"]}}}
        """#.utf8))
    #expect(try schema.problems(with: text).count == problems)
  }

  /// A schema that says what the validator does not check is an error.
  @Test func keywords() throws {
    let schema = try JSONSchema(Data(#"{"maximum": 3}"#.utf8))
    #expect(throws: JSONSchema.Failure.unknownKeyword("maximum")) {
      try schema.problems(with: "4")
    }
  }
}
