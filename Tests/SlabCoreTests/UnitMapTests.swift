// SPDX-License-Identifier: Apache-2.0
// The encoding of the page map: what is written comes back, and the kinds of words are apart.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct UnitMapTests {
  /// A map of 16 units and of the largest reservation, whose words are memory and whose heap is not.
  private func withMap(
    units: Int = 16, heapBase: UInt = 0x7000_0000_0000, _ body: (UnitMap) throws -> Void
  ) throws {
    let words = try SystemCall.reserve(bytes: 4096)
    defer { try? SystemCall.unmap(at: words, bytes: 4096) }
    try SystemCall.protectReadWrite(at: words, bytes: 4096)
    try body(UnitMap(words: Words(at: words), heapBase: heapBase, unitLimit: units))
  }

  @Test(arguments: [0, 1, 1000, 1 << 30, (128 << 30) / 64 - 1] as [UInt])
  func slabAndCacheComeBack(_ granule: UInt) throws {
    try withMap { map in
      let slab = unsafe Pointer<Slab>(address: map.heapBase + granule * 64)!
      // A cache stands at granule 1 at the lowest: 0 would be "nobody's".
      let other = max(1, (128 << 30) / 64 - 1 - granule)
      let cache = unsafe Pointer<Cache>(address: map.heapBase + other * 64)!
      map.setSlab(slab, of: cache, unit: 4, count: 4)
      for unit in 0..<16 {
        let word = map.word(at: map.address(ofUnit: unit) + 1023)
        #expect(UnitMap.isSlab(word) == (4..<8).contains(unit))
        guard UnitMap.isSlab(word) else {
          #expect(word == 0)
          continue
        }
        #expect(!UnitMap.isFree(word))
        #expect(map.slab(of: word) == slab)
        #expect(map.cache(of: word) == cache)
      }
      map.clear(unit: 4, count: 4)
      for unit in 0..<16 { #expect(map.words[unit] == 0) }
    }
  }

  @Test func addressesOutsideTheHeapAreNobodys() throws {
    try withMap { map in
      let cache = unsafe Pointer<Cache>(address: map.heapBase + 64)!
      unsafe map.setSlab(Pointer<Slab>(address: map.heapBase)!, of: cache, unit: 0, count: 16)
      let end = map.heapBase + 16 * 1024
      // Behind the map's words there is what looks like another one.
      map.words[16] = map.words[0]
      for inside in [map.heapBase, map.heapBase + 1, end - 1] {
        #expect(UnitMap.isSlab(map.word(at: inside)) && map.cache(at: inside) == cache)
      }
      for outside in [0, 1, map.heapBase - 1, end, end + 1, .max, UInt(Int.max)] {
        #expect(map.word(at: outside) == 0 && map.cache(at: outside) == nil)
      }
    }
  }

  @Test(arguments: 0...12, [false, true])
  func freeRunsComeBack(_ order: Int, _ dirty: Bool) throws {
    try withMap { map in
      var head = UnitMap.none
      for unit in [3, 9, 5] { map.pushFree(unit: unit, order: order, dirty: dirty, head: &head) }
      var seen: [Int] = []
      map.forEachFree(head: head) { unit, word in
        seen.append(unit)
        #expect(UnitMap.isFree(word))
        #expect(!UnitMap.isSlab(word))
        #expect(UnitMap.order(word) == order)
        #expect(UnitMap.isDirty(word) == dirty)
      }
      #expect(seen == [5, 9, 3])
    }
  }

  /// Free lists of four runs: every order of removal, and what is left after each step.
  @Test func listsStayWhole() throws {
    try withMap { map in
      for permutation in permutations([2, 6, 10, 14]) {
        var head = UnitMap.none
        for unit in [14, 10, 6, 2] { map.pushFree(unit: unit, order: 1, dirty: true, head: &head) }
        var left = [2, 6, 10, 14]
        for unit in permutation {
          map.removeFree(unit: unit, head: &head)
          left.removeAll { $0 == unit }
          var listed: [Int] = []
          map.forEachFree(head: head) { unit, _ in listed.append(unit) }
          #expect(listed == left)
          #expect(map.words[unit] == 0)
        }
        #expect(head == UnitMap.none)
      }
    }
  }

  /// Two lists of up to three runs are one, of which every run can go, in every order.
  @Test(arguments: 0...3, 0...3) func listsJoin(_ first: Int, _ second: Int) throws {
    try withMap { map in
      let runs = [[1, 3, 5].prefix(first), [7, 9, 11].prefix(second)].map { Array($0) }
      for permutation in permutations(runs[0] + runs[1]) {
        var heads = [UnitMap.none, UnitMap.none]
        for list in 0..<2 {
          for unit in runs[list].reversed() {
            map.pushFree(unit: unit, order: 0, dirty: true, head: &heads[list])
          }
        }
        var (head, other) = (heads[0], heads[1])
        map.join(&other, to: &head)
        #expect(other == UnitMap.none)
        var left = runs[0] + runs[1]
        for unit in [nil] + permutation.map(Optional.some) {
          if let unit { map.removeFree(unit: unit, head: &head) }
          left.removeAll { $0 == unit }
          var listed: [Int] = []
          map.forEachFree(head: head) { unit, _ in listed.append(unit) }
          #expect(listed == left)
        }
        #expect(head == UnitMap.none)
      }
    }
  }

  /// The end of a list is known to its head, whatever has been taken out or joined before.
  @Test(arguments: 0...3) func listsJoinAgain(_ taken: Int) throws {
    try withMap { map in
      var head = UnitMap.none
      for unit in [5, 3, 1] { map.pushFree(unit: unit, order: 0, dirty: true, head: &head) }
      // From the end.
      for unit in [5, 3, 1].prefix(taken) { map.removeFree(unit: unit, head: &head) }
      for list in [[9, 7], [13, 11]] {
        var other = UnitMap.none
        for unit in list { map.pushFree(unit: unit, order: 0, dirty: true, head: &other) }
        map.join(&other, to: &head)
      }
      var listed: [Int] = []
      map.forEachFree(head: head) { unit, _ in listed.append(unit) }
      #expect(listed == [1, 3, 5].dropLast(taken) + [7, 9, 11, 13])
    }
  }

  private func permutations(_ items: [Int]) -> [[Int]] {
    guard items.count > 1 else { return [items] }
    return items.flatMap { first in
      permutations(items.filter { $0 != first }).map { [first] + $0 }
    }
  }
}
