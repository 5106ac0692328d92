// SPDX-License-Identifier: Apache-2.0
// The tables behind the interpreter, against plain dictionaries.

import SlabTestSupport
import Testing

@testable import SlabTool

/// SplitMix64: random numbers that a seed repeats.
private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var bits = state
    bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
    return bits ^ bits >> 31
  }
}

@Suite(.inTurn) struct KeyTableTests {
  @Test(arguments: [8, 40, 3000] as [UInt64])
  func againstADictionary(_ keys: UInt64) {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(state: seed)
    var table = KeyTable()
    var model: [UInt64: Int] = [:]
    for step in 0..<20_000 {
      let key = 0xFFFF_8881_0000_0000 + 64 * UInt64.random(in: 0..<keys, using: &random)
      if Bool.random(using: &random) {
        table.set(key, to: step)
        model[key] = step
      } else {
        #expect(table.remove(key) == model.removeValue(forKey: key), "seed \(seed)")
      }
      #expect(table[key] == model[key], "seed \(seed)")
      #expect(table.count == model.count, "seed \(seed)")
    }
    #expect(model.allSatisfy { table[$0.key] == $0.value }, "seed \(seed)")
  }
}

@Suite(.inTurn) struct GroupBookTests {
  @Test func holdsAreCounted() {
    var book = GroupBook()
    let group = book.make(id: 1, path: "/a").group
    let first = book.charge(group, cache: 0)
    let second = book.charge(group, cache: 1)
    let again = book.charge(group, cache: 0)
    #expect(again == first)
    #expect(book.childCachesMade == 2)
    let isLate = book.uncharge(second)
    #expect(!isLate)
    #expect(book.childCachesGone == 0)
    book.remove(group)
    #expect(book.childCachesGone == 1)
    #expect(book.childCachesPinned == 1)
    #expect(book.groupsGone == 0)
    let lateFrees = [book.uncharge(first), book.uncharge(first)]
    #expect(lateFrees == [true, true])
    #expect(book.groupsGone == 1)
    #expect(book.childCachesPinned == 0)
    #expect(book.chargedLive == 0)
  }
}

@Suite(.inTurn) struct GroupNameBookTests {
  /// A number is not looked for from the first one on: thousands of groups of one path are alive where
  /// rmdirs were lost.
  @Test func numbersGoOn() {
    var book = GroupBook()
    let names = (1...3).map { book.make(id: $0, path: "/a").name }
    #expect(names == ["/a", "/a~2", "/a~3"])
    book.remove(1)
    #expect(book.make(id: 4, path: "/a").name == "/a~4")
    book.remove(0)
    #expect(book.make(id: 5, path: "/a").name == "/a")
  }

  /// A name may begin with a mark that joins the slash before it, and be equal to another one for Swift only.
  @Test func pathsAreBytes() {
    var book = GroupBook()
    let above = book.make(id: 1, path: "/a").group
    let below = book.make(id: 2, path: "/a/\u{301}x")
    #expect(below.parent == above)
    let names = [book.make(id: 3, path: "/\u{e9}"), book.make(id: 4, path: "/e\u{301}")].map(\.name)
    #expect(names.map { Array($0.utf8) } == [Array("/\u{e9}".utf8), Array("/e\u{301}".utf8)])
  }
}

@Suite(.inTurn) struct TaskTableTests {
  @Test func tasksMoveAndAreUnknownAtFirst() {
    var tasks = TaskTable()
    #expect(tasks[EventHead.greatestPid] == nil)
    tasks[9] = nil
    tasks[5] = 3
    tasks[EventHead.greatestPid] = 4
    #expect(tasks[5] == 3)
    #expect(tasks[6] == nil)
    #expect(tasks[EventHead.greatestPid] == 4)
    tasks[5] = nil
    #expect(tasks[5] == nil)
  }
}
