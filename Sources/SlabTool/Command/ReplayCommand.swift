// SPDX-License-Identifier: Apache-2.0
// `slab replay`: options, help, and where the report goes.

import ArgumentParser
import Glibc
import Slab

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Replay a recording of the Linux kernel's slab events on the allocator.",
    discussion: """
      A recording is the text of tracefs (/sys/kernel/tracing/trace and trace_pipe, also with \
      options/fields), of trace-cmd report, or of perf script, from Linux 4.4 or later; slab \
      detects which. It holds the events kmem_cache_alloc, kmalloc (and these with _node), \
      kmem_cache_free, kfree, cgroup_mkdir, cgroup_rmdir, cgroup_attach_task, sched_process_fork \
      and sched_process_exit. Each cgroup becomes a memory group, each kernel cache a root cache, \
      and each accounted allocation of a task in a group an object in the group's child cache. \
      slab writes both ends of every object, and checks them when the object is freed.

      Without accounted= (before about Linux 6.1) the flags decide whether an allocation is charged \
      (__GFP_ACCOUNT, GFP_KERNEL_ACCOUNT). If allocations do not name their cache (up to Linux \
      6.18), the cache gets the name under which objects from the same place in the kernel are \
      freed, or else a name made from the object size. Such a recording is read twice; a pipe is \
      copied to a temporary file first. kmalloc has a cache for each size.

      slab counts lines that it cannot replay as they are, and warns of the first of each kind: \
      \(Self.treatments)
      These are errors (exit code 1): a first line that belongs to no such recording; lines of two \
      formats; a recording without allocations, or with more than half of them not understood; an \
      overwritten object; sums that do not add up.
      """)

  static let copiesRange = 1...10_000

  @Argument(
    help: ArgumentHelp(
      "A text file, plain or as .gz, .zst or .xz, or - for text from standard input.",
      discussion: "The default is the recording of 50 short jobs that comes with slab."))
  var recording: String?

  @Option(
    parsing: .unconditional,
    help: "Number of copies of each recorded group to replay side by side, up to 10,000.")
  var copies = 1

  @Option(
    help: ArgumentHelp(
      "What becomes of objects that outlive their group.",
      discussion: """
        With keep, the group stays as a zombie until the last of them is freed (Linux 4.11). With \
        reparent (the default), they and their charges move to its parent, and the group is released \
        (Linux 5.3).
        """))
  var endings: EndingPolicy?

  @Option(
    help: ArgumentHelp(
      "The rules by which groups and caches end: current, 4.10 or both.",
      discussion: """
        4.10 means the rules of Linux 4.10, with one list of all caches and one wait per group. With \
        both, the recording is replayed twice, and the report compares the two.
        """))
  var design = DesignChoice.current

  @Option(
    help: ArgumentHelp(
      "The cgroup hierarchy whose groups are replayed (root= in the events).",
      discussion: """
        /proc/cgroups lists the memory controller's hierarchy; 0 is cgroup v2. The default is the \
        hierarchy of the first cgroup_mkdir.
        """))
  var hierarchy: UInt64?

  @Flag(help: "Print the allocator's slabinfo at the end of the recording.")
  var slabinfo = false

  @Flag(help: "Print the report as one JSON object.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "Serve the allocator at a Unix socket, for slab top and slab report.",
      discussion: "At the end of the recording the replay stands still until Ctrl-C.",
      valueName: "path"))
  var serve: String?

  func validate() throws {
    guard Self.copiesRange ~= copies else {
      throw ValidationError("--copies must be 1 to 10,000, not \(copies).")
    }
    guard design == .current || endings != .reparent else {
      throw ValidationError("--endings reparent needs --design current: Linux 4.10 has only keep.")
    }
    if design == .both {
      guard recording != "-" else {
        throw ValidationError("--design both reads the recording twice: give a file, not -.")
      }
      guard !slabinfo else {
        throw ValidationError("--slabinfo cannot be combined with --design both.")
      }
      guard serve == nil else {
        throw ValidationError("--serve cannot be combined with --design both.")
      }
    }
  }

  func run() throws {
    // A pipe that closes is an error of its write, which names it, not the end by a signal.
    signal(SIGPIPE, SIG_IGN)
    do {
      try replay()
    } catch {
      StandardStream.writeMessage("slab: \(error)\n")
      throw ExitCode.failure
    }
  }

  private func replay() throws {
    let path = try recording ?? PackagedRecording.path()
    if design == .both { try RecordingSource.checkCanBeReadAgain(path, name: name) }
    var reports: [ReplayReport] = []
    for design in design.designs {
      let replay = Replay(
        path: path, name: name, copies: copies,
        endings: design == .linux410 ? .keep : endings ?? .reparent, isSlabinfoWanted: slabinfo,
        design: design, hierarchy: hierarchy, serve: serve)
      let isFirst = reports.isEmpty
      let outcome = try replay.run {
        // The second reading finds the same.
        if isFirst { StandardStream.writeMessage("slab: \($0)\n") }
      }
      reports.append(ReplayReport(outcome))
    }
    if reports.count == 1 {
      try StandardStream.writeReport(json ? reports[0].json() : reports[0].text())
    } else {
      let comparison = ReplayComparison(linux410: reports[0], current: reports[1])
      try StandardStream.writeReport(json ? comparison.json() : comparison.text())
    }
    let failures = reports.flatMap(\.figures.sumCheckFailures)
    guard failures.isEmpty else { throw ToolError.sumCheck(failures: failures) }
  }

  /// What messages call the recording.
  private var name: String {
    switch recording {
    case "-": "standard input"
    case nil: PackagedRecording.name
    case let path?: path
    }
  }

  private static var treatments: String {
    Irregularity.allCases.map { "\($0.rawValue) (\($0.treatment))" }.joined(separator: "; ") + "."
  }
}
