// SPDX-License-Identifier: Apache-2.0
// A slab: a run of 2^order units cut into equal objects, owned by one cache for its whole life.
//
// The descriptor lies outside the run. Free objects are bits in it, not links in the objects: so
// an object's owner can overwrite nothing of ours, a free touches no memory of the object, and a
// second free of an object that is back in its slab is seen for certain.
//
// Descriptors are objects of the core's own caches: 64 bytes with room for 192 bits, 128 bytes for
// slabs of more objects (those of 8 and 16 bytes). A slab of those two caches carries its own
// descriptor in its first place; so the recursion ends, and they shrink like any other cache.
//
// Everything here changes under the cache's lock, except while the slab is being made or given
// back, when it is its maker's.

internal import SlabPlatform

@usableFromInline
package struct Slab: ~Copyable {
  /// The address of the cache's descriptor, set once.
  let owner: UInt
  /// Neighbours on the cache's partial list; `next` also chains slabs that are on their way back. The
  /// two words are the callback's head while the slab of a type-safe cache waits for a grace period.
  var next: Pointer<Slab>? = nil
  var previous: Pointer<Slab>? = nil
  /// Where the run begins; of a block, which its user may have moved.
  var address: UInt
  /// Objects that are with users or in sheaves.
  var inUse: UInt16 = 0
  /// Objects that the slab can hand out.
  let objectCount: UInt16
  /// The first place that may hold another tenant's bytes, as all behind it may; `allCleared` if none
  /// does. Objects are handed out lowest first, so that those below have been.
  var firstUncleared: UInt16
  /// log2 of the run's units, and, in the upper half, the words of `freeBits` in use.
  private let orderAndWords: UInt8
  /// The first word that may have a bit set.
  var firstWord: UInt8 = 0
  // Behind it, `wordCount` words: a bit for each object, set if it is free.

  /// log2 of the run's units; `orderOfBlock` says that their number stands in the word behind the bits.
  private var order: Int { Int(orderAndWords & 15) }
  fileprivate var isBlock: Bool { order == Self.orderOfBlock }
  fileprivate var unitsByOrder: Int { 1 << order }
  var wordCount: Int { Int(orderAndWords >> 4) }

  init(
    owner: UInt, address: UInt, places: Int, order: Int, firstPlace: Int, isForeign: Bool
  ) {
    self.owner = owner
    self.address = address
    orderAndWords = UInt8((places + 63) / 64) << 4 | UInt8(order)
    objectCount = UInt16(places - firstPlace)
    firstUncleared = isForeign ? 0 : Self.allCleared
  }

  /// Bytes of a descriptor for slabs of up to 192 and of up to 704 objects.
  static var descriptorBytes: Int { 64 }
  static var wideDescriptorBytes: Int { 128 }
  static var orderOfBlock: Int { 15 }
  static var allCleared: UInt16 { .max }
  /// Bytes that are cleared at a time, in whole objects: a call for each small one would cost more than the bytes.
  static var clearedAtOnce: Int { 1024 }
  static var placesOfDescriptor: Int { (descriptorBytes - 40) * 8 }
  /// Of a wide descriptor whose last word says where the payers are.
  static var placesOfSharedDescriptor: Int { (wideDescriptorBytes - 48) * 8 }
}

extension Pointer where Pointee == Slab {
  /// Units of the run.
  var units: Int {
    pointee.isBlock ? Int(freeBits[1]) : pointee.unitsByOrder
  }

  /// Of a block.
  func setUnits(_ units: Int) { freeBits[1] = UInt64(units) }

  /// What the cache's books say for an object: of a block its pages.
  var pagesOrObject: Int { pointee.isBlock ? units >> UnitMap.pageOrder : 1 }

  private var freeBits: Words { Words(at: address + 40) }

  /// Of a slab whose objects belong to several groups: where the payers of its objects stand, four bytes for each place.
  /// An entry is 0 while its object is free, and changes while no other thread has the object.
  var payers: UInt {
    get { UInt(Words(at: address + UInt(Slab.wideDescriptorBytes - 8))[0]) }
    nonmutating set {
      Words(at: address + UInt(Slab.wideDescriptorBytes - 8))[0] = UInt64(newValue)
    }
  }

  subscript(payerOf place: Int) -> UInt32 {
    get { unsafe payerEntry(place).pointee }
    nonmutating set { unsafe payerEntry(place).pointee = newValue }
  }

  // SAFETY: there is an entry for each place, in memory that goes with the slab.
  private func payerEntry(_ place: Int) -> UnsafeMutablePointer<UInt32> {
    unsafe UnsafeMutablePointer(bitPattern: payers + UInt(place) * 4).unsafelyUnwrapped
  }

  var hasFreeObjects: Bool { pointee.inUse < pointee.objectCount }

  /// Makes every object from `firstPlace` on free.
  func setAllFree(places: Int, firstPlace: Int) {
    for word in 0..<pointee.wordCount {
      let bits = min(64, places - word * 64)
      freeBits[word] = bits == 64 ? ~0 : 1 << UInt64(bits) - 1
    }
    for place in 0..<firstPlace { freeBits[place >> 6] &= ~(1 << UInt64(place & 63)) }
  }

  /// Takes a free object, the lowest one; the slab must have one. O(words), from a hint, and, if it is
  /// handed out for the first time in foreign memory, O(object size), at least 1 KiB at a time.
  func takeObject(placeBytes: Int) -> UInt {
    var word = Int(pointee.firstWord)
    while freeBits[word] == 0 { word += 1 }
    let bits = freeBits[word]
    freeBits[word] = bits & (bits &- 1)
    pointee.firstWord = UInt8(word)
    pointee.inUse += 1
    let place = word * 64 + bits.trailingZeroBitCount
    if place == Int(pointee.firstUncleared) { clearPlace(placeBytes: placeBytes) }
    return pointee.address + UInt(place * placeBytes)
  }

  /// Takes free objects, the lowest ones, as many as there are or as the buffer has room for; how many. Each word
  /// of bits is written once. O(words + objects), and O(object size) as above.
  func takeObjects(into objects: UnsafeMutableBufferPointer<UInt>, placeBytes: Int) -> Int {
    let most = min(objects.count, Int(pointee.objectCount - pointee.inUse))
    guard most > 0 else { return 0 }
    var taken = 0
    var word = Int(pointee.firstWord)
    var last = 0
    while true {
      var bits = freeBits[word]
      let first = pointee.address + UInt(word * 64 * placeBytes)
      while bits != 0, taken < most {
        last = bits.trailingZeroBitCount
        // SAFETY: taken < most <= count.
        unsafe objects[taken] = first + UInt(last * placeBytes)
        bits &= bits &- 1
        taken += 1
      }
      freeBits[word] = bits
      if taken == most { break }
      word += 1
    }
    pointee.firstWord = UInt8(word)
    pointee.inUse += UInt16(taken)
    while word * 64 + last >= Int(pointee.firstUncleared) { clearPlace(placeBytes: placeBytes) }
    return taken
  }

  /// Whether there is something of another tenant left in the run.
  var isForeign: Bool { pointee.firstUncleared != Slab.allCleared }

  /// Clears the first place that is not, and as many behind it as are cleared at once; with the last
  /// one what is left of the run.
  private func clearPlace(placeBytes: Int) {
    let place = Int(pointee.firstUncleared)
    let runBytes = UnitMap.unitBytes * units
    let start = place * placeBytes
    let next = place + max(1, Slab.clearedAtOnce / placeBytes)
    if next < Int(pointee.objectCount) {
      pointee.firstUncleared = UInt16(next)
      zeroMemory(at: pointee.address + UInt(start), bytes: (next - place) * placeBytes)
    } else {
      pointee.firstUncleared = Slab.allCleared
      zeroMemory(at: pointee.address + UInt(start), bytes: runBytes - start)
    }
  }

  /// Puts the objects of a word's places back; false if one of them is there already. O(1).
  func putObjects(bits: UInt64, ofWord word: Int) -> Bool {
    let count = UInt16(bits.nonzeroBitCount)
    guard freeBits[word] & bits == 0, pointee.inUse >= count else { return false }
    freeBits[word] |= bits
    if word < Int(pointee.firstWord) { pointee.firstWord = UInt8(word) }
    pointee.inUse -= count
    return true
  }

  /// Whether a place's object is in the slab.
  func isFree(place: Int) -> Bool { freeBits[place >> 6] & 1 << UInt64(place & 63) != 0 }

  /// Free objects by the bits; for checks.
  var countedFreeObjects: Int {
    var count = 0
    for word in 0..<pointee.wordCount { count += freeBits[word].nonzeroBitCount }
    return count
  }
}
