// SPDX-License-Identifier: Apache-2.0
// The example at work: many readers and writers, few buckets, groups that come and go underneath.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct TypeSafeTableTests {
  @Test func findsWhatIsThere() throws {
    try withAllocator { allocator in
      let table = try TypeSafeTable(allocator, name: "table", bucketCount: 4)
      for key in 0..<100 { #expect(try table.insert(UInt64(key), in: nil)) }
      #expect(!(try table.insert(7, in: nil)))
      for key in 0..<100 {
        let object = try #require(table.find(UInt64(key)))
        #expect(object.key.load() == UInt64(key))
        table.release(object)
      }
      #expect(table.find(100) == nil)
      #expect(table.remove(7))
      #expect(!table.remove(7))
      #expect(table.find(7) == nil)
      for key in 0..<100 where key != 7 { #expect(table.remove(UInt64(key))) }
      try allocator.destroy(table.root)
    }
  }

  /// A reference keeps an object from its next life, and outlives its place in the table.
  @Test func aReferenceOutlivesTheRemoval() throws {
    try withAllocator { allocator in
      let table = try TypeSafeTable(allocator, name: "table", bucketCount: 1)
      _ = try table.insert(1, in: nil)
      let object = try #require(table.find(1))
      #expect(table.remove(1))
      #expect(try table.insert(2, in: nil))
      let other = try #require(table.find(2))
      #expect(other != object)
      #expect(object.key.load() == 1)
      expectError(.cacheBusy(objects: 2), from: allocator, table.root)
      table.release(object)
      table.release(other)
      #expect(table.remove(2))
      try allocator.destroy(table.root)
    }
  }

  private func expectError(
    _ error: AllocatorError, from allocator: Allocator, _ root: Pointer<RootCache>
  ) {
    allocator.expectError(error) { () throws(AllocatorError) in try allocator.destroy(root) }
  }

  @Test func churn() throws {
    try withSeed { seed in
      try withAllocator { allocator in
        let looks = Counter()
        let tables = try (0..<2).map { index in
          var table = try TypeSafeTable(allocator, name: "table-\(index)", bucketCount: 3)
          table.disturb = { if looks.next() % 61 == 0 { Threads.yield() } }
          return table
        }
        let churn = try Churn(tables, seed: seed)
        let writers = (0..<3).map { index in TestThread { churn.write(index) } }
        let readers = (0..<3).map { index in TestThread { churn.read(index) } }
        for writer in writers { writer.join() }
        churn.isOver.store(true, ordering: .releasing)
        for reader in readers { reader.join() }
        #expect(churn.mistakes.with { $0 } == [:])
        #expect(churn.found.load(ordering: .relaxed) > 0)
        for table in tables {
          for key in 0..<Churn.keys { _ = table.remove(key) }
          #expect(try allocator.liveObjects(of: table.root) == 0)
          try allocator.destroy(table.root)
        }
      }
    }
  }
}

private final class Counter: Sendable {
  private let value = Atomic<UInt>(0)
  func next() -> UInt { value.wrappingAdd(1, ordering: .relaxed).newValue }
}

private final class Churn: Sendable {
  let tables: [TypeSafeTable]
  let seed: UInt64
  let isOver = Atomic<Bool>(false)
  let found = Atomic<Int>(0)
  /// What went wrong, and how often.
  let mistakes = Shared([String: Int]())

  /// Keys that are never removed, and all keys.
  static let permanent: UInt64 = 6
  static let keys: UInt64 = 40
  static let rounds = isDebugBuild || isSanitized ? 120_000 : 1_000_000

  init(_ tables: [TypeSafeTable], seed: UInt64) throws {
    self.tables = tables
    self.seed = seed
    for table in tables { for key in 0..<Self.permanent { _ = try table.insert(key, in: nil) } }
  }

  private func note(_ mistake: String) { mistakes.with { $0[mistake, default: 0] += 1 } }

  /// Inserts and removes; the first in no group, so that objects have many lives, the others in one
  /// that ends with objects in it and is followed by another one.
  func write(_ index: Int) {
    var random = SeededGenerator(seed: seed &+ UInt64(index))
    let allocator = tables[0].allocator
    var group = index == 0 ? nil : try! allocator.makeGroup("tenant-\(index)")
    for round in 1...Self.rounds {
      let table = tables[Int(random.next() % UInt64(tables.count))]
      let key = UInt64.random(in: Self.permanent..<Self.keys, using: &random)
      if random.next() % 2 == 0 {
        _ = try! table.insert(key, in: group)
      } else {
        _ = table.remove(key)
      }
      guard round % 150 == 0, let ending = group else { continue }
      allocator.release(ending)
      group = try! allocator.makeGroup("tenant-\(index)")
    }
    if let group { allocator.release(group) }
  }

  func read(_ index: Int) {
    var random = SeededGenerator(seed: seed &+ UInt64(100 + index))
    while !isOver.load(ordering: .acquiring) {
      let table = tables[Int(random.next() % UInt64(tables.count))]
      let key = UInt64.random(in: 0..<Self.keys, using: &random)
      guard let object = table.find(key) else {
        if key < Self.permanent { note("a key that is always there was not found") }
        continue
      }
      found.add(1, ordering: .relaxed)
      for _ in 0..<random.next() % 50 {
        if object.key.load() != key { note("the key of a held object changed") }
        if object.check.load() != TypeSafeTable.check(of: key) { note("a torn object") }
        if object.count.pointee.load(ordering: .relaxed) < 1 {
          note("a held object without a count")
        }
      }
      if random.next() % 64 == 0 { Threads.yield() }
      table.release(object)
    }
  }
}
