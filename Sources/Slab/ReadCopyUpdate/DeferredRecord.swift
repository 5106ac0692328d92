// SPDX-License-Identifier: Apache-2.0
internal import SlabCore
internal import SlabPlatform

/// What waits for a grace period, in memory of the core's, which ends with the call: a free needs nothing
/// of the heap, which may have nothing left.
@safe
struct DeferredRecord: ~Copyable {
  /// First: its address is the record's.
  private var head = GracePeriodCallback()
  private let allocator: Allocator
  private let work: Work

  @safe
  private enum Work {
    case end(UInt, any ObjectEnd.Type)
    case resume(UnsafeContinuation<Void, Never>)
  }

  private init(_ work: Work, _ allocator: Allocator) {
    self.work = work
    self.allocator = allocator
  }

  /// Ends an object that counts as deferred, after a grace period, on a thread of the allocator's. Without
  /// memory for the record the caller waits for it, and ends the object.
  static func end(_ object: UInt, by type: any ObjectEnd.Type, after allocator: Allocator) {
    if let head = make(.end(object, type), allocator) {
      unsafe allocator.call(head, run)
    } else if allocator.waitWithoutRecord() {
      type.end(object)
      allocator.freeDeferred(object)
    } else {
      allocator.loseDeferred(object)
    }
  }

  /// Resumes a task after a grace period.
  static func resume(
    _ continuation: UnsafeContinuation<Void, Never>, after allocator: Allocator
  ) {
    if let head = unsafe make(.resume(continuation), allocator) {
      unsafe allocator.call(head, run)
    } else {
      allocator.synchronize()
      unsafe continuation.resume()
    }
  }

  /// Resumes a task after a barrier, on a thread of the allocator's or, if that waits for nothing, here.
  static func resume(
    _ continuation: UnsafeContinuation<Void, Never>, afterBarrierOf allocator: Allocator
  ) {
    if let head = unsafe make(.resume(continuation), allocator) {
      unsafe allocator.barrier(callingAfter: head, run)
    } else {
      allocator.barrier()
      unsafe continuation.resume()
    }
  }

  private static func make(
    _ work: Work, _ allocator: Allocator
  ) -> Pointer<GracePeriodCallback>? {
    guard
      let address = try? allocator.allocateRecord(bytes: MemoryLayout<DeferredRecord>.size),
      // SAFETY: the object is ours, and as large as asked for.
      let record = unsafe Pointer<DeferredRecord>(address: address)
    else { return nil }
    // SAFETY: the record is ours and large enough.
    unsafe record.unsafePointer.initialize(to: DeferredRecord(work, allocator))
    // SAFETY: as above.
    return unsafe Pointer(address: address)
  }

  private static let run: GracePeriodCallback.Function = { head in
    // SAFETY: the head is the first field of the record, which is ours again.
    let record = unsafe head.assumingMemoryBound(to: DeferredRecord.self).move()
    record.allocator.freeRecord(UInt(bitPattern: head))
    switch record.work {
    case .end(let object, let type):
      type.end(object)
      record.allocator.freeDeferred(object)
    case .resume(let continuation): unsafe continuation.resume()
    }
  }
}

/// How objects of a type end. The type and not a closure, which would be an allocation of the runtime's.
protocol ObjectEnd: SendableMetatype {
  /// Ends the object at an address, and leaves its memory.
  static func end(_ object: UInt)
}

enum EndOfObject<Object: ~Copyable>: ObjectEnd {
  static func end(_ object: UInt) { _ = Slot<Object>(uninitializedAt: object).endObject() }
}
