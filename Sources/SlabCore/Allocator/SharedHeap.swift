// Freeing by the address alone, for owners that are one pointer wide. The objects of the process's
// shared allocator are found as fast as by an allocator that knows its heap; those of others by a walk
// over the allocators of the process.

public import CSlabPlatform
public import SlabPlatform

@usableFromInline
package enum SharedHeap {
  /// The page map of the shared allocator; without one, a map of no address.
  @inlinable @inline(__always)
  static var map: UnitMap {
    // The limit first: with it the other two are there.
    let limit = slab_shared_heap_limit()
    return UnitMap(
      words: Words(at: slab_shared_heap_words()), heapBase: slab_shared_heap_base(), limit: limit)
  }

  /// The shared allocator; `nil` if there is none yet.
  @inlinable @inline(__always)
  package static var allocator: Allocator? {
    Pointer<Group>(address: slab_shared_heap_root_group()).map {
      Allocator(state: $0.pointee.allocator)
    }
  }

  /// Frees an object of any allocator of the process. As `Allocator.free` for the shared one;
  /// O(allocators) under a lock for the others.
  @inlinable @inline(__always)
  package static func free(_ object: UInt) {
    guard let cache = map.cache(at: object) else { return freeElsewhere(object) }
    cache.free(object)
  }

  /// The cache that an address belongs to, in any allocator of the process. Costs as `free`.
  @inlinable @inline(__always)
  package static func cache(of object: UInt) -> Pointer<Cache>? {
    map.cache(at: object) ?? cacheElsewhere(of: object)
  }

  @usableFromInline @inline(never)
  package static func freeElsewhere(_ object: UInt) {
    guard let cache = cacheElsewhere(of: object) else { Allocator.reportForeignPointer() }
    cache.free(object)
  }

  @usableFromInline @inline(never)
  package static func cacheElsewhere(of object: UInt) -> Pointer<Cache>? {
    ForkHandlers.cache(of: object)
  }
}

extension Allocator {
  /// Makes this one the shared allocator of the process, for ever. Once.
  package func becomeShared() {
    let map = state.pointee.pages.map
    slab_shared_heap_set(map.words.address, map.heapBase, map.limit, rootGroup.address)
  }

  /// The allocator that has a cache.
  package init(of cache: Pointer<Cache>) { self.init(state: cache.pointee.allocator) }

  /// The allocator that has a group.
  package init(of group: Pointer<Group>) { self.init(state: group.pointee.allocator) }
}

extension SharedHeap {
  /// Frees an object of a root cache or of one of its children.
  @inlinable @inline(__always)
  package static func free(_ object: UInt, to root: Pointer<RootCache>) {
    guard let cache = cache(of: object) else { Allocator.reportForeignPointer() }
    guard cache.pointee.root == root else { Allocator.reportWrongCache() }
    cache.free(object)
  }

  /// Frees the objects of the buffer, which may be of different caches: runs of objects of one cache
  /// go together.
  package static func free(bulk objects: UnsafeMutableBufferPointer<UInt>) {
    var start = 0
    while start < objects.count {
      guard let cache = unsafe cache(of: objects[start]) else { Allocator.reportForeignPointer() }
      var end = start + 1
      while end < objects.count, unsafe self.cache(of: objects[end]) == cache { end += 1 }
      unsafe cache.free(bulk: UnsafeMutableBufferPointer(rebasing: objects[start..<end]))
      start = end
    }
  }

  /// Ends the process unless there is an object of a root cache, or of one of its children, at an
  /// address. O(1).
  package static func checkObject(_ object: UInt, of root: Pointer<RootCache>) {
    guard let cache = cache(of: object) else { fatal("adopt: not an object of an allocator") }
    guard cache.pointee.root == root else { fatal("adopt: object of another cache") }
    guard cache.isStartOfObject(object) else { fatal("adopt: not the start of an object") }
  }
}
