// SPDX-License-Identifier: Apache-2.0
// Objects that a callback of the caller's frees: they count as deferred until it does. And memory for the
// callback's record.

package import SlabPlatform

extension Pointer where Pointee: HasDeferred & ~Copyable {
  /// Counts an object as one that is freed after a grace period, by a callback of the caller's. It has no
  /// user from here on, so `destroy` of its cache is not refused for it. The callback calls
  /// `freeDeferred`. O(depth of its group); takes a short lock.
  package func deferObject(_ object: UInt) {
    guard let cache = cache(of: object) else { reportForeignPointer() }
    cache.pointee.root.add(1, to: RootCache.Sum.deferred)
    unsafe withOneObject(object) { unsafe cache.countAwaiting(1, of: $0) }
  }

  /// Frees an object that was counted so. As `free`; may wait for a thread that counts live objects.
  package func freeDeferred(_ object: UInt) {
    unsafe withOneObject(object) { unsafe freeDeferred($0) }
  }

  /// Memory for the record of a call after a grace period: of the core, not of the heap, and charged to no group. Goes
  /// back by `freeRecord`.
  package func allocateRecord(bytes: Int) throws(AllocatorError) -> UInt {
    try allocateInternal(bytes: bytes)
  }

  package func freeRecord(_ record: UInt) { freeInternal(record) }

  /// Where there is no memory for a record: waits for a grace period, which may be that of the caller's own
  /// section, and so with a bound. False if it is not over.
  package func waitWithoutRecord() -> Bool {
    waitForGracePeriod(
      gracePeriodSnapshot(),
      until: SystemCall.monotonicNanoseconds + DeferredFrees.patienceNanoseconds)
  }

  /// Where that did not help: the object that was counted as deferred stays what it is, for ever. Reports it.
  package func loseDeferred(_ object: UInt) {
    let cache = cache(of: object)
    cache?.pointee.root.add(-1, to: RootCache.Sum.deferred)
    if let cache { unsafe withOneObject(object) { unsafe cache.countAwaiting(-1, of: $0) } }
    var line = ErrorLine()
    line.append("freeAfterGracePeriod: no memory for a record, and a section did not end within ")
    line.append(DeferredFrees.patienceNanoseconds / 1_000_000)
    line.append(" ms: an object is lost")
    line.write()
  }
}
