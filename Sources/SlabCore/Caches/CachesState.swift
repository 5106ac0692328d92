// SPDX-License-Identifier: Apache-2.0
// What the caches of an allocator have in common: the lists of them, and those that the core has for itself.

public import SlabPlatform
internal import Synchronization

/// A state that begins with `CachesState`.
@usableFromInline
package protocol HasCaches: HasBase, ~Copyable {}

@usableFromInline
package struct CachesState: ~Copyable, HasCaches {
  let base: BaseState

  // Under the registry lock:
  /// Every cache, newest first.
  var allCaches = ListNode()
  /// Every root, newest first.
  var roots = ListNode()
  var rootCount = 0
  var tables: CacheTables
  var mergeableRoots = MergeableRoots()
  /// Blocks of running sums of roots that are gone: kept, since there are few.
  var freeSums: UInt = 0

  // The core's own caches; set once, while the allocator is made.
  /// Descriptors of slabs with up to 192 and with more objects.
  var slabs: Pointer<RootCache>! = nil
  var wideSlabs: Pointer<RootCache>! = nil
  var rootCaches: Pointer<RootCache>! = nil
  var childCaches: Pointer<RootCache>! = nil
  /// Names, tables of child caches and cursors, by size.
  var general = InlineArray<11, Pointer<RootCache>?>(repeating: nil)
  /// The root caches of variable-size storage.
  var sizeClasses = SizeClasses()

  var coldSheaves = ColdSheaves()
  var idleClock = IdleClock()
  var idleReturns = IdleReturns()
  var threadsAhead = ThreadsAhead()
  /// See `BarnSum`. Set once, while the allocator is made.
  var barnSums: UInt = 0
  /// What the rooms above do for the caches.
  let above: CachesAbove

  init(base: consuming BaseState, tables: consuming CacheTables, above: CachesAbove) {
    self.base = base
    self.tables = tables
    self.above = above
  }

  /// Sizes of the general caches.
  static var generalSizes: InlineArray<11, Int> {
    [32, 64, 144, 272, 528, 1040, 2064, 4112, 8208, 16400, 32784]
  }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  // SAFETY: the state begins with it: see BaseState.swift.
  @inline(__always)
  var cachesState: Pointer<CachesState> { unsafe Pointer<CachesState>(nonzeroAddress: address) }

  var coldSheaves: Pointer<ColdSheaves> {
    Pointer<ColdSheaves>(of: &cachesState.pointee.coldSheaves)
  }
  var sizeClasses: Pointer<SizeClasses> {
    Pointer<SizeClasses>(of: &cachesState.pointee.sizeClasses)
  }
  var rootsList: Pointer<ListNode> { Pointer<ListNode>(of: &cachesState.pointee.roots) }
  var allCachesList: Pointer<ListNode> { Pointer<ListNode>(of: &cachesState.pointee.allCaches) }

  /// The cache for descriptors of slabs with that many objects.
  func slabDescriptors(places: Int) -> Pointer<Cache> {
    places <= Slab.placesOfDescriptor
      ? cachesState.pointee.slabs.cache : cachesState.pointee.wideSlabs.cache
  }

  /// Memory for the core itself, from its general caches; charged to no group.
  func allocateInternal(bytes: Int) throws(AllocatorError) -> UInt {
    for index in 0..<CachesState.generalSizes.count
    where bytes <= CachesState.generalSizes[index] {
      return try cachesState.pointee.general[index]!.cache.allocate()
    }
    throw .outOfMemory
  }

  func freeInternal(_ address: UInt) {
    let map = pages.pointee.map
    map.cache(of: map.word(at: address)).free(address)
  }

  /// Visits every cache, roots and children, the core's own ones last.
  func forEachCache(
    under registry: borrowing RegistryLocked, _ body: (Pointer<Cache>) -> Void
  ) {
    let all = allCachesList
    var node = all.successor(in: all)
    while let current = node {
      node = current.successor(in: all)
      body(Pointer<Cache>(allNode: current))
    }
  }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// The cache that an address belongs to; `nil` if it is in no slab.
  @inlinable @inline(__always)
  package func cache(of object: UInt) -> Pointer<Cache>? { pages.pointee.map.cache(at: object) }
}

@usableFromInline @inline(never)
package func reportForeignPointer() -> Never { fatal("free: not an object of this allocator") }

@usableFromInline @inline(never)
package func reportWrongCache() -> Never { fatal("free: object of another cache") }
