// SPDX-License-Identifier: Apache-2.0
// Making root caches: for a user, for a user that may share one, for a size class.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Creates a root cache, merged with none. O(1) expected; by the rules of Linux 4.10 O(caches), for the
  /// name must be new. Takes the registry lock; may make system calls. The descriptor is charged to no group.
  package func makeCache(
    named utf8: borrowing Span<UInt8>, objectSize: Int, alignment: Int = 0,
    options: SlabCacheOptions = [], constructor: Constructor? = nil
  ) throws(AllocatorError) -> Pointer<RootCache> {
    let (name, geometry) = try checkedLayout(
      named: utf8, objectSize: objectSize, alignment: alignment, options: options)
    guard unsafe constructor == nil || !options.contains(.poison) else { throw .invalidOptions }
    // SAFETY: the object is ours, of the cache of these descriptors.
    let root = unsafe Pointer<RootCache>(
      address: try cachesState.pointee.rootCaches.cache.allocate())!
    do throws(AllocatorError) {
      try waitingForIndices { () throws(AllocatorError) in
        let registry = lockRegistry()
        try unsafe initializeRoot(
          root, name: name, objectSize: objectSize, geometry: geometry, constructor: constructor,
          options: options, under: registry)
      }
    } catch {
      cachesState.pointee.rootCaches.cache.free(root.address)
      throw error
    }
    return root
  }

  /// Makes a cache for a user: with `mergesCaches`, a share of the oldest root whose objects are
  /// alike, if there is one. Otherwise as `makeCache`. As expensive as that.
  ///
  /// A merged cache has the settings and the sheaves of the one that it is merged into, and its line
  /// in slabinfo. What is charged does not change: groups have a child of the root.
  package func makeReference(
    named utf8: borrowing Span<UInt8>, objectSize: Int, alignment: Int = 0,
    options: SlabCacheOptions = [], constructor: Constructor? = nil
  ) throws(AllocatorError) -> CacheReference {
    guard base.pointee.configuration.mergesCaches,
      unsafe options.allowMerging(constructor: constructor)
    else {
      return CacheReference(
        root: try unsafe makeCache(
          named: utf8, objectSize: objectSize, alignment: alignment, options: options,
          constructor: constructor))
    }
    let (name, geometry) = try checkedLayout(
      named: utf8, objectSize: objectSize, alignment: alignment, options: options)
    // Both before the lock, though only one of them is needed: under it nothing can fail half-way,
    // and two threads that make caches that are alike get the same.
    // SAFETY: the object is ours, of the cache of these descriptors.
    let root = unsafe Pointer<RootCache>(
      address: try cachesState.pointee.rootCaches.cache.allocate())!
    let alias: Pointer<CacheAlias>
    do throws(AllocatorError) {
      // SAFETY: the object is ours, of the cache of these descriptors.
      alias = unsafe Pointer<CacheAlias>(
        address: try allocateInternal(bytes: MemoryLayout<CacheAlias>.size))!
    } catch {
      cachesState.pointee.rootCaches.cache.free(root.address)
      throw error
    }
    do throws(AllocatorError) {
      let other = try waitingForIndices { () throws(AllocatorError) in
        try joinOrMake(
          root, alias: alias, name: name, objectSize: objectSize, geometry: geometry)
      }
      if let other {
        cachesState.pointee.rootCaches.cache.free(root.address)
        return CacheReference(root: other, alias: alias)
      }
      freeInternal(alias.address)
      return CacheReference(root: root)
    } catch {
      freeInternal(alias.address)
      cachesState.pointee.rootCaches.cache.free(root.address)
      throw error
    }
  }

  /// The root that the alias has joined; `nil` if there is none and the new root stands.
  private func joinOrMake(
    _ root: Pointer<RootCache>, alias: Pointer<CacheAlias>, name: CacheName, objectSize: Int,
    geometry: SlabGeometry
  ) throws(AllocatorError) -> Pointer<RootCache>? {
    let registry = lockRegistry()
    guard let oldest = oldestRoot(serving: geometry, under: registry) else {
      try unsafe initializeRoot(
        root, name: name, objectSize: objectSize, geometry: geometry, constructor: nil,
        under: registry)
      return nil
    }
    try checkIsFree(name, under: registry)
    // SAFETY: the object is ours and large enough.
    unsafe alias.unsafePointer.initialize(
      to: CacheAlias(root: oldest, userName: UserName(name)))
    oldest.addUser(alias, under: registry)
    addName(of: CacheReference(root: oldest, alias: alias), under: registry)
    // Relaxed: the new user's reference carries it to that user's threads.
    let largest = max(oldest.pointee.objectSize, objectSize)
    oldest.pointee.largestObject.store(largest, ordering: .relaxed)
    counters.pointee.aliasesCreated += 1
    return oldest
  }
}
