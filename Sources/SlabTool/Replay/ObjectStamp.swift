// SPDX-License-Identifier: Apache-2.0
// The pattern at both ends of a replayed object. It differs between objects that live at the
// same time and between the lives of one place, so an object that overlaps another one, or that
// is handed out twice, is found when it is freed.

struct ObjectStamp {
  private let pattern: UInt64
  private let objectBytes: Int

  init(place: Int, copy: Int, generation: UInt32, objectBytes: Int) {
    let origin = UInt64(place) << 32 ^ UInt64(copy) << 16 ^ UInt64(generation)
    pattern = (origin &+ UInt64(objectBytes)) &* 0x9E37_79B9_7F4A_7C15
    self.objectBytes = objectBytes
  }

  /// Writes the pattern at both ends.
  ///
  /// - Precondition: `object` has `objectBytes` writable bytes.
  @unsafe func write(to object: UnsafeMutableRawPointer) {
    // SAFETY: the words chosen fit into the object at each end.
    switch objectBytes {
    case 16...: unsafe write(UInt64.self, to: object)
    case 8...: unsafe write(UInt32.self, to: object)
    default: unsafe write(UInt8.self, to: object)
    }
  }

  /// Whether the pattern still stands at both ends.
  ///
  /// - Precondition: `object` has `objectBytes` readable bytes.
  @unsafe func isIntact(in object: UnsafeRawPointer) -> Bool {
    // SAFETY: as above.
    switch objectBytes {
    case 16...: unsafe isIntact(UInt64.self, in: object)
    case 8...: unsafe isIntact(UInt32.self, in: object)
    default: unsafe isIntact(UInt8.self, in: object)
    }
  }

  @unsafe private func write<Word: FixedWidthInteger>(
    _ type: Word.Type, to object: UnsafeMutableRawPointer
  ) {
    // SAFETY: the caller chose a word of which the object holds one at each end; storing needs
    // no alignment.
    unsafe object.storeBytes(of: word(type), as: type)
    unsafe object.storeBytes(of: word(type), toByteOffset: lastOffset(of: type), as: type)
  }

  @unsafe private func isIntact<Word: FixedWidthInteger>(
    _ type: Word.Type, in object: UnsafeRawPointer
  ) -> Bool {
    // SAFETY: as above, for loading.
    unsafe object.loadUnaligned(as: type) == word(type)
      && object.loadUnaligned(fromByteOffset: lastOffset(of: type), as: type) == word(type)
  }

  /// The pattern's upper bits, which depend on all of what it is made of.
  private func word<Word: FixedWidthInteger>(_ type: Word.Type) -> Word {
    Word(truncatingIfNeeded: pattern >> (64 - Word.bitWidth))
  }

  private func lastOffset<Word: FixedWidthInteger>(of type: Word.Type) -> Int {
    objectBytes - MemoryLayout<Word>.size
  }
}
