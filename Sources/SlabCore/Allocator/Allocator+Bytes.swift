// SPDX-License-Identifier: Apache-2.0
// Storage of variable size: up to 32 KiB, and for some larger sizes, from the root caches of the size classes; every
// other size is a block.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// The largest block, in bytes: the largest heap.
  package static var largestAllocation: Int { HeapReservation.largestBytes }
  package static var largestBlockAlignment: Int { 1 << 30 }

  /// A block of at least so many bytes, charged to a group. O(1) and as `allocate(from:in:)`; the first
  /// use of a size class makes its cache. Blocks are aligned to 16 bytes.
  ///
  /// - Throws: `.invalidObjectSize` above `largestAllocation` or below 0; what an allocation throws.
  package func allocate(
    bytes: Int, in group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    guard bytes >= 0, bytes <= Self.largestAllocation else { throw .invalidObjectSize }
    let index = sizeClasses.pointee.index(forBytes: bytes)
    guard index != SizeClasses.blocks else {
      let shape = RunShape(pages: SizeClasses.pages(forBytes: bytes), alignment: 1)
      return try allocateBlock(shape, isZeroed: false, in: group)
    }
    return try Self.allocate(from: rootCache(ofSizeClass: index), in: group)
  }

  /// The same for an alignment, a power of two up to `largestBlockAlignment`. What is dispensable is refused at a
  /// limit without a reclaim and without an event. What is to be zero costs O(bytes), unless the memory is known to
  /// be zero already, or to be given to the kernel: see PageAllocator+Contents.swift.
  package func allocate(
    bytes: Int, alignment: Int, in group: Pointer<Group>, isZeroed: Bool = false,
    isDispensable: Bool = false
  ) throws(AllocatorError) -> UInt {
    guard isDispensable else {
      return try allocateAligned(bytes, alignment, isZeroed: isZeroed, in: group)
    }
    Threads.isDispensable = true
    defer { Threads.isDispensable = false }
    return try allocateAligned(bytes, alignment, isZeroed: isZeroed, in: group)
  }

  private func allocateAligned(
    _ bytes: Int, _ alignment: Int, isZeroed: Bool, in group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    guard alignment > 0, alignment & (alignment - 1) == 0,
      alignment <= Self.largestBlockAlignment
    else { throw .invalidAlignment }
    guard bytes >= 0, bytes <= Self.largestAllocation else { throw .invalidObjectSize }
    let index = classIndex(forBytes: bytes, alignment: alignment)
    guard index != SizeClasses.blocks else {
      let shape = RunShape(
        pages: max(1, SizeClasses.pages(forBytes: bytes)), alignment: alignment)
      return try allocateBlock(shape, isZeroed: isZeroed, in: group)
    }
    let object = try Self.allocate(from: rootCache(ofSizeClass: index), in: group)
    if isZeroed { zeroMemory(at: object, bytes: bytes) }
    return object
  }

  /// The class of a size with an alignment; `blocks` where there is none.
  private func classIndex(forBytes bytes: Int, alignment: Int) -> Int {
    let index = sizeClasses.pointee.index(forBytes: bytes)
    guard alignment > 16 else { return index }
    guard alignment <= SlabGeometry.largestAlignment, bytes <= SizeClasses.largestSmall else {
      // A large object is aligned to its size.
      guard index != SizeClasses.blocks, bytes > SizeClasses.largestSmall,
        alignment <= SizeClasses.sizes[index]
      else { return SizeClasses.blocks }
      return index
    }
    let sizes = SizeClasses.sizes
    var larger = sizeClasses.pointee.index(forBytes: max(bytes, alignment))
    // The next power of two has it.
    while sizes[larger] & (alignment - 1) != 0 { larger += 1 }
    return larger
  }

  private func allocateBlock(
    _ shape: RunShape, isZeroed: Bool, in group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    let root = try rootCache(ofSizeClass: SizeClasses.blocks)
    return try group.makeOrFindChild(of: root).allocateBlock(shape, isZeroed: isZeroed)
  }

  /// Bytes that can be used of a live object of this allocator. O(1).
  package func usableBytes(of object: UInt) -> Int {
    guard let cache = cache(of: object) else { reportForeignPointer() }
    guard !cache.hasBlocks else { return cache.units(ofBlock: object) * UnitMap.unitBytes }
    return Int(cache.pointee.placeBytes)
  }

  func rootCache(ofSizeClass index: Int) throws(AllocatorError) -> Pointer<RootCache> {
    // Acquiring: pairs with the releasing store in `makeSizeClass`.
    let root = sizeClasses.pointee.roots[index].load(ordering: .acquiring)
    // SAFETY: a root of a size class is never released.
    if let root = unsafe Pointer<RootCache>(address: root) { return root }
    return try makeSizeClass(index)
  }

  /// The root cache of a class at its first use.
  private func makeSizeClass(_ index: Int) throws(AllocatorError) -> Pointer<RootCache> {
    let geometry = geometry(ofSizeClass: index)
    // SAFETY: the object is ours, of the cache of these descriptors.
    let root = unsafe Pointer<RootCache>(
      address: try cachesState.pointee.rootCaches.cache.allocate())!
    do throws(AllocatorError) {
      let made = try waitingForIndices { () throws(AllocatorError) in
        try enterSizeClass(index, root: root, geometry: geometry)
      }
      if made != root { cachesState.pointee.rootCaches.cache.free(root.address) }
      return made
    } catch {
      cachesState.pointee.rootCaches.cache.free(root.address)
      throw error
    }
  }

  private func geometry(ofSizeClass index: Int) -> SlabGeometry {
    guard index < SizeClasses.blocks else {
      return index == SizeClasses.charges ? .ofCharges : .ofBlocks
    }
    let bytes = SizeClasses.sizes[index]
    return SlabGeometry(
      objectSize: bytes, alignment: min(bytes & -bytes, SlabGeometry.largestAlignment),
      cacheAligned: false, processorCount: region.pointee.processorCount)
  }

  /// The root of a class, which is this one unless another thread's has come first. Takes the registry lock.
  private func enterSizeClass(
    _ index: Int, root: Pointer<RootCache>, geometry: SlabGeometry
  ) throws(AllocatorError) -> Pointer<RootCache> {
    let registry = lockRegistry()
    let other = sizeClasses.pointee.roots[index].load(ordering: .relaxed)
    // SAFETY: as in `rootCache(ofSizeClass:)`.
    if let other = unsafe Pointer<RootCache>(address: other) { return other }
    let bytes = index < SizeClasses.blocks ? SizeClasses.sizes[index] : PageAllocator.pageBytes
    let name: CacheName
    switch index {
    case SizeClasses.blocks: name = CacheName(ofTheCore: "block-pages")
    case SizeClasses.charges: name = CacheName(ofTheCore: "charged-pages")
    default: name = CacheName(sizeClass: bytes)
    }
    try unsafe initializeRoot(
      root, name: name, objectSize: bytes, geometry: geometry, constructor: nil,
      kind: .sizeClass, under: registry)
    // Releasing: pairs with the acquiring load in `rootCache(ofSizeClass:)`.
    sizeClasses.pointee.roots[index].store(root.address, ordering: .releasing)
    return root
  }
}
