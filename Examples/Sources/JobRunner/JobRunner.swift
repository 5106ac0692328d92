// SPDX-License-Identifier: Apache-2.0
// A runner of jobs for many tenants: each job has a memory group with a limit of its own. One that
// leaks comes to its limit and fails; the others do not notice, and what it has leaked goes back when
// the job is over.

import Slab
import Synchronization

/// What a job allocates: a row of some result.
struct Row: ~Copyable {
  let number: Int
  let payload: [32 of UInt64]

  init(_ number: Int) {
    self.number = number
    payload = [32 of UInt64](repeating: UInt64(number))
  }
}

struct Job: Sendable {
  let name: String
  let rows: Int
  /// Rows that it needs at a time.
  let window: Int
  /// It forgets its rows instead of freeing them.
  var leaks = false
}

struct JobReport: Sendable {
  let job: Job
  var rowsDone = 0
  var failure: SlabError?
  var peakBytes = 0
  /// Rows that nobody had when the job was over, and that were never freed.
  var rowsLeaked = 0
}

final class JobRunner: Sendable {
  private let rows: SlabCache<Row>
  private let jobs: MemoryGroup
  private let limitBytes: Int
  private let runs = Atomic(0)

  init(limitBytes: Int) throws(SlabError) {
    rows = try SlabCache(named: "row")
    jobs = try MemoryGroup.root.makeChild(named: "jobs")
    self.limitBytes = limitBytes
  }

  /// Runs all jobs at once, and waits until their memory is back.
  func run(_ list: [Job]) async throws -> [JobReport] {
    let number = runs.add(1, ordering: .relaxed).newValue
    let run = try jobs.makeChild(named: "run-\(number)")
    // Also when a job cannot be started: the group of the run ends with it.
    defer { try? run.close() }
    let reports = try await withThrowingTaskGroup(of: JobReport.self) { tasks in
      for job in list {
        let group = try run.makeChild(named: job.name, max: limitBytes)
        tasks.addTask { try self.run(job, in: group) }
      }
      return try await tasks.reduce(into: []) { $0.append($1) }
    }
    try run.close()
    try await run.waitUntilDrained()
    return reports.sorted { $0.job.name < $1.job.name }
  }

  /// One job, and the end of its group.
  private func run(_ job: Job, in group: MemoryGroup) throws(SlabError) -> JobReport {
    var report = JobReport(job: job)
    do throws(SlabError) {
      try MemoryGroup.withCurrent(group) { () throws(SlabError) in try work(on: job, &report) }
    } catch {
      report.failure = error
    }
    report.peakBytes = group.peak
    report.rowsLeaked = group.statistics.caches.reduce(0) { $0 + $1.objectsInUse }
    // SAFETY: only `work` allocates in the group, on this task, and it has returned: its window ended
    // with it, and it hands nothing out. So what is left was leaked, and nobody has it. A row needs no
    // end of its own.
    try unsafe group.discard()
    return report
  }

  /// What a job does. Whatever it allocates is charged to its group, the current one here.
  private func work(on job: Job, _ report: inout JobReport) throws(SlabError) {
    var window = SlabArray<Slot<Row>>()
    while report.rowsDone < job.rows {
      let row = try rows.allocate(Row(report.rowsDone))
      if job.leaks {
        // The defect: nobody keeps the pointer.
        _ = unsafe row.leak()
      } else if window.count < job.window {
        try window.append(row)
      } else {
        window[report.rowsDone % job.window] = row
      }
      report.rowsDone += 1
    }
  }
}

@main
enum Main {
  static func main() async throws {
    let runner = try JobRunner(limitBytes: 1 << 20)
    var jobs = (1...20).map { Job(name: "job-\($0)", rows: 20_000, window: 500) }
    jobs[6].leaks = true
    for report in try await runner.run(jobs) {
      let outcome = report.failure.map { "failed: \($0)" } ?? "done"
      let (name, rows, peak) = (report.job.name, report.rowsDone, report.peakBytes)
      print("\(name): \(rows) rows, \(report.rowsLeaked) leaked, peak \(peak) bytes, \(outcome)")
    }
  }
}
