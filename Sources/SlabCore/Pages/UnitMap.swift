// The page map: for each unit of the heap one word that says whose it is. It lies outside the heap,
// so that nothing that an object's owner overwrites can reach it.
//
// A *unit* is 1 KiB, a quarter of an OS page: small slabs of a group share pages at this grain. The
// word of a unit is one of
//
//   0                                              nobody's, or inside a free run
//   0 | cache : 31 | slab : 32                     in a slab of that cache
//   1 | dirty : 1 | 0 : 2 | order : 4 | next : 28 | previous : 28
//                                                  first of a free run of 2^order units
//
// where `cache` and `slab` are descriptors' offsets from the heap's base in granules of 64 bytes
// (hence the limit of 128 GiB), and `next`, `previous` are units. So an address leads to its cache
// in one subtraction, one shift and one load, and the free lists need no memory of their own and
// touch none of the free pages.
//
// A word of a free run changes under the page lock; the words of a slab change when it is made and
// when it is given back, while no object of it is live.

public import SlabPlatform

@usableFromInline @frozen
package struct UnitMap {
  @usableFromInline package let words: Words
  @usableFromInline package let heapBase: UInt
  /// Units of the whole reservation, committed or not.
  @usableFromInline package let unitLimit: Int

  package init(words: Words, heapBase: UInt, unitLimit: Int) {
    self.words = words
    self.heapBase = heapBase
    self.unitLimit = unitLimit
  }

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

  /// The word of the unit that an address lies in; 0 outside the heap.
  @inlinable @inline(__always)
  package func word(at address: UInt) -> UInt64 {
    let unit = (address &- heapBase) >> 10
    return unit < UInt(unitLimit) ? words[Int(unit)] : 0
  }

  /// Whether a word belongs to a unit of a slab.
  @inlinable @inline(__always)
  package static func isSlab(_ word: UInt64) -> Bool { Int64(bitPattern: word) > 0 }

  @inlinable @inline(__always)
  package func cache(of word: UInt64) -> Pointer<Cache> {
    Pointer(address: heapBase + UInt(word >> 32) << Self.granuleShift)!
  }

  @inline(__always)
  func slab(of word: UInt64) -> Pointer<Slab> {
    Pointer(address: heapBase + UInt(word & 0xffff_ffff) << Self.granuleShift)!
  }

  /// Marks 2^order units as a slab's.
  func setSlab(_ slab: Pointer<Slab>, of cache: Pointer<Cache>, unit: Int, order: Int) {
    let word =
      UInt64((cache.address - heapBase) >> Self.granuleShift) << 32
      | UInt64((slab.address - heapBase) >> Self.granuleShift)
    for index in unit..<unit + 1 << order { words[index] = word }
  }

  /// Marks 2^order units as nobody's.
  func clear(unit: Int, order: Int) {
    for index in unit..<unit + 1 << order { words[index] = 0 }
  }

  // MARK: - Free runs

  static func isFree(_ word: UInt64) -> Bool { word >> 63 != 0 }
  static func isDirty(_ word: UInt64) -> Bool { word >> 62 & 1 != 0 }
  static func order(_ word: UInt64) -> Int { Int(word >> 56 & 0xf) }

  private static func freeWord(dirty: Bool, order: Int, next: UInt32, previous: UInt32) -> UInt64 {
    1 << 63 | (dirty ? 1 << 62 : 0) | UInt64(order) << 56 | UInt64(next) << 28 | UInt64(previous)
  }

  private static func next(_ word: UInt64) -> UInt32 { UInt32(word >> 28 & 0xfff_ffff) }
  private static func previous(_ word: UInt64) -> UInt32 { UInt32(word & 0xfff_ffff) }

  /// Puts a run at the head of a free list. O(1).
  func pushFree(unit: Int, order: Int, dirty: Bool, head: inout UInt32) {
    words[unit] = Self.freeWord(dirty: dirty, order: order, next: head, previous: Self.none)
    if head != Self.none {
      let following = words[Int(head)]
      words[Int(head)] = following & ~0xfff_ffff | UInt64(unit)
    }
    head = UInt32(unit)
  }

  /// Takes a run out of its free list. O(1).
  func removeFree(unit: Int, head: inout UInt32) {
    let word = words[unit]
    let next = Self.next(word)
    let previous = Self.previous(word)
    if next != Self.none {
      words[Int(next)] = words[Int(next)] & ~0xfff_ffff | UInt64(previous)
    }
    if previous != Self.none {
      let before = words[Int(previous)]
      words[Int(previous)] = before & ~(0xfff_ffff << 28) | UInt64(next) << 28
    } else {
      head = next
    }
    words[unit] = 0
  }

  /// Takes the first run of a free list. O(1).
  func popFree(head: inout UInt32) -> Int? {
    guard head != Self.none else { return nil }
    let unit = Int(head)
    removeFree(unit: unit, head: &head)
    return unit
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
