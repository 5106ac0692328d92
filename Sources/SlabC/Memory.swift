// SPDX-License-Identifier: Apache-2.0
// Memory of any size, from the size classes.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CSlab
internal import SlabCore
internal import SlabPlatform

@c @implementation
public func slab_allocate(
  _ group: OpaquePointer!, _ size: Int, _ error: UnsafeMutablePointer<slab_error>!
) -> UnsafeMutableRawPointer! {
  unsafe block(error) { () throws(AllocatorError) in
    let group = unsafe try groupOrCurrent(group)
    return try Allocator(of: group).allocate(bytes: size, in: group)
  }
}

@c @implementation
public func slab_allocate_aligned(
  _ group: OpaquePointer!, _ size: Int, _ alignment: Int, _ error: UnsafeMutablePointer<slab_error>!
) -> UnsafeMutableRawPointer! {
  unsafe block(error) { () throws(AllocatorError) in
    let group = unsafe try groupOrCurrent(group)
    return try Allocator(of: group).allocate(bytes: size, alignment: alignment, in: group)
  }
}

@c @implementation
public func slab_reallocate(
  _ group: OpaquePointer!, _ old: UnsafeMutableRawPointer!, _ size: Int,
  _ error: UnsafeMutablePointer<slab_error>!
) -> UnsafeMutableRawPointer! {
  guard let old = unsafe old else { return unsafe slab_allocate(group, size, error) }
  return unsafe block(error) { () throws(AllocatorError) in
    let group = unsafe try groupOrCurrent(group)
    return try Allocator(of: group).resize(
      UInt(bitPattern: old), toBytes: size, in: group)
  }
}

@c @implementation
public func slab_free(_ block: UnsafeMutableRawPointer!) {
  guard let block = unsafe block else { return }
  SharedHeap.free(UInt(bitPattern: block))
}

@c @implementation
public func slab_free_bulk(
  _ blocks: UnsafeMutablePointer<UnsafeMutableRawPointer?>!, _ count: Int
) {
  unsafe SharedHeap.free(bulk: addresses(blocks, count))
}

@c @implementation
public func slab_usable_size(_ block: UnsafeRawPointer!) -> Int { unsafe usableBytes(of: block) }

private func usableBytes(of block: UnsafeRawPointer) -> Int {
  let address = UInt(bitPattern: block)
  guard let allocator = SharedHeap.allocator else {
    fatal("usable size: no allocator has been made")
  }
  return allocator.usableBytes(of: address)
}
