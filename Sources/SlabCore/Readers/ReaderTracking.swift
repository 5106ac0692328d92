// SPDX-License-Identifier: Apache-2.0
// Which sections are open: with `tracksReaders` each open section has a record, so that a grace period that waits
// too long can say where the oldest section began, and a thread that waits for its own section is
// found before it hangs. It costs a lock and an allocation per section; without it a stall says how
// many sections are open, and for how long.

internal import SlabPlatform
internal import Synchronization

/// The tracking lock.
enum TrackingLock: LockClassOfFork { static var rank: LockRank { .tracking } }

struct ReaderTracking: ~Copyable {
  let lock = RankedLock<TrackingLock>()
  /// Under `lock`: the newest record.
  var newest: Pointer<ReaderRecord>? = nil
}

struct ReaderRecord: ~Copyable {
  /// The neighbours, under the lock.
  var older: Pointer<ReaderRecord>?
  var newer: Pointer<ReaderRecord>? = nil
  /// The section's `begun` counter.
  let begun: UInt
  /// 0 if it may end on another thread, or was begun before a fork.
  var thread: UInt
  /// Whether it was begun before a fork: then no thread waits for it.
  var isInherited = false
  let nanoseconds: UInt64
  let file: StaticString
  let line: UInt32
}

extension Pointer where Pointee: HasReaders & ~Copyable {
  /// Makes the record of a section that has been counted; `nil` without memory for it.
  func track(begun: UInt, suspends: Bool, file: StaticString, line: UInt32) -> UInt? {
    // SAFETY: the object is ours, of the cache of these descriptors.
    guard
      let address = try? allocateInternal(bytes: MemoryLayout<ReaderRecord>.size),
      let record = unsafe Pointer<ReaderRecord>(address: address)
    else { return nil }
    let lock = readers.pointee.tracking.lock.lock()
    let older = readers.pointee.tracking.newest
    // SAFETY: the object is ours and large enough.
    unsafe record.unsafePointer.initialize(
      to: ReaderRecord(
        older: older, begun: begun, thread: suspends ? 0 : Threads.identity,
        nanoseconds: SystemCall.monotonicNanoseconds, file: file, line: line))
    older?.pointee.newer = record
    readers.pointee.tracking.newest = record
    lock.unlock()
    return address
  }

  /// Forgets the record of a section that ends; its `begun` counter.
  func untrack(record address: UInt) -> UInt {
    let lock = readers.pointee.tracking.lock.lock()
    var candidate = readers.pointee.tracking.newest
    while let record = candidate, record.address != address { candidate = record.pointee.older }
    guard let record = candidate else { fatal("reader: a section was ended that is not open") }
    let begun = record.pointee.begun
    if let newer = record.pointee.newer {
      newer.pointee.older = record.pointee.older
    } else {
      readers.pointee.tracking.newest = record.pointee.older
    }
    record.pointee.older?.pointee.newer = record.pointee.newer
    lock.unlock()
    freeInternal(address)
    return begun
  }

  /// Appends where the oldest open section began, and when, as far as it is known.
  func describeOldestSection(in line: inout ErrorLine) {
    let lock = readers.pointee.tracking.lock.lock()
    var oldest = readers.pointee.tracking.newest
    while let record = oldest, let older = record.pointee.older, !older.pointee.isInherited {
      oldest = older
    }
    if let record = oldest, !record.pointee.isInherited {
      let age = SystemCall.monotonicNanoseconds &- record.pointee.nanoseconds
      line.append("; the oldest began at ")
      line.append(record.pointee.file)
      line.append(":")
      line.append(UInt64(record.pointee.line))
      line.append(", ")
      line.append(age / 1_000_000)
      line.append(" ms ago")
    }
    lock.unlock()
  }

  /// In a child of fork: the threads of the records are gone, or in no section any more, and new ones
  /// may have their identities. The records stay: a section of this thread may still end.
  func forgetSectionsAfterFork() {
    var record = readers.pointee.tracking.newest
    while let open = record {
      open.pointee.thread = 0
      open.pointee.isInherited = true
      record = open.pointee.older
    }
  }

  /// Ends the process if this thread would wait for a section of its own, where that is known.
  func checkNotReading() {
    guard readers.pointee.isTracked else { return }
    let identity = Threads.identity
    let lock = readers.pointee.tracking.lock.lock()
    var record = readers.pointee.tracking.newest
    while let open = record, open.pointee.thread != identity { record = open.pointee.older }
    guard let own = record else {
      return lock.unlock()
    }
    var line = ErrorLine()
    line.append("reader: this thread would wait for its own section, which began at ")
    line.append(own.pointee.file)
    line.append(":")
    line.append(UInt64(own.pointee.line))
    line.append(" (deadlock)")
    line.end()
  }
}
