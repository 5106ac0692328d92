// SPDX-License-Identifier: Apache-2.0
// Tables against a dictionary, with groups that come and go; and what is charged, and refused.

import SlabCore
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import Slab

@Suite(.inTurn) struct SlabTableModelTests {
  let allocator: SlabAllocator
  let ends = Tracked.Ends()

  init() throws { allocator = try SlabAllocator() }

  private func makeGroup(_ name: String, max: Int? = nil) throws -> MemoryGroup {
    try allocator.rootGroup.makeChild(named: name, max: max)
  }

  /// Every operation, in a random order; what is there is looked at again and again.
  @Test(arguments: [false, true]) func againstADictionary(collisions: Bool) throws {
    try withSeed { seed in
      var random = SeededGenerator(seed: seed)
      let table = try SlabTable<Half, Tracked>(named: "table", of: allocator)
      var model: [Half: Int] = [:]
      var made = 0
      var group = try makeGroup("tenant")
      for round in 1...20_000 {
        // The table grows by and by; with collisions half of it is one chain.
        let keys = collisions ? 200 : 100 + round / 4
        let number = Int.random(in: 0..<keys, using: &random)
        let key = Half(number: number, isAlone: !collisions || number % 2 == 0)
        switch random.next() % 8 {
        case 0, 1, 2:
          made += 1
          let isNew = try table.insert(Tracked(ends, round), forKey: key, in: group)
          #expect(isNew == (model[key] == nil))
          if isNew { model[key] = round }
        case 3:
          made += 1
          let old = try table.updateValue(Tracked(ends, round), forKey: key, in: group)
          #expect(numbered(by: old) == model[key])
          model[key] = round
        case 4, 5:
          #expect(numbered(by: table.remove(forKey: key)) == model.removeValue(forKey: key))
        default: #expect(table.number(ofEntryFor: key) == model[key])
        }
        #expect(table.count == model.count)
        if round % 500 == 0 { group = try makeGroup("tenant-\(round)") }
        if round % 4000 == 0 {
          let parity = Int(random.next() % 3)
          let before = model.count
          model = model.filter { $0.key.number % 3 != parity }
          #expect(table.removeAll { key, _ in key.number % 3 == parity } == before - model.count)
        }
        guard round % 1000 == 0 else { continue }
        expectWhole(table)
        #expect(table.keys() == model.keys.sorted())
        for (key, number) in model { #expect(table.number(ofEntryFor: key) == number) }
        #expect(ends.value == made - model.count)
      }
      table.removeAll()
      #expect(ends.value == made)
      // No entry, and no group but the last: nothing is charged when the empty slabs have gone.
      try group.close()
      allocator.waitUntilIdle()
      #expect(allocator.statistics.chargedBytes == 0)
    }
  }

  /// Entries are charged to their groups, stay when these end, and are uncharged when they go.
  @Test func groupsThatEnd() throws {
    let table = try SlabTable<Int, Tracked>(named: "table", of: allocator)
    let parent = try makeGroup("parent")
    for tenant in 0..<20 {
      let group = try parent.makeChild(named: "tenant-\(tenant)")
      for key in 0..<100 {
        try table.insert(Tracked(ends, tenant), forKey: tenant * 100 + key, in: group)
      }
      #expect(group.usage >= 100 * 40)
    }
    allocator.waitUntilIdle()
    // All tenants are gone, and their entries are charged to the parent.
    #expect(allocator.statistics.groupsLive == 1)
    #expect(parent.usage >= 2000 * 40)
    #expect(table.count == 2000)
    #expect(table.removeAll { _, value in value.number != 7 } == 1900)
    #expect(ends.value == 1900)
    #expect(table.keys() == Array(700..<800))
    table.removeAll()
    allocator.waitUntilIdle()
    #expect(parent.usage == 0)
    expectWhole(table)
  }

  @Test func limitsLeaveTheTableUnchanged() throws {
    let table = try SlabTable<Int, Tracked>(named: "table", of: allocator)
    let rich = try makeGroup("rich")
    let poor = try makeGroup("poor", max: 8192)
    let none = try makeGroup("none", max: 0)
    try table.insert(Tracked(ends, 1), forKey: -1, in: rich)
    var inserted = 0
    var refused: SlabError?
    while refused == nil {
      do throws(SlabError) {
        try table.insert(Tracked(ends, inserted), forKey: inserted, in: poor)
        inserted += 1
      } catch { refused = error }
    }
    guard case .limitReached(poor, _, 8192) = refused else {
      Issue.record("\(String(describing: refused))")
      return
    }
    #expect(inserted > 100)
    #expect(table.count == inserted + 1)
    #expect(ends.value == 1)
    expectWhole(table)
    // Neither is the old value of a key lost.
    #expect(throws: SlabError.self) {
      _ = try table.updateValue(Tracked(ends), forKey: -1, in: none)
    }
    #expect(table.number(ofEntryFor: -1) == 1)
    #expect(ends.value == 2)
    // Replacing needs room for both; after a removal there is.
    _ = table.remove(forKey: 0)
    #expect(numbered(by: try table.updateValue(Tracked(ends, 5), forKey: -1, in: poor)) == 1)
    #expect(table.number(ofEntryFor: -1) == 5)
    try none.close()
    #expect(throws: SlabError.groupOffline(group: none)) {
      try table.insert(Tracked(ends), forKey: -2, in: none)
    }
    expectWhole(table)
  }

  /// Every system call of an insertion fails once, and each time from then on: either the insertion
  /// is refused and nothing has changed, or the chains are longer for a while.
  @Test(arguments: [false, true]) func withoutMemory(repeating: Bool) async {
    await #expect(processExitsWith: .success) { [repeating = repeating as Bool] in
      let allocator = try SlabAllocator()
      var growths = 0
      for nth in 1...3 {
        let table = try SlabTable<Int, Int>(named: "table", of: allocator)
        for key in 0..<2000 {
          FaultInjection.failCall(
            nth, of: [.reserve, .protect], with: .noMemory, repeating: repeating)
          let isNew = try? table.insert(key, forKey: key, in: allocator.rootGroup)
          if FaultInjection.end() > 0, isNew == true { growths += 1 }
          #expect(table[key] == (isNew == nil ? nil : key))
          #expect(isNew != false)
        }
        expectWhole(table)
        for key in 0..<2000 { try table.insert(key, forKey: key, in: allocator.rootGroup) }
        expectWhole(table)
        for key in 0..<2000 { #expect(table[key] == key) }
      }
      #expect(growths > 0)
      // The array of a table that cannot be made.
      let before = mappedBytes()
      for _ in 0..<100 {
        FaultInjection.failCall(1, of: .reserve, with: .noMemory, repeating: true)
        #expect(throws: SlabError.outOfMemory(group: nil, bytes: 0)) {
          try SlabTable<Int, Int>(named: "none", minimumCapacity: 1 << 20, of: allocator)
        }
        _ = FaultInjection.end()
        FaultInjection.failCall(1, of: .protect, with: .noMemory, repeating: true)
        #expect(throws: SlabError.outOfMemory(group: nil, bytes: 0)) {
          try SlabTable<Int, Int>(named: "none", minimumCapacity: 1 << 20, of: allocator)
        }
        _ = FaultInjection.end()
      }
      #expect(mappedBytes() - before < 16 << 20)
    }
  }

  /// Arrays go when the table has outgrown them, and with the table.
  @Test func arraysGoBack() async {
    await #expect(processExitsWith: .success) {
      let allocator = try SlabAllocator()
      for _ in 0..<3 {
        let table = try SlabTable<Int, Int>(named: "table", of: allocator)
        let section = allocator.core.beginReading()
        for key in 0..<6000 { try table.insert(key, forKey: key, in: allocator.rootGroup) }
        // A reader may be at any of 128, 256 … 8192 buckets.
        #expect(BucketArray.mappedCount.load(ordering: .relaxed) == 7)
        allocator.core.endReading(section)
        allocator.barrier()
        #expect(BucketArray.mappedCount.load(ordering: .relaxed) == 1)
        expectWhole(table)
        // In the middle of growth there are two.
        for key in 6000...8192 { try table.insert(key, forKey: key, in: allocator.rootGroup) }
        #expect(BucketArray.mappedCount.load(ordering: .relaxed) == 2)
        _ = consume table
        #expect(BucketArray.mappedCount.load(ordering: .relaxed) == 0)
        allocator.waitUntilIdle()
      }
    }
  }
}

/// A key of which some have the hash of all others of their kind.
struct Half: Hashable, Comparable, Sendable {
  let number: Int
  let isAlone: Bool

  static func < (left: Half, right: Half) -> Bool { left.number < right.number }
  func hash(into hasher: inout Hasher) { if isAlone { hasher.combine(number) } }
}

/// Of the value of an entry, if there is one.
private func numbered<Key>(by entry: borrowing SlabTable<Key, Tracked>.Entry?) -> Int? {
  switch entry {
  case .none: nil
  case .some(let entry): entry.value.number
  }
}
