// SPDX-License-Identifier: Apache-2.0
// The n-th system call fails, n = 1, 2, 3 … until the operation succeeds: a proper error or success
// each time, every structure whole afterwards, and nothing lost.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// An operation that makes system calls, once it is brought to do so.
enum FailingOperation: String, CaseIterable, Codable, Sendable {
  case makeCache, makeMergeableCache, mergeCache, makeGroup, firstAllocation,
    firstAllocationOfTheRoot, newSlab, openSheaf
  case slabWithoutDescriptor
  case growTable, offline, offlineInUse, destroy, trim

  /// System calls that may fail for ever. Without the fence nothing can end: the one that waits for
  /// it waits until it works, so it fails once only.
  var repeatable: SystemCallSet {
    switch self {
    case .offline, .offlineInUse, .destroy: .failing.subtracting(.membarrier)
    default: .failing
    }
  }

  /// Failing calls that every run meets at least.
  var fewestCalls: Int {
    switch self {
    case .makeCache, .makeGroup, .firstAllocation, .firstAllocationOfTheRoot, .newSlab, .growTable,
      .slabWithoutDescriptor:
      2
    case .makeMergeableCache, .mergeCache, .openSheaf, .offline, .offlineInUse, .destroy, .trim: 1
    }
  }
}

/// An allocator with what the operation needs.
private final class Scene {
  let allocator: Allocator
  let operation: FailingOperation
  var roots: [Pointer<RootCache>] = []
  var users: [CacheReference] = []
  var groups: [Pointer<Group>] = []
  var objects: [UInt] = []
  var descriptors: [UInt] = []
  var runs: [Run] = []
  var error: AllocatorError?

  init(_ operation: FailingOperation) throws {
    self.operation = operation
    var configuration = AllocatorConfiguration()
    configuration.mergesCaches = operation == .makeMergeableCache || operation == .mergeCache
    allocator = try Allocator(configuration: configuration)
    switch operation {
    case .makeCache, .makeMergeableCache: break
    case .makeGroup: try useUpGroupDescriptors()
    case .growTable: for index in 0..<7 { try makeRoot(index) }
    default: try makeRoot(0)
    }
    if operation != .makeGroup { groups.append(try allocator.makeGroup("group")) }
    switch operation {
    case .newSlab: try allocate(8)
    case .offlineInUse, .destroy: try allocate(40)
    case .growTable: for root in roots.prefix(6) { objects.append(try allocate(from: root)) }
    case .openSheaf: try allocate(15)
    case .trim:
      try allocate(2000)
      freeObjects()
      for root in roots { root.cache.shrink() }
      groups[0].giveBackIdle()
    default: break
    }
    if operation == .destroy { freeObjects() }
    if operation == .slabWithoutDescriptor {
      try useUpSlabDescriptors()
    } else if operation != .trim {
      runs = allocator.takeFreePages()
    }
  }

  /// The first slab of descriptors is there from the start.
  private func useUpGroupDescriptors() throws {
    let cache = allocator.groupsState.pointee.groups.cache
    while cache.figures.inUse < cache.figures.total || cache.sheafObjects > 0 {
      groups.append(try allocator.makeGroup(""))
    }
  }

  /// Leaves the memory for one slab, but no descriptor for it.
  private func useUpSlabDescriptors() throws {
    let order = roots[0].geometry.fullOrder
    let run = try #require(allocator.pages.allocate(order: order, for: .nobody))
    runs = allocator.takeFreePages()
    let cache = allocator.cachesState.pointee.slabs.cache
    while cache.figures.inUse < cache.figures.total || cache.sheafObjects > 0 {
      descriptors.append(try cache.allocate())
    }
    allocator.pages.free(run, of: .nobody)
  }

  private func makeRoot(_ index: Int) throws {
    roots.append(try allocator.makePlainCache("cache-\(index)", size: 512))
  }

  private func allocate(from root: Pointer<RootCache>) throws(AllocatorError) -> UInt {
    try allocator.allocate(from: root, in: groups[0])
  }

  private func allocate(_ count: Int) throws(AllocatorError) {
    for _ in 0..<count { objects.append(try allocate(from: roots[0])) }
  }

  private func freeObjects() {
    allocator.freeAll(objects)
    objects = []
  }

  func operate() {
    do throws(AllocatorError) {
      switch operation {
      case .makeCache: roots.append(try allocator.makePlainCache("made", size: 64))
      case .makeMergeableCache, .mergeCache:
        let name = Array("merged".utf8)
        users.append(
          try unsafe allocator.makeReference(named: name.span, objectSize: 512, constructor: nil))
      case .makeGroup:
        groups.append(try allocator.makeGroup("group"))
      case .firstAllocation: objects.append(try allocate(from: roots[0]))
      case .firstAllocationOfTheRoot, .slabWithoutDescriptor:
        objects.append(try allocator.allocate(from: roots[0], in: nil))
      case .newSlab, .openSheaf: try allocate(1)
      case .growTable: objects.append(try allocate(from: roots[6]))
      case .offline, .offlineInUse:
        try allocator.close(groups[0])
        allocator.waitUntilIdle()
      case .destroy:
        let root = roots.removeLast()
        try allocator.destroy(root)
        allocator.waitUntilIdle()
      case .trim: allocator.trim()
      }
    } catch {
      self.error = error
    }
  }

  /// Ends everything; the bytes that are in use then, but for descriptors of roots, whose slabs stay: how
  /// large they are depends on what was refused.
  func end() throws -> Int {
    allocator.freePages(runs)
    allocator.freeAll(descriptors)
    freeObjects()
    for group in groups { allocator.release(group) }
    for root in roots { try allocator.destroy(root) }
    for user in users { try allocator.destroy(user) }
    allocator.waitUntilIdle()
    expectWhole(allocator)
    allocator.trim()
    let left = allocator.statistics
    #expect(left.groupsCreated == left.groupsReleased)
    #expect(left.childCachesCreated == left.childCachesReleased)
    #expect(left.rootCachesCreated == left.rootCachesReleased)
    #expect(left.chargedBytes == 0)
    let kept = allocator.cachesState.pointee.rootCaches.cache.figures.units * UnitMap.unitBytes
    allocator.unmapEverything()
    return left.usedBytes - kept
  }
}

private func isOutOfAddressSpace(_ error: AllocatorError) -> Bool {
  guard case .outOfAddressSpace(let bytes, .noMemory) = error else { return false }
  return bytes > 0
}

@Suite(.inTurn) struct FaultTests {
  @Test(arguments: FailingOperation.allCases, [false, true])
  func everyCallMayFail(_ operation: FailingOperation, _ repeating: Bool) async {
    await #expect(processExitsWith: .success) { [operation, repeating] in
      // A scene uses up what one CPU's sheaf has, and finds it there.
      try onOneCPU {
        let undisturbed = try Scene(operation)
        undisturbed.operate()
        #expect(undisturbed.error == nil)
        let used = try undisturbed.end()

        let calls = repeating ? operation.repeatable : .failing
        let failed = try failEachCall(of: calls, repeating: repeating) {
          try Scene(operation)
        } operate: { scene in
          scene.operate()
        } check: { scene, nth in
          if let error = scene.error { #expect(error == .outOfMemory) }
          expectWhole(scene.allocator)
          for (index, object) in scene.objects.enumerated() {
            fillObject(object, size: 512, tag: UInt64(index))
          }
          for (index, object) in scene.objects.enumerated() {
            #expect(isFilled(object, size: 512, tag: UInt64(index)))
          }
          // Undisturbed, the same works now.
          if scene.error != nil {
            scene.error = nil
            scene.operate()
            #expect(scene.error == nil)
          }
          let left = try scene.end()
          #expect(left == used, "call \(nth)")
        }
        #expect(failed >= operation.fewestCalls)
      }
    }
  }

  /// Making an allocator: whatever fails, the addresses go back.
  @Test(arguments: [false, true]) func makingAnAllocator(_ repeating: Bool) async {
    await #expect(processExitsWith: .success) { [repeating] in
      try Allocator().unmapEverything()
      let calls = SystemCallSet.failing.subtracting(.unmap)
      var mapped = mappedBytes()
      var errors = 0
      let failed = try failEachCall(of: calls, repeating: repeating) {
        mapped = mappedBytes()
        return Attempt()
      } operate: { attempt in
        attempt.make()
      } check: { attempt, nth in
        if let error = attempt.error {
          // The last one where SLAB_PERCPU=rseq leaves no other way.
          #expect(
            error == .outOfMemory || isOutOfAddressSpace(error)
              || error == .restartableSequencesUnavailable)
          errors += 1
        }
        if let allocator = attempt.allocator {
          expectWhole(allocator)
          let root = try allocator.makePlainCache("cache", size: 64)
          let group = try allocator.makeGroup("group")
          let object = try allocator.allocate(from: root, in: group)
          allocator.free(object)
          allocator.release(group)
          try allocator.destroy(root)
          allocator.waitUntilIdle()
          expectWhole(allocator)
          allocator.unmapEverything()
        }
        // A worker's stack and its heap may stay with the C library.
        let most = attempt.error == nil ? 100 << 20 : 1 << 20
        #expect(mappedBytes() - mapped < most, "call \(nth)")
      }
      #expect(failed >= 5)
      #expect(errors >= 2)
    }
  }

  /// Less address space where the system refuses: an allocator that works, or an error.
  @Test func reservationsShrink() async {
    await #expect(processExitsWith: .success) {
      var configuration = AllocatorConfiguration()
      configuration.addressSpaceBytes = 1
      let smallest = try Allocator(configuration: configuration)
      #expect(smallest.pages.pointee.map.unitLimit * 1024 == 16 << 20)
      smallest.unmapEverything()
      configuration.addressSpaceBytes = .max
      let largest = try Allocator(configuration: configuration)
      #expect(largest.pages.pointee.map.unitLimit * 1024 <= 128 << 30)
      expectWhole(largest)
      largest.unmapEverything()
    }
  }

  /// The end of the reservation, from the outside: an error, and everything usable on.
  @Test func reservationIsUsedUp() throws {
    var configuration = AllocatorConfiguration()
    configuration.addressSpaceBytes = 16 << 20
    try withAllocator(configuration: configuration) { allocator in
      let root = try allocator.makePlainCache("large", size: 32768)
      let group = try allocator.makeGroup("group")
      var objects: [UInt] = []
      for owner in [nil, group] {
        #expect(throws: AllocatorError.outOfMemory) {
          while true { objects.append(try allocator.allocate(from: root, in: owner)) }
        }
        expectWhole(allocator)
      }
      #expect(objects.count > 400)
      #expect(Set(objects).count == objects.count)
      let before = group.currentBytes
      #expect(throws: AllocatorError.outOfMemory) {
        _ = try allocator.allocate(from: root, in: group)
      }
      #expect(group.currentBytes == before)
      allocator.freeAll(objects)
      allocator.free(try allocator.allocate(from: root, in: group))
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// A fence that is refused is tried again; the batch waits for it, and holds no lock.
  @Test func refusedFenceIsTriedAgain() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        guard allocator.statistics.mode == .restartableSequences else { return }
        let root = try allocator.makePlainCache("cache", size: 64)
        let group = try allocator.makeGroup("group")
        var objects: [UInt] = []
        for _ in 0..<20 { objects.append(try allocator.allocate(from: root, in: group)) }
        allocator.freeAll(objects)
        // No worker: this thread is to do the batch.
        FaultInjection.failCall(1, of: .startThread, with: .noMemory, repeating: true)
        try allocator.close(group)
        #expect(FaultInjection.end() >= 1)
        FaultInjection.failCall(1, of: .membarrier, with: .noMemory)
        #expect(!allocator.runFenceBatch())
        #expect(FaultInjection.end() == 1)
        #expect(allocator.statistics.fences == 0)
        #expect(group.currentBytes > 0)
        #expect(allocator.runFenceBatch())
        #expect(allocator.statistics.fences == 1)
        #expect(group.currentBytes == 0)
        allocator.release(group)
        try allocator.destroy(root)
      }
    }
  }
}

private final class Attempt {
  var allocator: Allocator?
  var error: AllocatorError?

  func make() {
    do throws(AllocatorError) { allocator = try Allocator() } catch { self.error = error }
  }
}
