// SPDX-License-Identifier: Apache-2.0
// A debug build asks the language's runtime for types, at the first use of each, and the runtime has locks of its own
// under which it allocates. An allocation that it makes there must not ask for a type that is only being made. So what
// allocations and frees do is done once while the allocator is made: what the runtime allocates then is from
// CSlabMalloc's early.c. A release build asks for no type (.ci/heap_free).

#if DEBUG && !hasFeature(Embedded)
  internal import CSlabMalloc
  internal import SlabCore
  internal import SlabPlatform

  func rehearse(_ allocator: Allocator) {
    rehearseBlocks(in: 0)
    for memory in [MemoryPolicy.isolated, .shared] {
      rehearseLife(of: allocator, memory, max: Group.unlimited)
      rehearseLife(of: allocator, memory, max: 256 << 10)
    }
    rehearseDiscard(of: allocator)
    allocator.waitUntilIdle()
    _ = slab_malloc_core_trim()
  }

  // "rehearsal"
  private var name: InlineArray<9, UInt8> {
    [0x72, 0x65, 0x68, 0x65, 0x61, 0x72, 0x73, 0x61, 0x6c]
  }

  /// A group with one below it that end while blocks are live, which their parents are charged for then.
  private func rehearseLife(of allocator: Allocator, _ memory: MemoryPolicy, max: Int) {
    guard let parent = try? allocator.makeGroup(named: name.span, max: max, memory: memory) else {
      return
    }
    defer { allocator.release(parent) }
    guard let group = try? allocator.makeGroup(named: name.span, below: parent, memory: memory)
    else { return }
    allocator.watch(group)
    rehearseBlocks(in: group.address)
    // More than a CPU's sheaf holds, until the cache has a barn.
    for _ in 0..<12 { rehearseBlocks(in: group.address, 8192, count: 200) }
    _ = allocator.reclaim(bytes: 1, of: parent)
    let kept = takeBlocks(in: group.address)
    try? allocator.close(group)
    rehearseBlocks(in: group.address)
    while let changed = allocator.takeChangedGroupAtOnce() {
      allocator.putBackChangedGroup(changed)
    }
    allocator.unwatch(group)
    allocator.release(group)
    allocator.waitUntilIdle()
    freeBlocks(kept)
    // Callbacks, and blocks that are freed after a grace period.
    for _ in 0..<300 {
      var block: UInt = 0
      guard unsafe slab_malloc_core_allocate(parent.address, 64, 16, 0, &block) == 0 else { break }
      allocator.freeAfterGracePeriod(block)
    }
    allocator.barrier()
    try? allocator.close(parent)
  }

  private func rehearseDiscard(of allocator: Allocator) {
    guard let group = try? allocator.makeGroup(named: name.span) else { return }
    _ = takeBlocks(in: group.address)
    try? allocator.discard(group)
    allocator.release(group)
  }

  /// Of all sizes up to 1 MiB, in a list.
  private func takeBlocks(in group: UInt) -> UInt {
    var last: UInt = 0
    var bytes = 16
    while bytes <= 1 << 20 {
      var block: UInt = 0
      guard unsafe slab_malloc_core_allocate(group, bytes, 16, 0, &block) == 0 else { break }
      // SAFETY: the block is this function's, and large enough.
      unsafe UnsafeMutablePointer<UInt>(bitPattern: block)!.pointee = last
      last = block
      bytes *= 2
    }
    return last
  }

  private func freeBlocks(_ first: UInt) {
    var next = first
    while next != 0 {
      let block = next
      // SAFETY: a block of the list.
      next = unsafe UnsafeMutablePointer<UInt>(bitPattern: block)!.pointee
      slab_malloc_core_free(block)
    }
    slab_malloc_core_work()
  }

  /// Enough of a size that sheaves, and lists of slabs, become full and empty.
  private func rehearseBlocks(in group: UInt) {
    var bytes = 16
    while bytes <= 4 << 20 {
      rehearseBlocks(in: group, bytes, count: max(2, min(1000, (64 << 10) / bytes)))
      bytes *= 4
    }
  }

  private func rehearseBlocks(in group: UInt, _ bytes: Int, count: Int) {
    var last: UInt = 0
    for index in 0..<count {
      var block: UInt = 0
      let alignment = index % 8 == 7 ? 8192 : 16
      guard
        unsafe slab_malloc_core_allocate(group, bytes, alignment, CInt(index % 2), &block) == 0
      else { break }
      if index == 1, unsafe slab_malloc_core_resize(group, bytes * 3, &block) == 0 {
        _ = unsafe slab_malloc_core_resize(group, bytes, &block)
      }
      // In a list, each with the address of the one before in its first word.
      let words = unsafe UnsafeMutablePointer<UInt>(bitPattern: block)!
      unsafe words.pointee = last
      last = block
    }
    freeBlocks(last)
  }
#endif
