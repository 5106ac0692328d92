// SPDX-License-Identifier: Apache-2.0
// Slabs whose objects belong to several groups (Linux 5.9): of a root, one cache for all groups that share. Each slab
// has a payer for each of its objects (the kernel's vector of obj_cgroups): who is charged for it, by the byte.
//
// A free must find that out, and the frees of other caches must not become slower for it. So the page map does not name
// the shared cache but its *gate*: a descriptor behind the cache's own whose sheaf is never open. A look at its sheaf
// misses, as one at a full sheaf does; the slow path sees the gate, and what is behind it frees the object
// as any cache does, with a sheaf and a barn of its own.
//
// What one group frees, another one gets. So an object is cleared when it is freed: free objects of a shared cache are
// zero, on a CPU's sheaf as in a slab.

internal import SlabPlatform
internal import Synchronization

extension Cache {
  /// Bytes of a shared cache's descriptor together with its gate's.
  static var sharedDescriptorBytes: Int { 2 * descriptorBytes }
  /// The largest object that groups share a slab for. A larger one has slabs of its own in a shared group, too: what a
  /// page has more than the object is little then, and to clear it costs more than to count it.
  static var largestShared: Int { 8 << 10 }
}

extension Pointer where Pointee == RootCache {
  /// Whether groups can share slabs of this root. An object with a constructor is freed as it was prepared, and a reader
  /// may look at one that is free: such memory cannot be cleared.
  var canBeShared: Bool {
    let geometry = pointee.geometry
    return unsafe pointee.kind != .core && pointee.constructor == nil
      && pointee.options.isDisjoint(with: [.typeSafe, .poison]) && !geometry.isOfBlocks
      && geometry.placeBytes <= Cache.largestShared
      && geometry.objectCount(order: geometry.fullOrder) <= Slab.placesOfSharedDescriptor
  }
}

extension Pointer where Pointee == Cache {
  /// What the page map names for slabs of this cache.
  @inline(__always)
  var mapped: Pointer<Cache> { pointee.kind == .shared ? gate : self }

  // SAFETY: a shared cache's gate stands behind it.
  private var gate: Pointer<Cache> {
    unsafe Pointer<Cache>(nonzeroAddress: address + UInt(Cache.descriptorBytes))
  }

  // SAFETY: as above.
  private var behindGate: Pointer<Cache> {
    unsafe Pointer<Cache>(nonzeroAddress: address - UInt(Cache.descriptorBytes))
  }

  /// Makes the gate of a shared cache that has just been made.
  func makeGate() {
    // SAFETY: the object has room for both.
    unsafe gate.unsafePointer.initialize(
      to: Cache(
        root: pointee.root, owner: nil, allocator: pointee.allocator,
        geometry: pointee.root.pointee.geometry, kind: .gate))
  }

  // MARK: - Descriptors of slabs

  /// Memory for a slab's descriptor and its payers, all of them none.
  func makeSharedDescriptor(places: Int) throws(AllocatorError) -> UInt {
    let allocator = pointee.allocator
    let payers = try allocator.allocateInternal(bytes: places * 4)
    do throws(AllocatorError) {
      let descriptor = try allocator.cachesState.pointee.wideSlabs.cache.allocate()
      zeroMemory(at: payers, bytes: places * 4)
      // SAFETY: the object is ours, of the cache of these descriptors.
      unsafe Pointer<Slab>(nonzeroAddress: descriptor).payers = payers
      return descriptor
    } catch {
      allocator.freeInternal(payers)
      throw error
    }
  }

  func freeSharedDescriptor(_ slab: Pointer<Slab>) {
    let allocator = pointee.allocator
    allocator.freeInternal(slab.payers)
    allocator.cachesState.pointee.wideSlabs.cache.free(slab.address)
  }

  // MARK: - Objects

  /// Of a shared cache: who pays for an object that was allocated a moment ago.
  func setPayer(_ payer: UInt32, of object: UInt) {
    let (slab, place) = slabAndPlace(of: object)
    slab[payerOf: place] = payer
  }

  /// Of a gate: who pays for a live object; 0 if it is free.
  func payer(of object: UInt) -> UInt32 {
    let (slab, place) = slabAndPlace(of: object)
    return slab[payerOf: place]
  }

  private func slabAndPlace(of object: UInt) -> (Pointer<Slab>, Int) {
    let map = pointee.allocator.pages.pointee.map
    let slab = map.slab(of: map.word(at: object))
    return (slab, place(of: object, in: slab))
  }

  /// Of a gate: frees an object. The cache may be gone when this returns.
  @inline(never)
  func freeShared(_ object: UInt) {
    let allocator = pointee.allocator
    allocator.letForkGoFirst()
    let (slab, place) = slabAndPlace(of: object)
    let payer = slab[payerOf: place]
    guard payer != 0 else { Self.reportDoubleFree() }
    slab[payerOf: place] = 0
    let bytes = Int(pointee.placeBytes)
    zeroMemory(at: object, bytes: bytes)
    behindGate.free(object)
    allocator.cachesState.pointee.above.giveBackShared(allocator.address, payer, bytes)
  }
}
