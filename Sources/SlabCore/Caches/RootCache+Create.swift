// Making root caches, and their settings that can change at run time.

package import SlabPlatform
internal import Synchronization

/// Options of a root cache: the kernel's `slab_flags_t`, as far as they apply here.
package struct CacheOptions: OptionSet, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Objects on cache lines of their own, as far as their size allows (SLAB_HWCACHE_ALIGN).
  package static let hardwareCacheAligned = CacheOptions(rawValue: 1 << 0)
  /// To read-side sections the memory of an object stays an object of this cache, though perhaps
  /// another one: slabs go back to the pages only after a reader grace period, objects are reused at
  /// once (SLAB_TYPESAFE_BY_RCU; see docs/type-safe-caches.md). Never merged.
  package static let typeSafe = CacheOptions(rawValue: 1 << 1)
  /// Free objects are filled with a pattern that is checked when they are handed out (SLAB_POISON; see
  /// Cache+Poison.swift). Neither with a constructor nor for type-safe caches. Never merged.
  package static let poison = CacheOptions(rawValue: 1 << 2)
  /// Never merged (SLAB_NO_MERGE).
  package static let noMerge = CacheOptions(rawValue: 1 << 3)
}

extension Allocator {
  /// Creates a root cache, merged with none. O(root caches): the name must be new. Takes the registry
  /// lock; may make system calls. The descriptor is charged to nobody.
  package func makeCache(
    named utf8: borrowing Span<UInt8>, objectSize: Int, alignment: Int = 0,
    options: CacheOptions = [], constructor: Constructor? = nil
  ) throws(AllocatorError) -> Pointer<RootCache> {
    let (name, geometry) = try checkedLayout(
      named: utf8, objectSize: objectSize, alignment: alignment, options: options)
    guard unsafe constructor == nil || !options.contains(.poison) else { throw .invalidOptions }
    let root = Pointer<RootCache>(address: try state.pointee.rootCaches.cache.allocate())!
    do throws(AllocatorError) {
      try waitingForIndices { () throws(AllocatorError) in
        state.pointee.registry.lock.lock()
        defer { state.pointee.registry.lock.unlock() }
        try unsafe initializeRoot(
          root, name: name, objectSize: objectSize, geometry: geometry, constructor: constructor,
          options: options, isSelfDescribing: false)
      }
    } catch {
      state.pointee.rootCaches.cache.free(root.address)
      throw error
    }
    return root
  }

  /// The name and the layout of a cache that somebody wants, if he may have it.
  func checkedLayout(
    named utf8: borrowing Span<UInt8>, objectSize: Int, alignment: Int, options: CacheOptions
  ) throws(AllocatorError) -> (CacheName, SlabGeometry) {
    guard let name = CacheName(utf8), !name.isOfTheCore else { throw .invalidName }
    guard objectSize >= 1, objectSize <= SlabGeometry.largestObject else {
      throw .invalidObjectSize
    }
    guard !(options.contains(.poison) && options.contains(.typeSafe)) else {
      throw .invalidOptions
    }
    guard alignment >= 0, alignment & (alignment - 1) == 0,
      alignment <= SlabGeometry.largestAlignment
    else { throw .invalidAlignment }
    let geometry = SlabGeometry(
      objectSize: objectSize, alignment: alignment,
      cacheAligned: options.contains(.hardwareCacheAligned),
      processorCount: state.pointee.region.processorCount)
    return (name, geometry)
  }

  /// Under the registry lock, or while nobody knows the allocator yet: builds a root in memory that is
  /// ours, and links it.
  func initializeRoot(
    _ root: Pointer<RootCache>, name: CacheName, objectSize: Int, geometry: SlabGeometry,
    constructor: Constructor?, options: CacheOptions = [], kind: RootKind = .user,
    isSelfDescribing: Bool
  ) throws(AllocatorError) {
    // The core's names are its own: no user can have them.
    guard kind != .user || !hasRoot(named: name) else { throw .nameInUse }
    guard let index = state.pointee.registry.rootIndices.take() else {
      guard state.pointee.registry.rootIndices.isFull else { throw .outOfMemory }
      throw .tooManyCaches(limit: state.pointee.registry.rootIndices.limit)
    }
    guard let sums = takeSums() else {
      state.pointee.registry.rootIndices.free(index)
      throw .outOfMemory
    }
    // SAFETY: the memory is ours, aligned to 64 and large enough.
    unsafe root.unsafePointer.initialize(
      to: RootCache(
        cache: Cache(
          root: root, group: nil, allocator: state, geometry: geometry,
          isSelfDescribing: isSelfDescribing),
        tableOffset: UInt(index) * 8, geometry: geometry,
        largestObject: Atomic(objectSize),
        constructor: constructor,
        options: options, kind: kind,
        minPartial: Atomic(Self.minPartial(for: geometry)),
        sheafCapacity: Atomic(
          options.contains(.poison) ? 0 : Self.largestSheaf(for: geometry)),
        sums: sums, name: name))
    root.children.makeEmptyList()
    state.allCachesList.insertAfter(root.cache.allNode)
    state.rootsList.insertAfter(root.rootNode)
    state.pointee.registry.rootCount += 1
    if kind == .user { state.pointee.registry.rootCachesCreated += 1 }
  }

  /// Under the registry lock: whether a user of a root has this name. O(root caches and aliases).
  func hasRoot(named name: CacheName) -> Bool {
    if state.isLinux410 { return hasRootAsLinux410(named: name) }
    let roots = state.rootsList
    var node = roots.successor(in: roots)
    while let current = node {
      state.pointee.registry.listSteps += 1
      let root = Pointer<RootCache>(rootNode: current)
      if !root.pointee.isDestroying, root.hasUser(named: name) { return true }
      node = current.successor(in: roots)
    }
    return false
  }

  /// Under the registry lock: a block of running sums, all zero.
  private func takeSums() -> UInt? {
    let free = state.pointee.freeSums
    guard free != 0 else { return state.region.allocateCounters() }
    state.pointee.freeSums = UInt(Words(at: free)[0])
    Words(at: free)[0] = 0
    return free
  }

  /// As `set_min_partial` of mm/slub.c: log2(size)/2, clamped to 5...10. An object larger than a user's cache can have
  /// goes back at once.
  private static func minPartial(for geometry: SlabGeometry) -> Int {
    guard geometry.slotBytes < SlabGeometry.pageRun else { return 0 }
    let log = Int.bitWidth - 1 - geometry.slotBytes.leadingZeroBitCount
    return min(10, max(5, log / 2))
  }

  /// As many objects as fill 64 KiB, two at least and one page of addresses at most: what a CPU
  /// holds idle is bounded by bytes, not by objects. None of those that are larger.
  private static func largestSheaf(for geometry: SlabGeometry) -> Int {
    guard geometry.slotBytes < SlabGeometry.pageRun else { return 0 }
    let largest = PerCPURegion.sheafCapacity(ofClass: PerCPURegion.sheafClassCount - 1)
    return min(largest, max(2, (64 << 10) / geometry.slotBytes))
  }

  // MARK: - Settings

  /// Sets how many empty slabs each cache of this root keeps. O(1); what is kept above it goes back
  /// at the next `shrink`.
  package func setMinPartial(
    _ count: Int, of root: Pointer<RootCache>
  ) throws(AllocatorError) {
    guard count >= 0 else { throw .invalidLimit }
    root.pointee.minPartial.store(count, ordering: .relaxed)
  }

  /// Sets the most objects that a sheaf of this root and its children may hold; 0 for no sheaves.
  /// Closes every sheaf that is larger: O(children), the registry lock for 16 of them at a time, and a
  /// fence for each 16.
  package func setSheafCapacity(
    _ capacity: Int, of root: Pointer<RootCache>
  ) throws(AllocatorError) {
    let largest = PerCPURegion.sheafCapacity(ofClass: PerCPURegion.sheafClassCount - 1)
    guard capacity >= 0, capacity <= (root.pointee.isPoisoned ? 0 : largest) else {
      throw .invalidLimit
    }
    // Before the walk: whoever opens a sheaf reads it under the cache's lock, which the walk takes. Either the
    // walk finds that sheaf, or its opener finds this. A child that is linked later begins without one.
    root.pointee.sheafCapacity.store(capacity, ordering: .relaxed)
    var batch = SheafBatch()
    retireSheaf(of: root.cache, above: capacity, into: &batch)
    state.pointee.registry.lock.lock()
    // The cursor stands on this thread's stack.
    state.takeInHand()
    withCursor(in: root.children) { cursor in
      var visited = 0
      while let node = cursor.advance(in: root.children) {
        retireSheaf(of: Pointer<Cache>(siblingNode: node), above: capacity, into: &batch)
        visited += 1
        guard visited % SheafBatch.most == 0 || batch.count == SheafBatch.most else { continue }
        state.pointee.registry.lock.unlock()
        batch.finish(of: state)
        state.pointee.registry.lock.lock()
      }
    }
    state.putDown()
    state.pointee.registry.lock.unlock()
    batch.finish(of: state)
  }

  /// Puts the sheaf aside if it is larger.
  private func retireSheaf(
    of cache: Pointer<Cache>, above capacity: Int, into batch: inout SheafBatch
  ) {
    cache.pointee.lock.lock()
    defer { cache.pointee.lock.unlock() }
    if cache.state == .active, cache.sheafUnderLock.capacity > capacity { batch.add(cache) }
  }
}
