// SPDX-License-Identifier: Apache-2.0
// The program `slab-bench`.
//
//   slab-bench [CASE ...]     the parent: runs itself again and again, and reports
//   slab-bench measure ...    one measurement in a process of its own, with or without a preloaded
//                             malloc; prints `key=value` lines
//   slab-bench count          instructions by valgrind

import ArgumentParser

@main
struct SlabBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "slab-bench",
    abstract: "Measures the slab allocator beside other allocators, in one run.",
    usage: "slab-bench [<case> ...] [--runs <rounds>] [--json]",
    discussion: """
      Without a case it runs all; `slab-bench help run` lists them. README.md says how to read the
      figures.
      """,
    subcommands: [RunCommand.self, CountCommand.self, MeasureCommand.self],
    defaultSubcommand: RunCommand.self)
}
