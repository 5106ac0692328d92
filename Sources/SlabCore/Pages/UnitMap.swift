// SPDX-License-Identifier: Apache-2.0
// The page map: for each unit of the heap one word that says what owns it. It lies outside the heap,
// so that nothing that an object's owner overwrites can reach it.
//
// A *unit* is 1 KiB, a quarter of an OS page: small slabs of a group share pages at this grain. The
// word of a unit is one of
//
//   0                                              no owner, or inside a slab of one large object, a block
//                                                  or a free run
//   slab : 32 | 0 | cache : 31                     in a slab of that cache
//   order : 4 | next : 28 | 1 | 0 : 2 | dirty : 1 | previous : 28
//                                                  first of a free run of 2^order units
//   tenant : 32 | 0 : 32                           second of a dirty run of pages: its last tenant
//
// where `cache` and `slab` are descriptors' offsets from the heap's base in granules of 64 bytes
// (hence the limit of 128 GiB), and `next`, `previous` are units. So an address leads to its cache
// in one subtraction, one shift and one load of the lower half, whose sign tells the rest; and the
// free lists need no memory of their own and touch none of the free pages. The `previous` of a
// list's first run is its last run, so that two lists are joined in O(1).
//
// A word of a free run changes under the page lock; the words of a slab change when it is made and
// when it is given back, while no object of it is live.

public import SlabPlatform

@usableFromInline @frozen
package struct UnitMap {
  @usableFromInline package let words: Words
  @usableFromInline package let heapBase: UInt
  /// Units of the whole reservation, committed or not.
  @usableFromInline let limit: UInt

  @inlinable @inline(__always)
  init(words: Words, heapBase: UInt, limit: UInt) {
    self.words = words
    self.heapBase = heapBase
    self.limit = limit
  }

  package init(words: Words, heapBase: UInt, unitLimit: Int) {
    self.init(words: words, heapBase: heapBase, limit: UInt(unitLimit))
  }

  var unitLimit: Int { Int(limit) }

  /// Bytes of a unit.
  @inlinable package static var unitBytes: Int { 1024 }
  /// log2 of the units in an OS page.
  package static var pageOrder: Int { 2 }
  static var none: UInt32 { 0xfff_ffff }
  @inlinable @inline(__always)
  package static var granuleShift: UInt { 6 }

  @inline(__always)
  func unit(of address: UInt) -> Int { Int((address - heapBase) >> 10) }

  @inline(__always)
  func address(ofUnit unit: Int) -> UInt { heapBase + UInt(unit) << 10 }

  // MARK: - Units of slabs

  /// The address of the descriptor of the cache that an address belongs to; `nil` if it is in no slab.
  /// Every free's look.
  @inlinable @inline(__always)
  package func owner(at address: UInt) -> UInt? {
    // Below the heap the difference wraps to a large number.
    let unit = (address &- heapBase) >> 10
    guard unit < limit else { return nil }
    let granule = words.lowerHalf(Int(truncatingIfNeeded: unit))
    guard granule > 0 else { return nil }
    // Inside the heap, since a slab's maker has written it: no overflow.
    return heapBase &+ UInt(bitPattern: granule) << Self.granuleShift
  }

  /// The word of the unit that an address lies in; 0 outside the heap.
  func word(at address: UInt) -> UInt64 {
    // Below the heap the difference wraps to a large number.
    let unit = (address &- heapBase) >> 10
    guard unit < limit else { return 0 }
    return words[Int(truncatingIfNeeded: unit)]
  }

  /// Whether a word belongs to a unit of a slab.
  static func isSlab(_ word: UInt64) -> Bool { Int32(truncatingIfNeeded: word) > 0 }

  /// The address of the descriptor of the cache of a word that belongs to a slab.
  func owner(of word: UInt64) -> UInt {
    heapBase &+ UInt(UInt32(truncatingIfNeeded: word)) << Self.granuleShift
  }

  /// The address of the descriptor of the slab of such a word.
  @inline(__always)
  func slabAddress(of word: UInt64) -> UInt { heapBase &+ UInt(word >> 32) << Self.granuleShift }

  /// Marks units as a slab's.
  func setSlab(at slab: UInt, ofCacheAt cache: UInt, unit: Int, count: Int) {
    let word =
      UInt64((slab - heapBase) >> Self.granuleShift) << 32
      | UInt64((cache - heapBase) >> Self.granuleShift)
    setNeighbours(unit: unit, count: count, to: word)
  }

  /// Marks units as owned by no slab.
  func clear(unit: Int, count: Int) { setNeighbours(unit: unit, count: count, to: 0) }

  /// The word of a unit whose owner may be changing it: a thread that frees a run looks, under the page
  /// lock, whether the run beside it is free. Between 0 and a slab's word it reads either, and both
  /// say no.
  func neighbour(_ unit: Int) -> UInt64 { AtomicWord(at: words.address + UInt(unit) * 8).load() }

  private func setNeighbours(unit: Int, count: Int, to word: UInt64) {
    var address = words.address + UInt(unit) * 8
    let end = address + UInt(count) * 8
    while address < end {
      AtomicWord(at: address).store(word)
      address &+= 8
    }
  }

  // MARK: - Free runs

  static func isFree(_ word: UInt64) -> Bool { word & 1 << 31 != 0 }
  static func isDirty(_ word: UInt64) -> Bool { word & 1 << 28 != 0 }
  static func order(_ word: UInt64) -> Int { Int(word >> 60) }

  private static var previousMask: UInt64 { 0xfff_ffff }
  private static var nextMask: UInt64 { 0xfff_ffff << 32 }
  private static func next(_ word: UInt64) -> UInt32 { UInt32((word & nextMask) >> 32) }
  private static func previous(_ word: UInt64) -> UInt32 { UInt32(word & previousMask) }

  private func setNext(_ unit: UInt32, of other: Int) {
    words[other] = words[other] & ~Self.nextMask | UInt64(unit) << 32
  }

  private func setPrevious(_ unit: UInt32, of other: Int) {
    words[other] = words[other] & ~Self.previousMask | UInt64(unit)
  }

  /// The tenant that had all of a dirty run of pages; `nobody` for none in particular.
  func tenant(ofFreeRun unit: Int) -> Tenant { Tenant(number: UInt32(words[unit + 1] >> 32)) }

  /// Notes which tenant had a run. To every other reader the word says "no owner", as 0 does.
  func setTenant(_ tenant: Tenant, ofFreeRun unit: Int) {
    setNeighbours(unit: unit + 1, count: 1, to: UInt64(tenant.number) << 32)
  }

  /// Puts a run at the head of a free list. O(1).
  func pushFree(unit: Int, order: Int, dirty: Bool, head: inout UInt32) {
    let last = head == Self.none ? UInt32(unit) : Self.previous(words[Int(head)])
    words[unit] =
      UInt64(order) << 60 | UInt64(head) << 32 | 1 << 31 | (dirty ? 1 << 28 : 0) | UInt64(last)
    if head != Self.none { setPrevious(UInt32(unit), of: Int(head)) }
    head = UInt32(unit)
  }

  /// Takes a run out of its free list. O(1).
  func removeFree(unit: Int, head: inout UInt32) {
    let next = Self.next(words[unit])
    let previous = Self.previous(words[unit])
    if head == UInt32(unit) {
      head = next
      if next != Self.none { setPrevious(previous, of: Int(next)) }
    } else {
      setNext(next, of: Int(previous))
      setPrevious(previous, of: Int(next == Self.none ? head : next))
    }
    words[unit] = 0
  }

  /// Puts the runs of a list behind those of another one of the same order and kind. O(1).
  func join(_ other: inout UInt32, to head: inout UInt32) {
    guard other != Self.none else { return }
    if head == Self.none {
      head = other
    } else {
      let last = Self.previous(words[Int(head)])
      setPrevious(Self.previous(words[Int(other)]), of: Int(head))
      setPrevious(last, of: Int(other))
      setNext(other, of: Int(last))
    }
    other = Self.none
  }

  /// Visits the runs of a free list; for checks. O(runs).
  func forEachFree(head: UInt32, _ body: (_ unit: Int, _ word: UInt64) -> Void) {
    var unit = head
    while unit != Self.none {
      let word = words[Int(unit)]
      body(Int(unit), word)
      unit = Self.next(word)
    }
  }
}
