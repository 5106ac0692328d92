// SPDX-License-Identifier: Apache-2.0
// Tables under many threads: readers, writers, threads that look at everything, growth all the while,
// and groups that come and go underneath.

import Glibc
import SlabCore
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import Slab

@Suite(.inTurn(minutes: 3)) struct SlabTableStormTests {
  /// Many tables, each of which grows from its smallest size while it is read.
  @Test func growth() throws {
    try storm(rounds: isSanitized ? 6 : isDebugBuild ? 30 : 150, keyRange: 4000, steps: 6000)
  }

  /// Few keys, whose entries are used again and again.
  @Test func churn() throws {
    let steps = isSanitized ? 30_000 : isDebugBuild ? 120_000 : 600_000
    try storm(rounds: 2, keyRange: 60, steps: steps)
  }

  private func storm(rounds: Int, keyRange: Int, steps: Int) throws {
    try withSeed { seed in
      let allocator = try SlabAllocator()
      let ends = Tracked.Ends()
      var made = 0
      for round in 0..<rounds {
        let storm = try Storm(
          allocator, ends, keyRange: keyRange, steps: steps, seed: seed &+ UInt64(round * 1000))
        storm.run()
        let mistakes = storm.mistakes.withLock { $0 }
        #expect(mistakes == [:])
        #expect(storm.found.load(ordering: .relaxed) > 0)
        expectWhole(storm.table)
        made += storm.made.load(ordering: .relaxed)
        #expect(made - ends.value == storm.table.count)
        if round % 2 == 0 { storm.table.removeAll() }
      }
      // Every value has ended exactly once, and nobody is charged for anything.
      #expect(ends.value == made)
      allocator.waitUntilIdle()
      #expect(allocator.statistics.chargedBytes == 0)
      #expect(allocator.statistics.rootCaches == 0)
      #expect(allocator.statistics.groupsLive == 0)
      expectWhole(allocator.core)
    }
  }

  /// Children of a fork look up while other threads of the parent are in the middle of a change.
  @Test(.enabled(if: !isSanitized)) func childrenOfAForkLookUp() async {
    await #expect(processExitsWith: .success) {
      prepareForForks()
      let allocator = try SlabAllocator()
      for round in 0..<40 {
        let storm = try Storm(
          allocator, Tracked.Ends(), keyRange: 4000, steps: 4000, seed: UInt64(round))
        #expect(storm.lookUpOnce() == 0)
        let writers = storm.startWriters()
        for _ in 0..<3 {
          let process = forkProcess()
          if process == 0 { _exit(storm.lookUpOnce()) }
          #expect(exitCode(ofChild: process) == 0)
        }
        for writer in writers { writer.join() }
        expectWhole(storm.table)
      }
    }
  }
}

/// A value that says whether it is what it was, and ends once.
private struct Stamp: ~Copyable, Sendable {
  let key: Int
  let check: Int
  let tracked: Tracked

  init(_ key: Int, _ ends: Tracked.Ends) {
    self.key = key
    check = Self.check(of: key)
    tracked = Tracked(ends, key)
  }

  static func check(of key: Int) -> Int { key &* 0x1E37_79B9_7F4A_7C15 | 1 }

  func isWhole(forKey wanted: Int) -> Bool {
    key == wanted && check == Self.check(of: wanted) && tracked.number == wanted
  }
}

private final class Storm: Sendable {
  let allocator: SlabAllocator
  let table: SlabTable<Int, Stamp>
  let ends: Tracked.Ends
  let keyRange, steps: Int
  let seed: UInt64
  let isOver = Atomic(false)
  let made = Atomic(0)
  let found = Atomic(0)
  /// What went wrong, and how often.
  let mistakes = Mutex([String: Int]())

  /// Keys that are never removed; every second one is replaced now and then.
  static let permanent = 30

  init(
    _ allocator: SlabAllocator, _ ends: Tracked.Ends, keyRange: Int, steps: Int, seed: UInt64
  ) throws {
    self.allocator = allocator
    self.ends = ends
    self.keyRange = keyRange
    self.steps = steps
    self.seed = seed
    table = try SlabTable(named: "storm", of: allocator)
    for key in 0..<Self.permanent {
      try table.insert(stamp(key), forKey: key, in: allocator.rootGroup)
    }
    #if DEBUG
      let counter = Counter()
      table.core.hook.body = { _ in if counter.next() % 97 == 0 { sched_yield() } }
    #endif
  }

  func run() {
    let readers = [
      TestThread { self.read(100) }, TestThread { self.read(101) }, TestThread { self.walk() },
    ]
    // Writers that are through before anybody reads would show nothing.
    while found.load(ordering: .relaxed) == 0 { sched_yield() }
    let writers = startWriters()
    for writer in writers { writer.join() }
    isOver.store(true, ordering: .releasing)
    for reader in readers { reader.join() }
  }

  func startWriters() -> [TestThread] {
    (0..<2).map { index in TestThread { self.write(index) } }
  }

  private func stamp(_ key: Int) -> Stamp {
    made.add(1, ordering: .relaxed)
    return Stamp(key, ends)
  }

  private func note(_ mistake: String) {
    mistakes.withLock { $0[mistake, default: 0] += 1 }
  }

  /// Inserts, replaces and removes, in a group that ends with entries in it and is followed by
  /// another.
  private func write(_ index: Int) {
    var random = SeededGenerator(seed: seed &+ UInt64(index))
    let root = allocator.rootGroup
    var group = index == 0 ? root : try! root.makeChild(named: "tenant")
    for step in 1...steps {
      let key = Int.random(in: Self.permanent..<keyRange, using: &random)
      switch random.next() % 8 {
      case 0, 1, 2, 3: try! table.insert(stamp(key), forKey: key, in: group)
      case 4: replace(key, in: group)
      case 5: replace(key % (Self.permanent / 2) * 2, in: group)
      default:
        if let old = table.remove(forKey: key), !old.value.isWhole(forKey: key) {
          note("a removed entry is another one")
        }
      }
      if step % 64 == 0 { sched_yield() }
      if step % 700 == 0, index > 0 {
        group = try! root.makeChild(named: "tenant-\(step)")
      }
      if step % 5000 == 0 {
        table.removeAll { key, _ in key >= Self.permanent && key % 3 == 0 }
      }
    }
  }

  private func replace(_ key: Int, in group: MemoryGroup) {
    if let old = try! table.updateValue(stamp(key), forKey: key, in: group) {
      if !old.value.isWhole(forKey: key) { note("a replaced entry is another one") }
    } else if key < Self.permanent {
      note("a writer did not find a key that is always there")
    }
  }

  private func read(_ index: Int) {
    var random = SeededGenerator(seed: seed &+ UInt64(index))
    while !isOver.load(ordering: .acquiring) {
      let isPermanent = random.next() % 2 == 0
      let key = Int.random(in: 0..<(isPermanent ? Self.permanent : keyRange), using: &random)
      guard let entry = table.entry(forKey: key) else {
        if key < Self.permanent { note("a key that is always there was not found") }
        continue
      }
      found.add(1, ordering: .relaxed)
      for _ in 0..<random.next() % 20
      where entry.key != key || !entry.value.isWhole(forKey: key) {
        note("a held entry is another one")
      }
      if random.next() % 64 == 0 { sched_yield() }
    }
  }

  /// Looks at all entries: those that are always there come once.
  private func walk() {
    var passes = 0
    while !isOver.load(ordering: .acquiring) || passes == 0 {
      passes += 1
      var seen = [Int](repeating: 0, count: keyRange)
      let look: (Int, borrowing Stamp) -> Void = { key, value in
        seen[key] += 1
        if !value.isWhole(forKey: key) { self.note("a visited entry is another one") }
      }
      table.forEachEntry(look)
      for key in 0..<Self.permanent where seen[key] != 1 {
        note("a key that is always there was seen \(seen[key]) times")
      }
      if seen.contains(where: { $0 > 1 }) { note("a key was seen twice") }
    }
  }

  /// In a child of fork, or before: 0, or what went wrong.
  func lookUpOnce() -> Int32 {
    for key in 0..<keyRange {
      guard let entry = table.entry(forKey: key) else {
        if key < Self.permanent { return 2 }
        continue
      }
      if !entry.value.isWhole(forKey: key) { return 3 }
    }
    return 0
  }
}

private final class Counter: Sendable {
  private let value = Atomic<UInt>(0)
  func next() -> UInt { value.wrappingAdd(1, ordering: .relaxed).newValue }
}
