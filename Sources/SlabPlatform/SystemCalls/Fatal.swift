// SPDX-License-Identifier: Apache-2.0
// The end of a process that broke the allocator's contract. The line is written by write(2) and
// the process aborts, in debug and in release alike: going on would hand one object to two owners.

internal import CSlabPlatform

/// Writes `slab: <message>` to standard error and aborts.
@usableFromInline @inline(never)
package func fatal(_ message: StaticString) -> Never {
  var line = ErrorLine()
  line.append(message)
  line.end()
}

/// A line for standard error, of at most 256 bytes, written by one write(2), so that the lines of two
/// threads do not mix.
///
/// Nothing of it is inlined: a line is written once, and the optimizer would unroll each text.
package struct ErrorLine {
  private var bytes = InlineArray<256, UInt8>(repeating: 0)
  private var count = 0

  /// Begins with `slab: `.
  package init() { append("slab: ") }

  @inline(never)
  package mutating func append(_ text: StaticString) {
    // SAFETY: static strings are immortal; the index is below their count.
    for index in 0..<text.utf8CodeUnitCount { append(unsafe text.utf8Start[index]) }
  }

  @inline(never)
  package mutating func append(_ number: UInt64) {
    if number >= 10 { append(number / 10) }
    append(UInt8(ascii: "0") + UInt8(number % 10))
  }

  @inline(never)
  package mutating func append(_ byte: UInt8) {
    guard count < 255 else { return }
    bytes[count] = byte
    count += 1
  }

  /// Writes the line and ends the process, as `fatal`.
  package mutating func end() -> Never {
    write()
    slab_abort()
  }

  /// Writes the line and its end.
  package mutating func write() {
    bytes[count] = UInt8(ascii: "\n")
    let length = count + 1
    // SAFETY: write(2) reads `length` bytes of the line, which has 256.
    _ = unsafe bytes.span.withUnsafeBytes { bytes in
      unsafe slab_write(2, bytes.baseAddress, length)
    }
  }
}

/// An internal invariant that is cheap to check: checked in debug builds only.
@inlinable @inline(__always)
package func invariant(_ condition: @autoclosure () -> Bool, _ message: StaticString) {
  #if DEBUG
    if !condition() { fatal(message) }
  #endif
}
