// SPDX-License-Identifier: Apache-2.0
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
    // SAFETY: the shared allocator and its root group are there for ever.
    unsafe Pointer<Group>(address: slab_shared_heap_root_group()).map {
      Allocator(seenAs: $0.pointee.allocator)
    }
  }

  /// The shared allocator, made now with these settings unless there is one already, and whether it was. Of
  /// two threads that make one at the same time, one ends its own again. A few system calls the first time;
  /// takes no lock that a fork could leave behind.
  package static func makeAllocator(
    _ configuration: AllocatorConfiguration = .init()
  ) throws(AllocatorError) -> (allocator: Allocator, isNew: Bool) {
    if let allocator { return (allocator, false) }
    let made: Allocator
    do throws(AllocatorError) { made = try Allocator(configuration: configuration) } catch {
      // Two may not have room beside each other.
      if let allocator { return (allocator, false) }
      throw error
    }
    if made.becomeShared() { return (made, true) }
    made.unmapEverything()
    return (allocator!, false)
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
    guard let cache = cacheElsewhere(of: object) else { reportForeignPointer() }
    cache.free(object)
  }

  @usableFromInline @inline(never)
  package static func cacheElsewhere(of object: UInt) -> Pointer<Cache>? {
    ForkHandlers.cache(of: object)
  }
}

extension Allocator {
  /// Makes this one the shared allocator of the process, for ever. False if there is one.
  fileprivate func becomeShared() -> Bool {
    guard slab_shared_heap_claim(rootGroup.address) != 0 else { return false }
    let map = pages.pointee.map
    slab_shared_heap_set(map.words.address, map.heapBase, map.limit)
    return true
  }

  /// The allocator that has a cache.
  package init(of cache: Pointer<Cache>) { self.init(seenAs: cache.pointee.allocator) }

  /// The allocator that has a group.
  package init(of group: Pointer<Group>) { self.init(seenAs: group.pointee.allocator) }
}

extension SharedHeap {
  /// Frees an object of a root cache or of one of its children.
  @inlinable @inline(__always)
  package static func free(_ object: UInt, to root: Pointer<RootCache>) {
    guard let cache = cache(of: object) else { reportForeignPointer() }
    guard cache.pointee.root == root else { reportWrongCache() }
    cache.free(object)
  }

  /// Frees the objects of the buffer, which may be of different caches: runs of objects of one cache
  /// go together.
  package static func free(bulk objects: UnsafeMutableBufferPointer<UInt>) {
    var start = 0
    while start < objects.count {
      guard let cache = unsafe cache(of: objects[start]) else { reportForeignPointer() }
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
