// SPDX-License-Identifier: Apache-2.0
// `slab mount`: options, help, and what is said. The command is there without FUSE as well, and says what is missing.

import ArgumentParser
import Glibc

struct MountCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mount",
    abstract: "Show caches and groups as files, as the kernel does, while something lives in them.",
    usage: """
      slab mount <directory> [-- churn --groups <groups>]
      slab mount <directory> -- replay [<recording>] [--copies <copies>]
      """,
    discussion: """
      Mounts a file system at the directory: slabinfo as /proc/slabinfo, slab as /sys/kernel/slab, and \
      cgroup as a tree of cgroup v2. What tools read there unmodified is in docs/mount.md. Meanwhile \
      groups come and go: those of a churn, or those of a recording, again and again. The options \
      behind -- are those of slab churn and slab replay.

      Ctrl-C, or umount, ends it. slab has to be built with --traits FUSE, for which it needs \
      libfuse3-dev.
      """)

  static let workersRange = 1...64

  @Argument(help: "A directory that is there.")
  var directory: String

  @Flag(
    help:
      "Let other users look, who may never write. Not as root: needs user_allow_other in /etc/fuse.conf."
  )
  var everyone = false

  @Flag(help: "Refuse every change.")
  var readOnly = false

  @Option(parsing: .unconditional, help: "Threads that answer, up to 64.")
  var workers = 1

  @Option(parsing: .unconditional, help: "How long a recording lasts, in seconds.")
  var seconds = 60.0

  @Argument(parsing: .postTerminator, help: "What lives: churn or replay, with their options.")
  var load: [String] = []

  func validate() throws {
    guard !directory.isEmpty else { throw ValidationError("There is no directory.") }
    guard Self.workersRange ~= workers else {
      throw ValidationError("--workers must be 1 to 64, not \(workers).")
    }
    guard seconds > 0, seconds <= 1e6 else {
      throw ValidationError("--seconds must be more than 0, not \(seconds).")
    }
    guard try Self.load(load) != nil else {
      throw ValidationError("Behind -- comes churn or replay, not \(load[0]).")
    }
  }

  /// What a load is called and what its options say.
  enum Load {
    case churn(ChurnLoad)
    case replay(ReplayCommand)
  }

  /// `nil` if it is none.
  static func load(_ words: [String]) throws -> Load? {
    let options = Array(words.dropFirst())
    switch words.first {
    case nil: return .churn(ChurnLoad(groups: 100, caches: 5, objects: 4))
    case "churn":
      let churn = try ChurnCommand.parse(options)
      return .churn(ChurnLoad(groups: churn.groups, caches: churn.caches, objects: churn.objects))
    case "replay": return .replay(try ReplayCommand.parse(options))
    default: return nil
    }
  }

  func run() throws {
    #if FUSE
      do {
        try live()
      } catch {
        StandardStream.writeMessage("slab: \(error)\n")
        throw ExitCode.failure
      }
    #else
      StandardStream.writeMessage(
        "slab: this slab was built without FUSE: swift build --traits FUSE, with libfuse3-dev\n")
      throw ExitCode.failure
    #endif
  }
}
