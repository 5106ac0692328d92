// A slab: a run of 2^order units cut into equal objects, owned by one cache for its whole life.
//
// The descriptor lies outside the run. Free objects are bits in it, not links in the objects: so
// an object's owner can overwrite nothing of ours, a free touches no memory of the object, and a
// second free of an object that is back in its slab is seen for certain.
//
// Descriptors are objects of the core's own caches: 64 bytes with room for 192 bits, 128 bytes for
// slabs of more objects (those of 8 and 16 bytes). A slab of those two caches carries its own
// descriptor in its first slot; so the recursion ends, and they shrink like any other cache.
//
// Everything here changes under the cache's lock, except while the slab is being made or given
// back, when it is its maker's.

internal import SlabPlatform

@usableFromInline
package struct Slab: ~Copyable {
  /// The owner, set once.
  let cache: Pointer<Cache>
  /// Neighbours on the cache's partial list; `next` also chains slabs that are on their way back. The
  /// two words are the callback's head while the slab of a type-safe cache waits for a grace period.
  var next: Pointer<Slab>? = nil
  var previous: Pointer<Slab>? = nil
  /// Where the run begins.
  let address: UInt
  /// Objects that are with users or in sheaves.
  var inUse: UInt16 = 0
  /// Objects that the slab can hand out.
  let objectCount: UInt16
  /// The first slot that may hold another tenant's bytes, as all behind it may; `allCleared` if none
  /// does. Objects are handed out lowest first, so that those below have been.
  var firstUncleared: UInt16
  /// log2 of the run's units, and, in the upper half, the words of `freeBits` in use.
  private let orderAndWords: UInt8
  /// The first word that may have a bit set.
  var firstWord: UInt8 = 0
  // Behind it, `wordCount` words: a bit for each object, set if it is free.

  /// log2 of the run's units.
  var order: Int { Int(orderAndWords & 15) }
  var wordCount: Int { Int(orderAndWords >> 4) }

  init(
    cache: Pointer<Cache>, address: UInt, slots: Int, order: Int, firstSlot: Int, isForeign: Bool
  ) {
    self.cache = cache
    self.address = address
    orderAndWords = UInt8((slots + 63) / 64) << 4 | UInt8(order)
    objectCount = UInt16(slots - firstSlot)
    firstUncleared = isForeign ? 0 : Self.allCleared
  }

  /// Bytes of a descriptor for slabs of up to 192 and of up to 704 objects.
  static var descriptorBytes: Int { 64 }
  static var wideDescriptorBytes: Int { 128 }
  static var allCleared: UInt16 { .max }
  static var slotsOfDescriptor: Int { (descriptorBytes - 40) * 8 }
  static var slotsOfWideDescriptor: Int { (wideDescriptorBytes - 40) * 8 }
}

extension Pointer where Pointee == Slab {
  private static var callbackOffset: UInt { 8 }

  var callback: Pointer<GracePeriodCallback> {
    Pointer<GracePeriodCallback>(nonzeroAddress: address + Self.callbackOffset)
  }

  /// The slab whose callback's head is there.
  init(callback: UInt) { self.init(nonzeroAddress: callback - Self.callbackOffset) }

  private var freeBits: Words { Words(at: address + 40) }

  var hasFreeObjects: Bool { pointee.inUse < pointee.objectCount }

  /// Makes every object from `firstSlot` on free.
  func setAllFree(slots: Int, firstSlot: Int) {
    for word in 0..<pointee.wordCount {
      let bits = min(64, slots - word * 64)
      freeBits[word] = bits == 64 ? ~0 : 1 << UInt64(bits) - 1
    }
    for slot in 0..<firstSlot { freeBits[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
  }

  /// Takes a free object, the lowest one; the slab must have one. O(words), from a hint, and, if it is
  /// handed out for the first time in foreign memory, O(object size).
  func takeObject(slotBytes: Int) -> UInt {
    var word = Int(pointee.firstWord)
    while freeBits[word] == 0 { word += 1 }
    let bits = freeBits[word]
    freeBits[word] = bits & (bits &- 1)
    pointee.firstWord = UInt8(word)
    pointee.inUse += 1
    let slot = word * 64 + bits.trailingZeroBitCount
    if slot == Int(pointee.firstUncleared) { clearSlot(slotBytes: slotBytes) }
    return pointee.address + UInt(slot * slotBytes)
  }

  /// Whether there is something of another tenant left in the run.
  var isForeign: Bool { pointee.firstUncleared != Slab.allCleared }

  /// Clears the first slot that is not, and with the last one what is left of the run behind it.
  private func clearSlot(slotBytes: Int) {
    let slot = Int(pointee.firstUncleared)
    var bytes = slotBytes
    pointee.firstUncleared += 1
    if slot + 1 == Int(pointee.objectCount) {
      pointee.firstUncleared = Slab.allCleared
      bytes = UnitMap.unitBytes << pointee.order - slot * slotBytes
    }
    zeroMemory(at: pointee.address + UInt(slot * slotBytes), bytes: bytes)
  }

  /// Puts the object of a slot back; false if it is there already. O(1).
  func putObject(slot: Int) -> Bool {
    let word = slot >> 6
    let bit: UInt64 = 1 << UInt64(slot & 63)
    guard freeBits[word] & bit == 0, pointee.inUse > 0 else { return false }
    freeBits[word] |= bit
    if word < Int(pointee.firstWord) { pointee.firstWord = UInt8(word) }
    pointee.inUse -= 1
    return true
  }

  /// Whether a slot's object is in the slab.
  func isFree(slot: Int) -> Bool { freeBits[slot >> 6] & 1 << UInt64(slot & 63) != 0 }

  /// Free objects by the bits; for checks.
  var countedFreeObjects: Int {
    var count = 0
    for word in 0..<pointee.wordCount { count += freeBits[word].nonzeroBitCount }
    return count
  }
}
