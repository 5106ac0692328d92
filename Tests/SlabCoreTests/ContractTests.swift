// SPDX-License-Identifier: Apache-2.0
// Each broken contract ends the process with SIGABRT and its one line, in debug and in release.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

enum BrokenContract: String, CaseIterable, Codable, Sendable {
  case doubleFreeAtTheSheafsTop, doubleFreeThroughTheSlab, doubleFreeInAColdCache
  case doubleFreeInTheSheafFoundAtFlush, doubleFreeInTheBarnFoundAtFlush
  case mallocMemory, addressZero, addressOne, lastAddress, freePageOfTheHeap, notCommittedYet
  case unmappedSlab, unmappedSlabsLastUnit, pageMapItself, ownDescriptor
  case interiorPointer, interiorPointerOfALargeSlab, behindTheLastObject
  case insideALargeBlock, farInsideALargeBlock
  case insideABlock, farInsideABlock, blockFreedTwice, resizeInsideABlock
  case wrongCache, wrongCacheInBulk, foreignPointerInBulk, foreignPointerToACache
  case destroyOfAnInternalCache, oneReleaseTooMany, releaseOfTheRootGroup
  case releaseWithAChildOnline
  case deferredInteriorPointer, deferredAfterItsDiscard
  case doubleFreeInASharedSlab, interiorPointerOfASharedSlab

  var line: String {
    switch self {
    case .doubleFreeAtTheSheafsTop, .doubleFreeThroughTheSlab, .doubleFreeInAColdCache,
      .doubleFreeInTheSheafFoundAtFlush, .doubleFreeInTheBarnFoundAtFlush,
      .doubleFreeInASharedSlab:
      "slab: free: object is free already (double free)"
    case .mallocMemory, .addressZero, .addressOne, .lastAddress, .freePageOfTheHeap,
      .notCommittedYet, .unmappedSlab, .unmappedSlabsLastUnit, .pageMapItself, .ownDescriptor,
      .foreignPointerInBulk, .foreignPointerToACache, .farInsideALargeBlock, .farInsideABlock,
      .blockFreedTwice:
      "slab: free: not an object of this allocator"
    case .interiorPointer, .interiorPointerOfALargeSlab, .behindTheLastObject,
      .insideALargeBlock, .insideABlock, .deferredInteriorPointer, .interiorPointerOfASharedSlab:
      "slab: free: not the start of an object"
    case .resizeInsideABlock: "slab: resize: not the start of an object"
    case .wrongCache, .wrongCacheInBulk: "slab: free: object of another cache"
    case .destroyOfAnInternalCache: "slab: destroy: a cache of the core's own"
    case .oneReleaseTooMany: "slab: release: more handles than there were"
    case .releaseOfTheRootGroup: "slab: release: the root group"
    case .releaseWithAChildOnline: "slab: release: child groups are online"
    case .deferredAfterItsDiscard: "slab: free: not an object of this allocator"
    }
  }

  func commit() throws {
    let allocator = try Allocator()
    switch self {
    case .doubleFreeAtTheSheafsTop, .doubleFreeThroughTheSlab, .doubleFreeInAColdCache,
      .doubleFreeInTheSheafFoundAtFlush:
      try freeTwice(allocator)
    case .doubleFreeInTheBarnFoundAtFlush: try freeTwiceThroughTheBarn(allocator)
    case .interiorPointer, .interiorPointerOfALargeSlab, .behindTheLastObject:
      try freeInside(allocator)
    case .wrongCache, .wrongCacheInBulk, .foreignPointerInBulk, .foreignPointerToACache:
      try freeToTheWrongPlace(allocator)
    case .destroyOfAnInternalCache:
      try allocator.destroy(allocator.groupsState.pointee.groups)
    case .oneReleaseTooMany:
      // Pinned by an object, so that the descriptor is there whatever the workers do.
      let root = try allocator.makePlainCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      _ = try allocator.allocate(from: root, in: group)
      allocator.release(group)
      allocator.release(group)
    case .releaseOfTheRootGroup:
      allocator.release(allocator.rootGroup)
    case .releaseWithAChildOnline:
      let parent = try allocator.makeGroup("parent")
      _ = try allocator.makeGroup("child", below: parent)
      allocator.release(parent)
    case .insideALargeBlock:
      allocator.free(try allocator.allocate(bytes: 1 << 20, in: allocator.rootGroup) + 16)
    case .farInsideALargeBlock:
      // Behind the first unit the page map says nothing of a run of one object.
      allocator.free(try allocator.allocate(bytes: 1 << 20, in: allocator.rootGroup) + 4096)
    case .insideABlock, .farInsideABlock, .blockFreedTwice, .resizeInsideABlock:
      try misuseBlock(of: allocator)
    case .deferredInteriorPointer, .deferredAfterItsDiscard: try deferBadly(allocator)
    case .doubleFreeInASharedSlab, .interiorPointerOfASharedSlab: try freeBadly(allocator)
    default:
      try freeForeign(allocator)
    }
  }

  private func misuseBlock(of allocator: Allocator) throws {
    let block = try allocator.allocate(bytes: 100_000, in: allocator.rootGroup)
    switch self {
    case .insideABlock: allocator.free(block + 16)
    case .farInsideABlock: allocator.free(block + 4096)
    case .resizeInsideABlock:
      _ = try allocator.resize(block + 16, toBytes: 200_000, in: allocator.rootGroup)
    default:
      allocator.free(block)
      allocator.free(block)
    }
  }

  /// Others are allocated and freed in between: a shared slab knows it all the same.
  private func freeBadly(_ allocator: Allocator) throws {
    let group = try allocator.makeGroup("group", memory: .shared)
    let objects = try (0..<100).map { _ in try allocator.allocate(bytes: 64, in: group) }
    if self == .interiorPointerOfASharedSlab { return allocator.free(objects[0] + 8) }
    for object in objects { allocator.free(object) }
    allocator.free(objects[0])
  }

  private func deferBadly(_ allocator: Allocator) throws {
    let root = try allocator.makePlainCache("cache", size: 64)
    let group = try allocator.makeGroup("group")
    let object = try allocator.allocate(from: root, in: group)
    if self == .deferredInteriorPointer { return allocator.freeAfterGracePeriod(object + 8) }
    try allocator.discard(group)
    allocator.waitUntilIdle()
    allocator.freeAfterGracePeriod(object)
    allocator.barrier()
  }

  private func freeTwiceThroughTheBarn(_ allocator: Allocator) throws {
    let root = try allocator.makePlainCache("cache", size: 64)
    try onOneCPU {
      try fillBarn(of: root, allocator)
      // On top of the sheaf is another one.
      let objects = try allocator.allocate(2, from: root)
      let parked = unsafe root.cache.pointee.barn!.pointee.full!.objects(1)[0]
      allocator.freeAll([objects[0], parked, objects[1]])
      root.cache.shrink()
    }
  }

  private func freeTwice(_ allocator: Allocator) throws {
    let root = try allocator.makePlainCache("cache", size: 64)
    // The sixteenth opens the sheaf, which is empty then.
    let objects = try allocator.allocate(16, from: root)
    try #require(root.cache.hasSheaf && root.cache.sheafObjects == 0)
    try onOneCPU {
      switch self {
      case .doubleFreeAtTheSheafsTop: break
      case .doubleFreeThroughTheSlab:
        // Back in its slab by the flush of the sheaf, which is closed then.
        allocator.free(objects[3])
        root.cache.shrink()
      case .doubleFreeInTheSheafFoundAtFlush:
        allocator.freeAll([objects[3], objects[4], objects[3]])
        root.cache.shrink()
      default:
        try allocator.setSheafCapacity(0, of: root)
        allocator.freeAll([objects[3], objects[4]])
      }
      if self == .doubleFreeAtTheSheafsTop { allocator.free(objects[3]) }
      allocator.free(objects[3])
    }
  }

  private func freeForeign(_ allocator: Allocator) throws {
    let map = allocator.pages.pointee.map
    switch self {
    case .mallocMemory: allocator.free(UInt(bitPattern: unsafe malloc(64)))
    case .addressZero: allocator.free(0)
    case .addressOne: allocator.free(1)
    case .lastAddress: allocator.free(.max)
    case .freePageOfTheHeap:
      allocator.free(map.address(ofUnit: allocator.takeFreePages()[0].unit))
    case .notCommittedYet:
      let unit = allocator.pages.pointee.endUnit + 1
      allocator.free(map.address(ofUnit: unit))
    case .unmappedSlab:
      let root = try allocator.makeColdCache("cache", size: 64)
      try allocator.setMinPartial(0, of: root)
      let object = try allocator.allocate(from: root, in: nil)
      allocator.free(object)
      allocator.free(object)
    case .unmappedSlabsLastUnit:
      // An object of a page in each of its four units.
      let root = try allocator.makeColdCache("cache", size: 1024)
      try allocator.setMinPartial(0, of: root)
      let objects = try allocator.allocate(4, from: root)
      allocator.freeAll(objects)
      allocator.free(objects[3])
    case .pageMapItself: allocator.free(map.words.address)
    default: allocator.free(allocator.address)
    }
  }

  private func freeInside(_ allocator: Allocator) throws {
    let size = self == .interiorPointerOfALargeSlab ? 5888 : 192
    let root = try allocator.makeColdCache("cache", size: size)
    let object = try allocator.allocate(from: root, in: nil)
    switch self {
    case .behindTheLastObject:
      // 21 objects fill 4,032 of the page's 4,096 bytes.
      allocator.free(object + 4032)
    case .interiorPointerOfALargeSlab: allocator.free(object + 8)
    default: allocator.free(object + 1)
    }
  }

  private func freeToTheWrongPlace(_ allocator: Allocator) throws {
    let first = try allocator.makePlainCache("first", size: 64)
    let second = try allocator.makePlainCache("second", size: 64)
    let object = try allocator.allocate(from: first, in: nil)
    let other = try allocator.allocate(from: second, in: nil)
    switch self {
    case .wrongCache: SharedHeap.free(object, to: second)
    case .wrongCacheInBulk: second.cache.freeBulk([other, object])
    case .foreignPointerInBulk: second.cache.freeBulk([other, 64])
    default: SharedHeap.free(64, to: first)
    }
  }
}

@Suite(.inTurn) struct ContractTests {
  @Test(arguments: BrokenContract.allCases)
  func endsTheProcessWithItsLine(_ contract: BrokenContract) async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) { [contract] in
      // Without the runtime's crash handler, which adds a backtrace.
      _ = signal(SIGABRT, SIG_DFL)
      try contract.commit()
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text == contract.line + "\n")
  }
}
