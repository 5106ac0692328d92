// SPDX-License-Identifier: Apache-2.0
// Groups that share slabs: what the front has of them at hand, and what it leaves to the core (CSlabMalloc/shared.c).
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

internal import CSlabMalloc
internal import SlabCore
internal import SlabPlatform

/// After the slow path has allocated an object in a group that shares: from now on the front does it. A few loads.
func keepShared(_ object: UInt, ofSizeClass index: Int, in group: Pointer<Group>) {
  if slab_malloc_has_shared(1 + index) == 0 { putShared(object, ofSizeClass: index, in: group) }
  group.keepPayerForMalloc()
}

private func putShared(_ object: UInt, ofSizeClass index: Int, in group: Pointer<Group>) {
  guard
    let shared = SharedHeap.allocator!.sharedForMalloc(object, ofSizeClass: index, in: group)
  else { return }
  guard slab_malloc_reads_shared(object, shared.cache, shared.payer, shared.ended) != 0 else {
    fatal("malloc: unexpected layout of a shared slab")
  }
  slab_malloc_put_shared(
    1 + index, shared.cache, shared.stocks, shared.lineMask, shared.ends, shared.most)
}

@c @implementation
public func slab_malloc_core_give_back(_ payer: UInt32, _ bytes: UInt32) {
  SharedHeap.allocator!.giveBackForMalloc(Int(bytes), toPayer: payer)
}

@c @implementation
public func slab_malloc_core_settle(_ word: UInt) {
  SharedHeap.allocator!.settleForMalloc(stockAt: word)
}
