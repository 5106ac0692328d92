// SPDX-License-Identifier: Apache-2.0
// The loops of `api`: pairs of allocation and end, each written as its users write it. All write the
// same 64 bytes and show the object to an opaque sink.

import CBenchmark
import Slab

/// An object of 64 bytes without references.
struct Payload: Sendable {
  var words = InlineArray<8, UInt>(repeating: 1)
}

/// The same as an instance of a class.
final class PayloadObject {
  let payload: Payload

  init(_ payload: Payload) { self.payload = payload }
}

struct APILoops: Sendable {
  static var batch: Int { 300 }

  let raw: RawSlabCache
  let typed: SlabCache<Payload>
  let shared: SlabCache<SharedObject<Payload>>
  let group: MemoryGroup
  let payload = Payload()

  /// Of the shared allocator: objects of others are found more slowly.
  init() throws {
    raw = try RawSlabCache(named: "raw-64", objectSize: MemoryLayout<Payload>.size)
    typed = try SlabCache(named: "object-64")
    shared = try SlabCache(named: "shared-64")
    group = try SlabAllocator.shared.makeTenant("tenant")
  }

  // MARK: - What all do

  @inline(never)
  func slots(pairs: Int) {
    for _ in 0..<pairs {
      let slot = try! typed.allocate(payload, in: group)
      show(slot)
    }
  }

  /// Charged to the current group.
  @inline(never)
  func slotsOfCurrentGroup(pairs: Int) {
    for _ in 0..<pairs {
      let slot = try! typed.allocate(payload)
      show(slot)
    }
  }

  @inline(never)
  func rawObjects(pairs: Int) {
    for _ in 0..<pairs {
      // SAFETY: the object is ours from here to its free, and has room for the payload.
      let object = try! unsafe raw.allocate(in: group)
      unsafe object.initializeMemory(as: Payload.self, to: payload)
      unsafe bench_sink(object)
      unsafe raw.free(object)
    }
  }

  @inline(never)
  func classInstances(pairs: Int) {
    for _ in 0..<pairs {
      let object = PayloadObject(payload)
      // SAFETY: only its address is taken, while it lives.
      withExtendedLifetime(object) {
        unsafe bench_sink(Unmanaged.passUnretained(object).toOpaque())
      }
    }
  }

  @inline(never)
  func pointers(pairs: Int) {
    for _ in 0..<pairs {
      // SAFETY: allocated, initialised, ended and freed once each.
      let object = UnsafeMutablePointer<Payload>.allocate(capacity: 1)
      unsafe object.initialize(to: payload)
      unsafe bench_sink(object)
      unsafe object.deinitialize(count: 1)
      unsafe object.deallocate()
    }
  }

  // MARK: - What only slab has

  @inline(never)
  func sharedSlots(pairs: Int) {
    for _ in 0..<pairs {
      let slot = try! shared.allocate(sharing: payload, in: group)
      bench_order()
      _ = consume slot
    }
  }

  @inline(never)
  func bulk(pairs: Int) {
    let slots = UnsafeMutableBufferPointer<Slot<Payload>>.allocate(capacity: Self.batch)
    defer { unsafe slots.deallocate() }
    for _ in 0..<pairs / Self.batch {
      // SAFETY: the buffer is ours; the span fills it, and is empty again at the end.
      var span = unsafe OutputSpan(buffer: slots, initializedCount: 0)
      try! typed.allocate(filling: &span, in: group) { _ in payload }
      unsafe bench_sink(slots.baseAddress)
      SlabCache<Payload>.free(&span)
      _ = unsafe span.finalize(for: slots)
    }
  }

  @inline(never)
  func sections(pairs: Int) {
    for _ in 0..<pairs { section() }
  }

  /// Not inlined: a loop would look up the shared allocator once for all sections.
  @inline(never)
  private func section() { RCU.read { bench_order() } }

  private func show(_ slot: borrowing Slot<Payload>) {
    // SAFETY: the address is shown and not used.
    unsafe slot.span.withUnsafeBufferPointer { unsafe bench_sink($0.baseAddress) }
  }
}
