// SPDX-License-Identifier: Apache-2.0
// How values are printed: by the kernel, by its option `fields`, and by the tools.

/// The address of an object, as far as the recording tells it.
enum KernelAddress: Equatable {
  case object(UInt64)
  case null
  /// `(____ptrval____)`, early after the start of the machine, and pointers that the kernel found bad.
  case untold
}

extension Span where Element == UInt8 {
  /// Reads the value of `ptr=`, and moves `offset` behind it. The kernel prints it in hexadecimal,
  /// perf and trace-cmd with `0x`; a null pointer is zeros, `(null)`, padded to the width of a pointer,
  /// or `(nil)`.
  func kernelAddress(at offset: inout Int) -> KernelAddress? {
    if let address = hexadecimal(at: &offset) {
      skipExplanation(at: &offset)
      return address == 0 ? .null : .object(address)
    }
    var end = skippingBlanks(from: offset)
    guard has(Byte.openParenthesis, at: end) else { return nil }
    for (text, address) in Self.words where has(text, at: end) {
      end += text.utf8CodeUnitCount
      offset = end
      return address
    }
    return nil
  }

  private static var words: [(StaticString, KernelAddress)] {
    [
      ("(null)", .null), ("(nil)", .null), ("(____ptrval____)", .untold), ("(ptrval)", .untold),
      ("(efault)", .untold), ("(einval)", .untold),
    ]
  }

  /// Reads a number in decimal, or in hexadecimal with `0x`, and what explains it: `0x60 (96)`.
  func fieldNumber(at offset: inout Int) -> UInt64? {
    guard hasHexadecimalPrefix(at: offset) else { return decimal(at: &offset) }
    let number = hexadecimal(at: &offset)
    skipExplanation(at: &offset)
    return number
  }

  /// The number behind the first `name` from `start` on.
  func fieldNumber(_ name: StaticString, from start: Int) -> UInt64? {
    guard let field = firstIndex(of: name, from: start) else { return nil }
    var offset = field + name.utf8CodeUnitCount
    return fieldNumber(at: &offset)
  }

  /// Skips ` (96)` or ` (d_alloc+0x24/0x1f0)`, if it is there.
  private func skipExplanation(at offset: inout Int) {
    guard has(Byte.openParenthesis, at: offset + 1), has(Byte.blank, at: offset),
      let end = firstIndex(of: Byte.closeParenthesis, from: offset)
    else { return }
    offset = end + 1
  }

  /// Whether flags are printed as a number other than 0.
  func isFlagNumber(at offset: Int) -> Bool {
    guard offset < count, Byte.isDigit(self[offset]) else { return false }
    var end = offset
    return fieldNumber(at: &end) != 0
  }
}
