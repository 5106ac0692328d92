// SPDX-License-Identifier: Apache-2.0
// What tests of caches look at and do again and again.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// A moment's figures of one cache, for comparisons.
struct CacheFigures: Equatable {
  var slabs: Int
  var empty: Int
  var inUse: Int
  var total: Int
  var units: Int
}

extension Pointer where Pointee == Cache {
  var figures: CacheFigures {
    CacheFigures(
      slabs: Int(pointee.slabCount), empty: Int(pointee.emptyCount),
      inUse: Int(pointee.objectsInUse), total: Int(pointee.objectsTotal), units: Int(pointee.units))
  }

  var sheafWord: SheafWord { words.pointee.load(mode: pointee.allocator.region.pointee.mode) }
  var hasSheaf: Bool { !sheafWord.isClosed }
  /// Full sheaves in the barn, and how many may be.
  var barnFigures: (full: Int, most: Int) {
    (Int(pointee.barn?.pointee.fullCount ?? 0), Int(pointee.barn?.pointee.most ?? 0))
  }

  var sheafObjects: Int {
    let lock = pointee.lock.lock()
    return objectsInSheaf(under: lock)
  }
  /// Open or resting.
  var sheaf: SheafWord {
    let lock = pointee.lock.lock()
    return sheaf(under: lock)
  }

  /// Objects that are in use on each slab of the partial list, from its front.
  var partialSlabs: [Int] {
    var counts: [Int] = []
    var slab = pointee.partialFirst
    while let current = slab {
      counts.append(Int(current.pointee.inUse))
      slab = current.pointee.next
    }
    return counts
  }

  func allocateBulk(_ count: Int) throws(AllocatorError) -> [UInt] {
    let buffer = UnsafeMutableBufferPointer<UInt>.allocate(capacity: count)
    defer { unsafe buffer.deallocate() }
    unsafe buffer.initialize(repeating: 0)
    try unsafe allocate(bulk: buffer)
    return unsafe Array(buffer)
  }

  func freeBulk(_ objects: [UInt]) {
    var objects = objects
    unsafe objects.withUnsafeMutableBufferPointer { unsafe free(bulk: $0) }
  }
}

extension Pointer where Pointee == RootCache {
  var sheafLimit: Int { pointee.sheafCapacity.load(ordering: .relaxed) }
  var emptySlabsKept: Int { pointee.minPartial.load(ordering: .relaxed) }
  var geometry: SlabGeometry { pointee.geometry }
  var objectsPerSlab: Int { geometry.objectCount(order: geometry.fullOrder) }
}

extension Slab {
  /// Bits behind the fields of the larger descriptor.
  static var mostPlaces: Int { (wideDescriptorBytes - 40) * 8 }
}

extension Pointer where Pointee == Group {
  var currentBytes: Int { pointee.current.load(ordering: .relaxed) }
  var peakBytes: Int { pointee.peak.load(ordering: .relaxed) }
}

extension Allocator {
  /// A cache without a constructor, whose type alone would make the call an unsafe one.
  func makePlainCache(
    _ name: String, size: Int, alignment: Int = 0, options: SlabCacheOptions = []
  ) throws(AllocatorError) -> Pointer<RootCache> {
    try unsafe makeCache(name, size: size, alignment: alignment, options: options)
  }

  /// A cache that never has a sheaf: what its objects do, its slabs show at once.
  func makeColdCache(_ name: String, size: Int) throws(AllocatorError) -> Pointer<RootCache> {
    let root = try makePlainCache(name, size: size)
    try setSheafCapacity(0, of: root)
    return root
  }

  func allocate(_ count: Int, from root: Pointer<RootCache>) throws(AllocatorError) -> [UInt] {
    var objects: [UInt] = []
    for _ in 0..<count { objects.append(try allocate(from: root, in: nil)) }
    return objects
  }

  func freeAll(_ objects: [UInt]) { for object in objects { free(object) } }

  /// Takes every free page of the committed heap, so that the next run needs a system call.
  func takeFreePages() -> [Run] {
    var taken: [Run] = []
    for order in (UnitMap.pageOrder...PageAllocator.largestOrder).reversed() {
      while pages.pointee.dirtyHeads[order] != UnitMap.none
        || pages.pointee.cleanHeads[order] != UnitMap.none
      {
        taken.append(pages.allocate(order: order, for: .nobody)!)
      }
    }
    return taken
  }

  func freePages(_ runs: [Run]) {
    for run in runs { pages.free(run, of: .nobody) }
  }

  /// Destroys a cache and waits until it is gone.
  func destroyAndWait(_ root: Pointer<RootCache>) throws(AllocatorError) {
    try destroy(root)
    waitUntilIdle()
  }
}

/// Allocates and frees more than a sheaf holds, in a root or in a group, until the barn has room for what the sheaf has
/// not. Afterwards everything is free. By a thread that stays on its CPU.
func fillBarn(
  of root: Pointer<RootCache>, _ allocator: Allocator, in group: Pointer<Group>? = nil,
  objects count: Int = 1000, rounds: Int = 60
) throws(AllocatorError) {
  for _ in 0..<rounds {
    var objects: [UInt] = []
    for _ in 0..<count { objects.append(try allocator.allocate(from: root, in: group)) }
    allocator.freeAll(objects)
  }
}
