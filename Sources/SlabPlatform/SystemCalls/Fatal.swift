// The end of a process that broke the allocator's contract. The line is written by write(2) and
// the process aborts, in debug and in release alike: going on would hand one object to two owners.

internal import CSlabPlatform

/// Writes `slab: <message>` to standard error and aborts.
@usableFromInline @inline(never)
package func fatal(_ message: StaticString) -> Never {
  // In one call, so that the lines of two threads do not mix.
  var line = InlineArray<256, UInt8>(repeating: 0)
  var count = 0
  append("slab: ", to: &line, &count)
  append(message, to: &line, &count)
  append("\n", to: &line, &count)
  // SAFETY: write(2) reads `count` bytes of the line.
  _ = unsafe line.span.withUnsafeBytes { bytes in unsafe slab_write(2, bytes.baseAddress, count) }
  slab_abort()
}

private func append(
  _ text: StaticString, to line: inout InlineArray<256, UInt8>, _ count: inout Int
) {
  // SAFETY: static strings are immortal; the index is below their count.
  for index in 0..<text.utf8CodeUnitCount where count < 256 {
    line[count] = unsafe text.utf8Start[index]
    count += 1
  }
}

/// An internal invariant that is cheap to check: checked in debug builds only.
@inlinable @inline(__always)
package func invariant(_ condition: @autoclosure () -> Bool, _ message: StaticString) {
  #if DEBUG
    if !condition() { fatal(message) }
  #endif
}
