// SPDX-License-Identifier: Apache-2.0
// Tables, one thread at a time: what is there, which group is charged, when values end, and what is
// refused.

import SlabCore
import SlabPlatform
import SlabTestSupport
import Testing

@testable import Slab

/// A key like any other, but for its hash.
struct Colliding: Hashable, Sendable {
  let number: Int
  func hash(into hasher: inout Hasher) {}
}

@Suite(.inTurn) struct SlabTableTests {
  let allocator: SlabAllocator
  let group: MemoryGroup
  let ends = Tracked.Ends()

  init() throws {
    allocator = try SlabAllocator()
    group = try allocator.rootGroup.makeChild(named: "tenant")
  }

  @Test func findsWhatIsThere() throws {
    let table = try SlabTable<Int, Int>(named: "table", of: allocator)
    #expect(table.isEmpty)
    #expect(table.name == "table")
    for key in 0..<1000 { #expect(try table.insert(key * 7, forKey: key, in: group)) }
    #expect(try !table.insert(1, forKey: 7, in: group))
    #expect(table.count == 1000)
    for key in 0..<1000 { #expect(table[key] == key * 7) }
    #expect(table[1000] == nil)
    #expect(table.contains(7))
    #expect(table.remove(forKey: 7)?.value == 49)
    #expect(!table.contains(7))
    expectNil(table.remove(forKey: 7), true)
    #expect(table.count == 999)
    expectWhole(table)
  }

  @Test func anEntryIsOnePointerAndKeepsItsValue() throws {
    typealias Table = SlabTable<String, Tracked>
    #expect(MemoryLayout<Table.Entry>.size == MemoryLayout<Int>.size)
    #expect(MemoryLayout<Table.Entry?>.size == MemoryLayout<Int>.size)
    let table = try Table(named: "table", of: allocator)
    try table.insert(Tracked(ends, 1), forKey: "one", in: group)
    do {
      let entry = try #require(table.number(ofEntryFor: "one"))
      #expect(entry == 1)
      let held = table.entry(forKey: "one")!
      _ = table.remove(forKey: "one")
      // Its memory is not another one's while it is held.
      try table.insert(Tracked(ends, 2), forKey: "one", in: group)
      #expect(held.key == "one")
      #expect(held.value.number == 1)
      #expect(table.number(ofEntryFor: "one") == 2)
      #expect(ends.value == 0)
    }
    #expect(ends.value == 1)
    expectWhole(table)
  }

  @Test func theValueOfARefusedInsertionEnds() throws {
    let table = try SlabTable<Int, Tracked>(named: "table", of: allocator)
    #expect(try table.insert(Tracked(ends, 1), forKey: 5, in: group))
    #expect(try !table.insert(Tracked(ends, 2), forKey: 5, in: group))
    #expect(ends.value == 1)
    #expect(table.number(ofEntryFor: 5) == 1)
  }

  @Test func updateReturnsTheOldEntry() throws {
    let table = try SlabTable<Int, Tracked>(named: "table", of: allocator)
    expectNil(try table.updateValue(Tracked(ends, 1), forKey: 5, in: group), true)
    do {
      let old = try table.updateValue(Tracked(ends, 2), forKey: 5, in: group)!
      #expect(old.value.number == 1)
      #expect(ends.value == 0)
    }
    #expect(ends.value == 1)
    #expect(table.number(ofEntryFor: 5) == 2)
    #expect(table.count == 1)
    expectWhole(table)
  }

  @Test func theGroupInEffectIsCharged() throws {
    let table = try SlabTable<Int, Tracked>(named: "table", of: allocator)
    try MemoryGroup.withCurrent(group) {
      try table.insert(Tracked(ends), forKey: 1)
      try table.updateValue(Tracked(ends), forKey: 1)
    }
    #expect(group.usage == 4096)
    table.removeAll()
    #expect(ends.value == 2)
  }

  /// A task of its own; the value is looked at across a suspension.
  @Test func bodiesThatSuspend() async throws {
    let table = try SlabTable<Int, Tracked>(named: "table", of: allocator)
    try table.insert(Tracked(ends, 3), forKey: 1, in: group)
    let number = await table.withValue(forKey: 1) { value in
      _ = table.remove(forKey: 1)
      await Task.yield()
      return value.number
    }
    #expect(number == 3)
    #expect(ends.value == 1)
    let none: Int? = table.withValue(forKey: 1) { value in value.number }
    #expect(none == nil)
  }

  @Test func keysOfOneHash() throws {
    let table = try SlabTable<Colliding, Int>(named: "table", of: allocator)
    for number in 0..<300 {
      #expect(try table.insert(number, forKey: Colliding(number: number), in: group))
    }
    expectWhole(table)
    for number in 0..<300 { #expect(table[Colliding(number: number)] == number) }
    for number in stride(from: 0, to: 300, by: 2) {
      #expect(table.remove(forKey: Colliding(number: number))?.value == number)
    }
    for number in 0..<300 {
      #expect(table[Colliding(number: number)] == (number % 2 == 0 ? nil : number))
    }
    expectWhole(table)
  }

  @Test func valuesOfEveryShape() throws {
    struct Wide: Sendable { var lanes = SIMD16<Double>(repeating: 3) }
    struct Empty: Hashable, Sendable {}
    let wide = try SlabTable<UInt8, Wide>(named: "wide", of: allocator)
    for key in UInt8.min ... .max { try wide.insert(Wide(), forKey: key, in: group) }
    #expect(wide[200]!.lanes == SIMD16(repeating: 3))
    let empty = try SlabTable<Empty, Empty>(named: "empty", of: allocator)
    try empty.insert(Empty(), forKey: Empty(), in: group)
    #expect(try !empty.insert(Empty(), forKey: Empty(), in: group))
    #expect(empty.count == 1)
    #expect(throws: SlabError.invalidObjectSize) {
      try SlabTable<Int, InlineArray<32768, UInt8>>(named: "large", of: allocator)
    }
    #expect(throws: SlabError.nameInUse(name: "wide")) {
      try SlabTable<Int, Int>(named: "wide", of: allocator)
    }
    #expect(throws: SlabError.invalidLimit) {
      try SlabTable<Int, Int>(named: "less", minimumCapacity: -1, of: allocator)
    }
    #expect(throws: SlabError.outOfMemory(group: nil, bytes: 0)) {
      try SlabTable<Int, Int>(named: "more", minimumCapacity: .max, of: allocator)
    }
  }

  @Test func allEntries() throws {
    let table = try SlabTable<Int, Tracked>(named: "table", of: allocator)
    for key in 0..<500 { try table.insert(Tracked(ends, key), forKey: key, in: group) }
    #expect(table.keys() == Array(0..<500))
    struct Enough: Error {}
    var seen = 0
    #expect(throws: Enough.self) {
      let look: (Int, borrowing Tracked) throws -> Void = { _, _ in
        seen += 1
        if seen == 10 { throw Enough() }
      }
      try table.forEachEntry(look)
    }
    #expect(table.removeAll { key, value in key == value.number && key % 5 != 0 } == 400)
    #expect(ends.value == 400)
    #expect(table.keys() == Array(stride(from: 0, to: 500, by: 5)))
    expectWhole(table)
    table.removeAll()
    #expect(ends.value == 500)
    #expect(table.isEmpty)
    expectWhole(table)
  }

  /// Insertions and removals while all entries are visited, the table growing meanwhile: what is
  /// there from beginning to end comes once.
  @Test func theBodyMayChangeTheTable() throws {
    let table = try SlabTable<Int, Int>(named: "table", of: allocator)
    for key in 0..<100 { try table.insert(0, forKey: key, in: group) }
    for _ in 0..<3 {
      var seen: [Int: Int] = [:]
      var next = 1000
      let change: (Int, borrowing Int) throws -> Void = { key, _ in
        seen[key, default: 0] += 1
        guard next < 5000 else { return }
        for _ in 0..<9 {
          try table.insert(1, forKey: next, in: group)
          next += 1
        }
        _ = table.remove(forKey: next - 1)
        try table.updateValue(2, forKey: key % 100, in: group)
      }
      try table.forEachEntry(change)
      for key in 0..<100 { #expect(seen[key] == 1) }
      #expect(seen.values.allSatisfy { $0 == 1 })
      expectWhole(table)
      table.removeAll { key, _ in key >= 1000 }
      expectWhole(table)
    }
    #expect(table.keys() == Array(0..<100))
  }

  @Test func aTableThatGoes() throws {
    var table: SlabTable<Int, Tracked>? = try SlabTable(named: "table", of: allocator)
    for key in 0..<300 { try table!.insert(Tracked(ends, key), forKey: key, in: group) }
    let entry = table!.entry(forKey: 123)!
    table = nil
    #expect(ends.value == 299)
    #expect(entry.value.number == 123)
    // The name is free at once.
    let other = try SlabTable<Int, Tracked>(named: "table", of: allocator)
    try other.insert(Tracked(ends), forKey: 1, in: group)
    #expect(entry.key == 123)
    _ = consume entry
    #expect(ends.value == 300)
    _ = consume other
    allocator.waitUntilIdle()
    #expect(allocator.statistics.rootCaches == 0)
    expectWhole(allocator.core)
  }

  /// With entries in it, whose memory is gone; and afterwards nothing of it is touched.
  @Test func aTableThatOutlivesItsAllocator() throws {
    let brief = try SlabAllocator()
    let table = try SlabTable<Int, Int>(named: "table", of: brief)
    for key in 0..<1000 { try table.insert(key, forKey: key, in: brief.rootGroup) }
    // SAFETY: the handle is dropped, and nothing else is done with it.
    unsafe brief.unmapEverything()
    _ = consume table
  }
}

extension SlabTable {
  func keys() -> [Key] where Key: Comparable {
    var keys: [Key] = []
    forEachEntry { key, _ in keys.append(key) }
    return keys.sorted()
  }
}

extension SlabTable where Value == Tracked {
  func number(ofEntryFor key: Key) -> Int? { withValue(forKey: key) { $0.number } }

  func keys() -> [Key] where Key: Comparable {
    var keys: [Key] = []
    forEachEntry { key, _ in keys.append(key) }
    return keys.sorted()
  }
}

/// Records an issue that names the broken invariant, if there is one. Nothing may be at work but
/// the allocator's own threads, which are waited for.
func expectWhole<Key, Value: ~Copyable>(
  _ table: SlabTable<Key, Value>, sourceLocation: SourceLocation = #_sourceLocation
) {
  if let broken = table.core.brokenInvariant() {
    Issue.record("\(broken)", sourceLocation: sourceLocation)
  }
  table.core.allocator.waitUntilIdle()
  expectWhole(table.core.allocator, sourceLocation: sourceLocation)
}
