// A runner of jobs for many tenants: each job has a memory group with a limit of its own. One that
// never gives anything back comes to its limit and fails; the others do not notice.

import Slab

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
  /// Rows that it needs at a time; a job that leaks keeps all.
  let window: Int
  var leaks = false
}

struct JobReport: Sendable {
  let job: Job
  let rowsDone: Int
  let failure: SlabError?
  let peakBytes: Int
}

struct JobRunner {
  private let rows: SlabCache<Row>
  private let jobs: MemoryGroup
  private let limitBytes: Int

  init(limitBytes: Int) throws(SlabError) {
    rows = try SlabCache(named: "row")
    jobs = try MemoryGroup.root.makeChild(named: "jobs")
    self.limitBytes = limitBytes
  }

  /// Runs all jobs at once, and ends their groups.
  func run(_ list: [Job]) async throws -> [JobReport] {
    let reports = try await withThrowingTaskGroup(of: JobReport.self) { tasks in
      for job in list {
        let group = try jobs.makeChild(named: job.name, max: limitBytes)
        tasks.addTask { MemoryGroup.with(group) { run(job, in: group) } }
      }
      return try await tasks.reduce(into: []) { $0.append($1) }
    }
    try jobs.close()
    await jobs.drained()
    return reports.sorted { $0.job.name < $1.job.name }
  }

  /// One job, in whose group everything is allocated that names no other.
  private func run(_ job: Job, in group: MemoryGroup) -> JobReport {
    var window = SlabArray<Slot<Row>>()
    var done = 0
    do throws(SlabError) {
      while done < job.rows {
        try window.append(try rows.allocate(Row(done)))
        if !job.leaks, window.count > job.window { window.remove(at: 0) }
        done += 1
      }
      return JobReport(job: job, rowsDone: done, failure: nil, peakBytes: group.peak)
    } catch {
      return JobReport(job: job, rowsDone: done, failure: error, peakBytes: group.peak)
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
      print("\(name): \(rows) rows, peak \(peak) bytes, \(outcome)")
    }
  }
}
