// SPDX-License-Identifier: Apache-2.0
// `slab-bench count`: instructions a pair, by callgrind. They repeat exactly, whatever else the
// machine does.
//
// Valgrind knows no restartable sequences: it counts the allocator's fallback, with a lock for each
// operation, and not what runs otherwise.

import ArgumentParser
import Glibc

struct CountCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "count",
    abstract: "Counts instructions a pair with valgrind (which has no restartable sequences).")

  @Option(help: "Pairs to count; a multiple of 300.")
  var pairs = 30_000

  @Flag(help: "Print one JSON object instead of a table.")
  var json = false

  func validate() throws {
    guard pairs > 0, pairs % PairMeasurement.batch == 0 else {
      throw ValidationError("--pairs must be a multiple of \(PairMeasurement.batch).")
    }
  }

  func run() throws {
    guard (try? Child.output(of: "command -v valgrind")) != nil else {
      throw BenchError.toolMissing(tool: "valgrind", package: "valgrind")
    }
    // Valgrind 3.19 gives up on the debug information that Swift writes.
    let program = "/tmp/slab-bench-count.\(getpid())"
    _ = try Child.output(
      of: "strip -g -o \(program) \(Child.quoted(Child.program))")
    defer { unsafe unlink(program) }
    var table = Table(["instructions a pair", "slab (fallback)", "malloc (libc)"])
    var members: [(String, JSONValue)] = []
    for (title, key, loops) in [
      ("freed at once", "once", ("slabPairs", "mallocPairs")),
      ("300 at a time", "batch", ("slabBatches", "mallocBatches")),
    ] {
      let own = try instructions(in: loops.0, of: program)
      let other = try instructions(in: loops.1, of: program)
      table.add([title, fixed(own, 2), fixed(other, 2)])
      members.append((key, .object([("slab_fallback", .number(own)), ("libc", .number(other))])))
    }
    print(json ? JSONValue.object(members).text : table.text)
  }

  /// Counted twice, so that what is not a pair falls out.
  private func instructions(
    in loop: String, of program: String
  ) throws(BenchError) -> Double {
    let many = try collected(in: loop, of: program, pairs: 2 * pairs)
    let few = try collected(in: loop, of: program, pairs: pairs)
    return Double(many - few) / Double(pairs)
  }

  private func collected(
    in loop: String, of program: String, pairs: Int
  ) throws(BenchError) -> Int {
    let command =
      "valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*\(loop)*' "
      + "\(program) measure count --size \(pairs) 2>&1"
    let text = try Child.output(of: command)
    for line in text.split(separator: "\n") {
      if let range = line.firstRange(of: "Collected :") {
        let number = line[range.upperBound...].split(separator: " ").first
        if let count = number.flatMap({ Int($0) }), count > 0 { return count }
      }
    }
    throw .toolSilent(tool: "valgrind")
  }
}
