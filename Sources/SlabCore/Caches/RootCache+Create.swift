// SPDX-License-Identifier: Apache-2.0
// Making root caches, and their settings that can change at run time.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// The name and the layout of a cache that is asked for, if there can be such a one.
  func checkedLayout(
    named utf8: borrowing Span<UInt8>, objectSize: Int, alignment: Int, options: SlabCacheOptions
  ) throws(AllocatorError) -> (CacheName, SlabGeometry) {
    guard let name = CacheName(utf8), !name.isOfTheCore else { throw .invalidName }
    guard objectSize >= 1, objectSize <= SlabGeometry.largestObject else {
      throw .invalidObjectSize
    }
    guard SlabCacheOptions.all.isSuperset(of: options),
      !options.isSuperset(of: [.poison, .typeSafe])
    else { throw .invalidOptions }
    guard alignment >= 0, alignment & (alignment - 1) == 0,
      alignment <= SlabGeometry.largestAlignment
    else { throw .invalidAlignment }
    let geometry = SlabGeometry(
      objectSize: objectSize, alignment: alignment,
      cacheAligned: options.contains(.hardwareCacheAligned),
      processorCount: region.pointee.processorCount)
    return (name, geometry)
  }

  /// Builds a root in memory that is ours, and links it.
  func initializeRoot(
    _ root: Pointer<RootCache>, name: CacheName, objectSize: Int, geometry: SlabGeometry,
    constructor: Constructor?, options: SlabCacheOptions = [], kind: RootKind = .user,
    slabs: CacheKind = .plain, under registry: borrowing RegistryLocked
  ) throws(AllocatorError) {
    // The core's names are its own: no user can have them.
    if kind == .user { try checkIsFree(name, under: registry) }
    guard let index = cachesState.pointee.tables.indices.take() else {
      guard cachesState.pointee.tables.indices.isFull else { throw .outOfMemory }
      throw .tooManyCaches(limit: cachesState.pointee.tables.indices.limit)
    }
    guard let sums = takeSums(under: registry) else {
      cachesState.pointee.tables.indices.free(index)
      throw .outOfMemory
    }
    // SAFETY: the memory is ours, aligned to 64 and large enough.
    unsafe root.unsafePointer.initialize(
      to: RootCache(
        cache: Cache(
          root: root, owner: nil, allocator: cachesState, geometry: geometry,
          kind: slabs),
        tableOffset: UInt(index) * 8, geometry: geometry,
        largestObject: Atomic(objectSize),
        constructor: constructor,
        options: options, kind: kind,
        minPartial: Atomic(Self.minPartial(for: geometry)),
        sheafCapacity: Atomic(
          options.contains(.poison) ? 0 : Self.largestSheaf(for: geometry)),
        sums: sums, userName: UserName(name)))
    root.children.makeEmptyList()
    allCachesList.insertAfter(root.cache.allNode)
    rootsList.insertAfter(root.rootNode)
    cachesState.pointee.tables.indices.set(index, to: root.address)
    cachesState.pointee.rootCount += 1
    guard kind == .user else { return }
    counters.pointee.rootCachesCreated += 1
    addName(of: CacheReference(root: root), under: registry)
    root.openToUsers(under: registry)
  }

  /// That no user has this name, and there is room for it in the index. O(1) expected; by the rules of Linux 4.10
  /// O(caches and aliases).
  func checkIsFree(
    _ name: CacheName, under registry: borrowing RegistryLocked
  ) throws(AllocatorError) {
    guard cachesState.pointee.tables.names.prepare() else { throw .outOfMemory }
    guard !isInUse(name, under: registry) else { throw .nameInUse }
  }

  /// A block of running sums, all zero.
  private func takeSums(under registry: borrowing RegistryLocked) -> UInt? {
    let free = cachesState.pointee.freeSums
    guard free != 0 else { return region.allocateCounters() }
    cachesState.pointee.freeSums = UInt(Words(at: free)[0])
    Words(at: free)[0] = 0
    return free
  }

  /// As `set_min_partial` of mm/slub.c: log2(size)/2, clamped to 5...10. Of objects larger than a user's cache
  /// can have one, if it is reserved: see LargeRuns.swift.
  private static func minPartial(for geometry: SlabGeometry) -> Int {
    guard !geometry.isOfBlocks else { return 0 }
    guard geometry.placeBytes < SlabGeometry.pageRun else { return 1 }
    let log = Int.bitWidth - 1 - geometry.placeBytes.leadingZeroBitCount
    return min(10, max(5, log / 2))
  }

  /// As many objects as fill 256 KiB, two at least and one page of addresses at most: what a CPU
  /// holds idle is bounded by bytes, not by objects, and by the limits of groups (`mostInSheaf`). One of those that are
  /// larger, as above.
  private static func largestSheaf(for geometry: SlabGeometry) -> Int {
    guard !geometry.isOfBlocks else { return 0 }
    guard geometry.placeBytes < SlabGeometry.pageRun else { return 1 }
    let largest = PerCPURegion.sheafCapacity(ofClass: PerCPURegion.sheafClassCount - 1)
    return min(largest, max(2, (256 << 10) / geometry.placeBytes))
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
    // Before the walk: a thread that opens a sheaf reads it under the cache's lock, which the walk takes. Either the
    // walk finds that sheaf, or the thread finds this. A child that is linked later begins without one.
    root.pointee.sheafCapacity.store(capacity, ordering: .relaxed)
    giveBackIdle(of: root) {
      $0.sheaf(under: $1).capacity > capacity || capacity == 0 && $0.pointee.barn != nil
    }
  }
}
