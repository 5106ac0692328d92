// SPDX-License-Identifier: Apache-2.0
// What the examples promise.

import Slab
import Testing

@testable import JobRunner
@testable import RequestParser
@testable import ResultCache
@testable import SessionStore

@Suite(.serialized, .timeLimit(.minutes(2))) struct ExampleTests {
  @Test func aJobThatLeaksHarmsNobody() async throws {
    do {
      let runner = try JobRunner(limitBytes: 1 << 20)
      let group = try #require(MemoryGroup.root.child(named: "jobs"))
      var jobs = (0..<8).map { Job(name: "job-\($0)", rows: 5000, window: 100) }
      jobs[3].leaks = true
      // It leaks, but is done before it comes to its limit.
      jobs[5] = Job(name: "job-5", rows: 1000, window: 100, leaks: true)
      for run in 1...2 {
        expectReports(try await runner.run(jobs), ofRun: run)
        await expectNothingLeft(below: group)
      }
      // A run that cannot be started leaves nothing either, and the next one is as the others.
      await #expect(throws: SlabError.groupNameInUse) {
        _ = try await runner.run(jobs + [jobs[0]])
      }
      await expectNothingLeft(below: group)
      expectReports(try await runner.run(jobs), ofRun: 4)
      await expectNothingLeft(below: group)
    }
    #expect(MemoryGroup.root.child(named: "jobs") == nil)
  }

  private func expectNothingLeft(below group: MemoryGroup) async {
    // What a run has waited for is its memory; its groups go a moment later, with the end of the tasks
    // and of the notice that it is drained.
    let deadline = ContinuousClock.now + .seconds(20)
    while group.descendants != (online: 0, dying: 0), ContinuousClock.now < deadline {
      SlabAllocator.shared.waitUntilIdle()
      await Task.yield()
    }
    #expect(group.usage == 0)
    #expect(group.descendants == (online: 0, dying: 0))
  }

  private func expectReports(_ reports: [JobReport], ofRun run: Int) {
    #expect(reports.count == 8)
    for (index, report) in reports.enumerated() {
      #expect(report.job.name == "job-\(index)")
      #expect(report.peakBytes <= 1 << 20)
      switch index {
      case 3:
        let path = "/jobs/run-\(run)/job-3"
        guard case .limitReached(let group, _, maxBytes: 1 << 20) = report.failure,
          group.path == path
        else {
          Issue.record("the job that leaks: \(String(describing: report.failure))")
          continue
        }
        #expect(report.rowsDone > 1000 && report.rowsDone < 5000)
        #expect(report.rowsLeaked == report.rowsDone)
      case 5:
        #expect(report.failure == nil && report.rowsDone == 1000 && report.rowsLeaked == 1000)
      default:
        #expect(report.failure == nil && report.rowsDone == 5000 && report.rowsLeaked == 0)
      }
    }
  }

  @Test func sessionsUnderLoad() async throws {
    let store = try SessionStore()
    let tenants = try (0..<4).map {
      try Tenant(named: "store-\($0)", limitBytes: (1 + $0) << 17)
    }
    let hits = try await SessionLoad.load(store, tenants, tasks: 4, requests: 50_000)
    #expect(hits > 1000)
    #expect(store.evicted > 0)
    #expect(store.count > 100)
    for tenant in tenants { #expect(tenant.group.usage <= tenant.group.max!) }
    #expect(store.request(-1) == nil)
  }

  @Test func tokensByAge() {
    var tokens = TokensByAge()
    for token in 0..<1000 { tokens.add(token) }
    for token in 0..<1000 where token % 10 != 0 { tokens.remove(token) }
    #expect(tokens.removeOldest() == 0)
    // One that comes back is young again.
    tokens.remove(10)
    tokens.add(10)
    // What was removed does not gather, however often.
    for _ in 0..<10_000 {
      tokens.add(1)
      tokens.remove(1)
    }
    #expect(tokens.lineCount < 1000)
    for token in stride(from: 20, to: 1000, by: 10) { #expect(tokens.removeOldest() == token) }
    #expect(tokens.removeOldest() == 10)
    #expect(tokens.removeOldest() == nil)
  }

  @Test func documents() async throws {
    let nodes = unsafe try SlabCache<Node>(named: "node")
    let tenant = try MemoryGroup.root.makeChild(named: "parser", max: 4 << 20)
    do {
      let document = unsafe try Document(
        parsing: #"{"a": [1, 2.5, -3e2], "b": {"c": "text", "d": null}, "e": false}"#,
        number: 1, for: tenant, nodes: nodes)
      #expect(document.sum == -296.5)
      #expect(document.nodeCount == 9)
      #expect(document.bytes == 4096)
    }
    for text in ["", "[1, 2", "{\"a\" 1}", "[1,,2]", "tru", "1 2", "\"open"] {
      #expect(throws: ParseError.self) {
        _ = unsafe try Document(parsing: text, number: 2, for: tenant, nodes: nodes)
      }
    }
    #expect(throws: ParseError.tooDeep(at: 64)) {
      _ = unsafe try Document(
        parsing: String(repeating: "[", count: 100), number: 3, for: tenant, nodes: nodes)
    }
    #expect(throws: SlabError.self) {
      _ = unsafe try Document(
        parsing: RequestParser.Main.request(elements: 50_000), number: 4, for: tenant,
        nodes: nodes)
    }
    #expect(tenant.peak <= 4 << 20)
    try tenant.close()
    try await tenant.waitUntilDrained()
    try unsafe nodes.destroy()
  }

  @Test func theCacheStaysUnderItsLimit() throws {
    let cache = try SlabCache<CachedResult>(named: "result-test")
    let results = try ResultCache(named: "results", limitBytes: 1 << 20, from: cache)
    var made = 0
    for round in 0..<20_000 {
      // One that is asked for again and again stays.
      for key in [round, -1] {
        let value = try results.value(forKey: key) { key in
          made += 1
          return UInt8(truncatingIfNeeded: key)
        }
        #expect(value == UInt8(truncatingIfNeeded: key))
      }
      #expect(results.usedBytes <= 1 << 20)
    }
    #expect(results.count > 200)
    #expect(made == 20_001)
  }

  /// As many tasks at once as it takes for some to be in the middle of each other's reclaim: none is
  /// refused memory while there are results to free.
  @Test func nobodyIsRefusedWhileThereAreResultsToFree() async throws {
    let cache = try SlabCache<CachedResult>(named: "result-tasks")
    let results = try ResultCache(named: "result-tasks", limitBytes: 1 << 20, from: cache)
    let made = try await ResultLoad.ask([results], tasks: 4, questions: 20_000)
    #expect(made > 10_000 && made < 80_000)
    #expect(results.count > 200)
    let group = try #require(MemoryGroup.root.child(named: "result-tasks"))
    #expect(group.peak <= 1 << 20)
    #expect(group.events.max > 0 && group.events.oom == 0)
  }

  /// The oldest go first, wherever they stand.
  @Test func resultsByAge() throws {
    let cache = try SlabCache<CachedResult>(named: "result-ages")
    var results = Results()
    var model: [Int] = []
    var state: UInt64 = 1
    for _ in 0..<5000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let key = Int(state >> 40) % 40
      if Int(state >> 33) % 4 == 0 {
        let removed = results.removeOldest()
        #expect(removed == !model.isEmpty)
        if removed { model.removeFirst() }
      } else if results.use(key) != nil {
        let place = try #require(model.firstIndex(of: key))
        model.append(model.remove(at: place))
      } else {
        #expect(!model.contains(key))
        results.insert(
          try cache.allocate(
            CachedResult(key: key, bytes: [1024 of UInt8](repeating: 0)), in: .root))
        model.append(key)
      }
      #expect(results.count == model.count)
    }
    // What is left goes in the order of its last use.
    for key in model {
      let (oldest, removed) = (results.keyOfOldest, results.removeOldest())
      #expect(oldest == key && removed)
    }
  }
}
