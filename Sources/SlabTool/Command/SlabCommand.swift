// SPDX-License-Identifier: Apache-2.0
// The program `slab`.

import ArgumentParser

@main
struct SlabCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "slab",
    abstract: "Tools for the slab allocator with memory groups.",
    version: "0.1.0",
    subcommands: [
      ReplayCommand.self, RecordCommand.self, ChurnCommand.self, RunCommand.self,
      TopCommand.self, ReportCommand.self, MountCommand.self,
    ])
}
