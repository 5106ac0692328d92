// SPDX-License-Identifier: Apache-2.0
// What a test writes into an object to see whether it stays the object's: every byte, from the
// object's address and a tag of its owner.

/// Fills an object with the pattern of its address and a tag.
package func fillObject(_ object: UInt, size: Int, tag: UInt64) {
  // SAFETY: the caller owns an object of that size.
  let bytes = unsafe UnsafeMutableRawPointer(bitPattern: object)!
  for index in 0..<size {
    unsafe bytes.storeBytes(
      of: patternByte(object, index, tag), toByteOffset: index, as: UInt8.self)
  }
}

/// Whether an object still has the pattern.
package func isFilled(_ object: UInt, size: Int, tag: UInt64) -> Bool {
  // SAFETY: the caller owns an object of that size.
  let bytes = unsafe UnsafeRawPointer(bitPattern: object)!
  for index in 0..<size
  where unsafe bytes.load(fromByteOffset: index, as: UInt8.self) != patternByte(object, index, tag)
  {
    return false
  }
  return true
}

private func patternByte(_ object: UInt, _ index: Int, _ tag: UInt64) -> UInt8 {
  UInt8(truncatingIfNeeded: (UInt64(object) >> 3) &+ tag &* 31 &+ UInt64(index))
}
