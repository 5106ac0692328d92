// The end of a process that broke the allocator's contract. The line is written by write(2) and
// the process aborts, in debug and in release alike: going on would hand one object to two owners.

internal import CSlabPlatform

/// Writes `slab: <message>` to standard error and aborts.
@usableFromInline @inline(never)
package func fatal(_ message: StaticString) -> Never {
  // SAFETY: static strings are immortal; write(2) reads `utf8CodeUnitCount` bytes of them.
  let prefix: StaticString = "slab: "
  let newline: StaticString = "\n"
  _ = unsafe slab_write(2, prefix.utf8Start, prefix.utf8CodeUnitCount)
  _ = unsafe slab_write(2, message.utf8Start, message.utf8CodeUnitCount)
  _ = unsafe slab_write(2, newline.utf8Start, newline.utf8CodeUnitCount)
  slab_abort()
}

/// An internal invariant that is cheap to check: checked in debug builds only.
@inlinable @inline(__always)
package func invariant(_ condition: @autoclosure () -> Bool, _ message: StaticString) {
  #if DEBUG
    if !condition() { fatal(message) }
  #endif
}
