// SPDX-License-Identifier: Apache-2.0
// Caches: a handle is the address of the core's root cache, which is its user's alone.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CSlab
internal import SlabCore
internal import SlabPlatform

@c @implementation
public func slab_cache_create(
  _ name: UnsafePointer<CChar>!, _ size: Int, _ alignment: Int, _ options: UInt32,
  _ constructor: (@convention(c) (UnsafeMutableRawPointer?) -> Void)!,
  _ cache: UnsafeMutablePointer<OpaquePointer?>!
) -> slab_error {
  answer { () throws(AllocatorError) in
    let name = unsafe Text(name)
    guard name.isUTF8 else { throw .invalidName }
    guard alignment > 0 else { throw .invalidAlignment }
    let made = unsafe try sharedAllocator().makeCache(
      named: name.bytes, objectSize: size, alignment: alignment,
      options: SlabCacheOptions(options),
      constructor: unsafeBitCast(constructor, to: Constructor?.self))
    unsafe cache.pointee = made.handle
  }
}

extension SlabCacheOptions {
  fileprivate init(_ options: UInt32) throws(AllocatorError) {
    self = []
    for bit in 0..<UInt32(UInt32.bitWidth) where options & 1 << bit != 0 {
      switch UInt32(1) << bit {
      case UInt32(SLAB_HARDWARE_ALIGNED): insert(.hardwareCacheAligned)
      case UInt32(SLAB_TYPE_SAFE): insert(.typeSafe)
      case UInt32(SLAB_POISON): insert(.poison)
      default: throw .invalidOptions
      }
    }
  }
}

@c @implementation
public func slab_cache_destroy(_ cache: OpaquePointer!) -> slab_error {
  answer { () throws(AllocatorError) in
    let root = unsafe Pointer<RootCache>(cache)
    try Allocator(of: root.cache).destroy(CacheReference(root: root))
  }
}

@c @implementation
public func slab_cache_abandon(_ cache: OpaquePointer!) {
  guard let cache = unsafe cache else { return }
  let root = unsafe Pointer<RootCache>(cache)
  Allocator(of: root.cache).abandon(CacheReference(root: root))
}

@c @implementation
public func slab_cache_allocate(
  _ cache: OpaquePointer!, _ group: OpaquePointer!, _ error: UnsafeMutablePointer<slab_error>!
) -> UnsafeMutableRawPointer! {
  unsafe block(error) { () throws(AllocatorError) in
    unsafe try Allocator.allocate(from: Pointer(cache), in: groupOrCurrent(group))
  }
}

@c @implementation
public func slab_cache_allocate_bulk(
  _ cache: OpaquePointer!, _ group: OpaquePointer!,
  _ objects: UnsafeMutablePointer<UnsafeMutableRawPointer?>!, _ count: Int
) -> slab_error {
  answer { () throws(AllocatorError) in
    let group = unsafe try groupOrCurrent(group)
    let objects = unsafe addresses(objects, count)
    unsafe try Allocator(of: group).allocate(bulk: objects, from: Pointer(cache), in: group)
  }
}

@c @implementation
public func slab_cache_free(_ cache: OpaquePointer!, _ object: UnsafeMutableRawPointer!) {
  unsafe SharedHeap.free(UInt(bitPattern: object), to: Pointer(cache))
}

@c @implementation
public func slab_cache_shrink(_ cache: OpaquePointer!) {
  unsafe Pointer<RootCache>(cache).shrink()
}

/// An array of C's pointers, as addresses.
func addresses(
  _ pointers: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ count: Int
) -> UnsafeMutableBufferPointer<UInt> {
  // SAFETY: a pointer and an address have the same representation; the array is the caller's.
  unsafe UnsafeMutableBufferPointer(
    start: UnsafeMutableRawPointer(pointers)?.assumingMemoryBound(to: UInt.self), count: count)
}

/// The block that a body allocates, or nothing and the reason.
@inline(__always)
func block(
  _ refusal: UnsafeMutablePointer<slab_error>?, _ body: () throws(AllocatorError) -> UInt
) -> UnsafeMutableRawPointer? {
  do throws(AllocatorError) { return unsafe UnsafeMutableRawPointer(bitPattern: try body()) } catch
  {
    if let refusal = unsafe refusal { unsafe refusal.pointee = slab_error(error) }
    return nil
  }
}
