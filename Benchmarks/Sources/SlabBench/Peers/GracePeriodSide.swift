// SPDX-License-Identifier: Apache-2.0
// Who has reader grace periods: slab, and liburcu where the trait `urcu` is on.

import CBenchmark
import Glibc
import Slab

#if urcu
  import CUserspaceRCU
#endif

/// The loops of a side are its own language's, with its read side inlined.
protocol GracePeriodSide: Sendable {
  var name: String { get }
  /// The calling thread will read or call; and will not any more.
  func register()
  func unregister()
  /// Begins and ends as many read-side sections.
  func read(pairs: Int)
  func synchronize()
  func barrier()
  /// Queues a callback that does nothing on each head of an array of heads of 16 bytes, by address.
  @unsafe func callEmpty(heads: UInt, count: Int)
  /// As many times: allocates an object, and queues a callback that frees it.
  func callFree(bytes: Int, count: Int)
  /// Callbacks that have run.
  var ran: Int { get }
}

struct SlabSide: GracePeriodSide {
  let allocator: SlabAllocator
  let cache: RawSlabCache
  let group: MemoryGroup

  static var headBytes: Int { 16 }

  init(objectBytes: Int) throws(SlabError) {
    allocator = .shared
    cache = try RawSlabCache(named: "object", objectSize: objectBytes, of: allocator)
    group = try allocator.makeTenant("tenant")
  }

  var name: String { "slab" }
  func register() {}
  func unregister() {}

  @inline(never)
  func read(pairs: Int) {
    for _ in 0..<pairs {
      allocator.read { bench_order() }
    }
  }

  func synchronize() { allocator.synchronize() }
  func barrier() { allocator.barrier() }

  func callEmpty(heads: UInt, count: Int) {
    for index in 0..<count {
      // SAFETY: the array has `count` heads.
      let head = unsafe UnsafeMutableRawPointer(bitPattern: heads)! + index * Self.headBytes
      unsafe allocator.callAfterGracePeriod(head) { _ in bench_note_callback() }
    }
  }

  func callFree(bytes: Int, count: Int) {
    for _ in 0..<count {
      // SAFETY: the object is ours until its callback, and has room for a head.
      let object = try! unsafe cache.allocate(in: group)
      unsafe allocator.callAfterGracePeriod(object) { object in
        unsafe SlabAllocator.shared.free(object)
        bench_note_callback()
      }
    }
  }

  var ran: Int { bench_callbacks() }

  /// As many times: allocates an object, and frees it after a grace period.
  func freeAfterGracePeriod(count: Int) {
    for _ in 0..<count {
      // SAFETY: the object is ours, and freed once.
      let object = try! unsafe cache.allocate(in: group)
      unsafe bench_sink(object)
      unsafe allocator.freeAfterGracePeriod(object)
    }
  }
}

enum GracePeriodPeers {
  /// Flavours of liburcu that this program was built with.
  static var all: [any GracePeriodSide] {
    #if urcu
      [MembSide(), BPSide()]
    #else
      []
    #endif
  }
}

#if urcu
  struct MembSide: GracePeriodSide {
    var name: String { "memb" }
    func register() { bench_memb_register() }
    func unregister() { bench_memb_unregister() }
    func read(pairs: Int) { bench_memb_read(pairs) }
    func synchronize() { bench_memb_synchronize() }
    func barrier() { bench_memb_barrier() }
    func callEmpty(heads: UInt, count: Int) {
      unsafe bench_memb_call_empty(UnsafeMutableRawPointer(bitPattern: heads), count)
    }
    func callFree(bytes: Int, count: Int) { bench_memb_call_free(bytes, count) }
    var ran: Int { bench_memb_ran() }
  }

  struct BPSide: GracePeriodSide {
    var name: String { "bp" }
    func register() { bench_bp_register() }
    func unregister() { bench_bp_unregister() }
    func read(pairs: Int) { bench_bp_read(pairs) }
    func synchronize() { bench_bp_synchronize() }
    func barrier() { bench_bp_barrier() }
    func callEmpty(heads: UInt, count: Int) {
      unsafe bench_bp_call_empty(UnsafeMutableRawPointer(bitPattern: heads), count)
    }
    func callFree(bytes: Int, count: Int) { bench_bp_call_free(bytes, count) }
    var ran: Int { bench_bp_ran() }
  }
#endif
