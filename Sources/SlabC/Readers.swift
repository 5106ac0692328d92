// SPDX-License-Identifier: Apache-2.0
// Read sections, and what waits for them.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CSlab
internal import SlabCore
internal import SlabPlatform

/// The allocator whose sections these are.
@inline(__always)
private var readers: Allocator {
  do throws(AllocatorError) { return try sharedAllocator() } catch { endWithoutAllocator() }
}

@inline(never)
private func endWithoutAllocator() -> Never {
  fatal("read section: there is no allocator to be had (see slab_start)")
}

@c @implementation
public func slab_read_begin() -> slab_section {
  slab_section(word: readers.beginReading(file: "slab.h", line: 0).word)
}

@c @implementation
public func slab_read_end(_ section: slab_section) {
  readers.endReading(ReaderSection(word: section.word))
}

@c @implementation
public func slab_synchronize() { readers.synchronize() }

@c @implementation
public func slab_barrier() { readers.barrier() }

@c @implementation
public func slab_free_deferred(_ block: UnsafeMutableRawPointer!) {
  guard let block = unsafe block else { return }
  readers.freeAfterGracePeriod(UInt(bitPattern: block))
}

@c @implementation
public func slab_call(
  _ head: UnsafeMutablePointer<slab_head>!,
  _ function: (@convention(c) (UnsafeMutablePointer<slab_head>?) -> Void)!
) {
  // SAFETY: the head is the caller's until the function is called, with its address; both functions take a pointer
  // and answer nothing.
  unsafe readers.call(
    Pointer(nonzeroAddress: UInt(bitPattern: head)),
    unsafeBitCast(function, to: GracePeriodCallback.Function.self))
}
