// SPDX-License-Identifier: Apache-2.0
// What a lookup finds when others are at work between its steps, and between a writer's: each order
// is made on one thread, by a hook that does the others' part. So all of this is deterministic, and
// a lookup that waited for anybody would hang.
//
// In debug builds only: in a release build there are no hooks.

import SlabCore
import SlabTestSupport
import Testing

@testable import Slab

#if DEBUG
  private typealias Table = SlabTable<Int, Int>

  @Suite(.inTurn) struct SlabTableStepTests {
    let allocator: SlabAllocator
    var root: MemoryGroup { allocator.rootGroup }

    init() throws { allocator = try SlabAllocator() }

    private func makeTable() throws -> Table { try Table(named: "table", of: allocator) }

    /// Keys whose entries are in one bucket while there are 128 of them.
    private func keys(inBucket bucket: Int, _ count: Int) -> [Int] {
      var keys: [Int] = []
      var key = 0
      while keys.count < count {
        if key.hashValue & 127 == bucket { keys.append(key) }
        key += 1
      }
      return keys
    }

    /// The reference is one to a stranger: the second look at the key.
    @Test func theEntryBecomesAnother() throws {
      let table = try SlabTable<Colliding, Int>(named: "table", of: allocator)
      let (wanted, other) = (Colliding(number: 1), Colliding(number: 2))
      try onOneCPU {
        for _ in 0..<20 {
          try table.insert(1, forKey: wanted, in: root)
          var reused = 0
          let found = table.with(.readerBeforeReference) {
            let before = table.address(ofEntryFor: wanted)
            table.remove(forKey: wanted)
            try! table.insert(2, forKey: other, in: root)
            if table.address(ofEntryFor: other) == before { reused += 1 }
          } do: {
            table[wanted]
          }
          #expect(found == nil)
          #expect(reused == 1)
          #expect(table[other] == 2)
          table.remove(forKey: other)
        }
      }
      expectWhole(table)
    }

    /// The reference fails; meanwhile the key has another entry.
    @Test func theEntryIsFreed() throws {
      let table = try makeTable()
      try table.insert(1, forKey: 1, in: root)
      let found = table.with(.readerBeforeReference) {
        table.remove(forKey: 1)
        try! table.insert(2, forKey: 1, in: root)
      } do: {
        table[1]
      }
      #expect(found == 1 || found == 2)
      #expect(table[1] == 2)
      expectWhole(table)
    }

    /// The entry on the way to another one is moved to another chain: the end mark.
    @Test func theWayLeadsElsewhere() throws {
      let table = try makeTable()
      let ours = keys(inBucket: 5, 2)
      let foreign = keys(inBucket: 6, 1)[0]
      try onOneCPU {
        for _ in 0..<20 {
          try table.insert(0, forKey: ours[0], in: root)
          try table.insert(1, forKey: ours[1], in: root)
          // At the younger one, which is the first of the chain.
          let before = table.address(ofEntryFor: ours[1])
          var reused = 0
          let found = table.with(.readerBeforeNext) {
            table.remove(forKey: ours[1])
            try! table.insert(2, forKey: foreign, in: root)
            if table.address(ofEntryFor: foreign) == before { reused += 1 }
          } do: {
            table[ours[0]]
          }
          #expect(found == 0)
          #expect(reused == 1)
          table.removeAll()
        }
      }
      expectWhole(table)
    }

    /// The entry is replaced behind the reader: the version.
    @Test func theKeyIsReplacedBehindTheReader() throws {
      let table = try makeTable()
      let keys = keys(inBucket: 5, 2)
      try table.insert(0, forKey: keys[0], in: root)
      try table.insert(1, forKey: keys[1], in: root)
      for round in 1...20 {
        // The other key is first, so that the reader is at its entry, before the one that goes.
        try table.updateValue(1, forKey: keys[1], in: root)
        let found = table.with(.readerBeforeNext) {
          _ = try! table.updateValue(round, forKey: keys[0], in: root)
        } do: {
          table[keys[0]]
        }
        #expect(found == round)
      }
      expectWhole(table)
    }

    /// Both entries of a key are there for a moment.
    @Test func lookupsWhileAKeyIsReplaced() throws {
      let table = try makeTable()
      try table.insert(1, forKey: 1, in: root)
      var seen: Int?
      let old = table.with(.replacerBeforeUnlinking) {
        seen = table[1]
      } do: {
        table.replace(1, by: 2, in: root)
      }
      #expect(seen == 2)
      #expect(old == 1)
      expectWhole(table)
    }

    /// Every key is found at every step of every move: by a reader that begins there, without a
    /// lock.
    @Test(arguments: [TableStep.moverBeforeFirst, .moverBeforeEnd])
    func lookupsWhileBucketsMove(step: TableStep) throws {
      let table = try makeTable()
      var inserted = 0
      var looks = 0
      table.core.hook.body = { [table] reached in
        guard reached == step else { return }
        looks += 1
        for key in 0..<inserted where table[key] != key {
          Issue.record("key \(key) of \(inserted) was not found")
        }
      }
      for key in 0..<600 {
        try table.insert(key, forKey: key, in: root)
        inserted += 1
      }
      table.core.hook.body = nil
      #expect(looks > 100)
      expectWhole(table)
    }

    /// A chain that is longer than a piece of a move.
    @Test func aLongChainMoves() throws {
      let table = try SlabTable<Half, Int>(named: "table", of: allocator)
      var inserted = 0
      var looks = 0
      table.core.hook.body = { step in
        guard step == .moverBeforeFirst || step == .moverBeforeEnd else { return }
        looks += 1
        for number in 0..<inserted
        where table[Half(number: number, isAlone: number >= 50)] != number {
          Issue.record("key \(number) of \(inserted) was not found")
        }
      }
      for number in 0..<300 {
        try table.insert(number, forKey: Half(number: number, isAlone: number >= 50), in: root)
        inserted += 1
      }
      table.core.hook.body = nil
      #expect(looks > 100)
      expectWhole(table)
    }

    /// At any step of a lookup anything may happen to other entries, and the wanted one may be
    /// replaced, and its bucket be moved: it is found.
    @Test func everythingBetweenTheStepsOfALookup() throws {
      try withSeed { seed in
        for round in 0..<(isSanitized ? 20 : 100) {
          let table = try Table(named: "table", of: allocator)
          try Disturbed(table, root, seed: seed &+ UInt64(round)).run()
          expectWhole(table)
        }
      }
    }
  }

  /// A table in which something happens at a step of a lookup now and then.
  private final class Disturbed {
    let table: Table
    let group: MemoryGroup
    var random: SeededGenerator
    /// These keys are always there.
    let permanent = 40
    var next = 1000
    var isActing = false

    init(_ table: Table, _ group: MemoryGroup, seed: UInt64) {
      self.table = table
      self.group = group
      random = SeededGenerator(seed: seed)
    }

    func run() throws {
      for key in 0..<permanent { try table.insert(key, forKey: key, in: group) }
      table.core.hook.body = { [self] step in act(at: step) }
      for _ in 0..<400 {
        let key = Int.random(in: 0..<permanent, using: &random)
        if table[key].map({ $0 % 1000 }) != key { Issue.record("key \(key) was not found") }
      }
      table.core.hook.body = nil
    }

    private func act(at step: TableStep) {
      guard !isActing, random.next() % 3 == 0 else { return }
      switch step {
      case .readerBeforeNext, .readerBeforeReference, .readerAtEnd: break
      default: return
      }
      isActing = true
      defer { isActing = false }
      for _ in 0..<random.next() % 4 { change() }
    }

    private func change() {
      switch random.next() % 8 {
      case 0, 1, 2:
        try! table.insert(next, forKey: next, in: group)
        next += 1
      case 3, 4:
        let key = Int.random(in: max(1000, next - 20)...next, using: &random)
        table.remove(forKey: key)
      case 5:
        // An entry that is perhaps used again in another chain at once.
        let key = Int.random(in: max(1000, next - 20)...next, using: &random)
        table.remove(forKey: key)
        try! table.insert(next, forKey: next, in: group)
        next += 1
      default:
        let key = Int.random(in: 0..<permanent, using: &random)
        let thousands = Int.random(in: 1...9, using: &random) * 1000
        _ = try! table.updateValue(thousands + key, forKey: key, in: group)
      }
    }
  }

  extension SlabTable {
    /// Runs a body in which another one is called the first time that a step is reached.
    fileprivate func with<Result>(
      _ step: TableStep, act: @escaping () -> Void, do body: () -> Result
    ) -> Result {
      var isArmed = true
      core.hook.body = { reached in
        guard isArmed, reached == step else { return }
        isArmed = false
        act()
      }
      defer { core.hook.body = nil }
      return body()
    }

    fileprivate func address(ofEntryFor key: Key) -> UInt? {
      guard let entry = entry(forKey: key) else { return nil }
      return UInt(bitPattern: unsafe entry.unsafePointer)
    }

    fileprivate func replace(_ key: Key, by value: Value, in group: MemoryGroup) -> Value? {
      guard let old = try! updateValue(value, forKey: key, in: group) else { return nil }
      return old.value
    }
  }
#endif
