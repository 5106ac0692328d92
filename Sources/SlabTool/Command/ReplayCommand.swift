// `slab replay`: options, help, and where the report goes.

import ArgumentParser
import Glibc
import Slab

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Lives a recording of the Linux kernel's slab events on the allocator.",
    discussion: """
      A recording is the text of tracefs (/sys/kernel/tracing/trace and trace_pipe, also with \
      options/fields), of trace-cmd report, or of perf script, from Linux 4.4 or later; which one \
      is found out. It holds the events kmem_cache_alloc, kmalloc (and these with _node), \
      kmem_cache_free, kfree, cgroup_mkdir, cgroup_rmdir, cgroup_attach_task, sched_process_fork \
      and sched_process_exit. Each cgroup becomes a memory group, each kernel cache a root cache, \
      each accounted allocation of a task in a group an object in the group's child cache. Every \
      object is written at both ends and checked when it is freed.

      Without accounted= (before Linux 6.1 or so) an allocation is charged if its flags say so \
      (__GFP_ACCOUNT, GFP_KERNEL_ACCOUNT). Where allocations do not name their cache (up to Linux \
      6.18), it gets the name under which objects from the same place in the kernel are freed, \
      else one made of its size; such a recording is read twice, from a pipe by way of a \
      temporary file. kmalloc has a cache for each size.

      What cannot be lived as it stands is counted in the report, and warned of with its first \
      line: \(Self.treatments)
      A first line that is of no such recording, lines of two formats, a recording without \
      allocations or of which more than half of the allocations are not understood, an object \
      that was overwritten and sums that do not add up are errors (exit code 1).
      """)

  static let copiesRange = 1...10_000

  @Argument(
    help: ArgumentHelp(
      "A file of text, also as .gz, .zst or .xz, or - for text from standard input.",
      discussion: "Without it, the recording of 50 short jobs that comes with slab."))
  var recording: String?

  @Option(
    parsing: .unconditional,
    help: "How many copies of each recorded group to live side by side, up to 10,000.")
  var copies = 1

  @Option(
    help: ArgumentHelp(
      "What becomes of objects that outlive their group.",
      discussion: """
        With keep the group lives on as a zombie until the last of them is freed (Linux 4.11); with \
        reparent (the default) they and their charges go to its parent, and the group is gone \
        (Linux 5.3).
        """))
  var endings: EndingPolicy?

  @Option(
    help: ArgumentHelp(
      "By whose rules groups and caches end: current, 4.10 or both.",
      discussion: """
        4.10: those of Linux 4.10, with one list of all caches and one wait per group. With both, \
        the recording is lived twice, and the report sets the two side by side.
        """))
  var design = DesignChoice.current

  @Option(
    help: ArgumentHelp(
      "The cgroup hierarchy whose groups are replayed (root= in the events).",
      discussion: """
        That of the memory controller stands in /proc/cgroups; 0 is cgroup v2. Without the option it \
        is the one of the first cgroup_mkdir.
        """))
  var hierarchy: UInt64?

  @Flag(help: "Print the allocator's slabinfo at the end of the recording.")
  var slabinfo = false

  @Flag(help: "Print the report as one JSON object.")
  var json = false

  func validate() throws {
    guard Self.copiesRange ~= copies else {
      throw ValidationError("--copies must be 1 to 10,000, not \(copies).")
    }
    guard design == .current || endings != .reparent else {
      throw ValidationError("--endings reparent goes with --design current: Linux 4.10 keeps.")
    }
    if design == .both {
      guard recording != "-" else {
        throw ValidationError("--design both reads the recording twice: name a file, not -.")
      }
      guard !slabinfo else { throw ValidationError("--slabinfo goes with one design.") }
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
        design: design, hierarchy: hierarchy)
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
