// SPDX-License-Identifier: Apache-2.0
// Many objects at once: one sequence for those in the sheaf, one turn of the cache's lock for each
// slab's worth of the rest. What is generic is inlined into the client; the core moves addresses.

public import SlabCore
public import SlabPlatform

extension SlabCache where Object: ~Copyable {
  /// Fills the rest of a span with objects that are charged to a group, or throws and has allocated
  /// none. O(free capacity of the span); locks and system calls as `allocate`.
  ///
  /// - Parameters:
  ///   - slots: the span to fill, for example of `SlabArray.append(addingCount:initializingWith:)`.
  ///   - group: the group that is charged.
  ///   - make: makes an object; called with 0, 1, 2 and so on. Objects that were made before the call
  ///     throws are ended again.
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.cacheDestroyed`; the span is as it was.
  @inlinable
  public func allocate(
    filling slots: inout OutputSpan<Slot<Object>>, in group: MemoryGroup,
    _ make: (Int) -> Object
  ) throws(SlabError) {
    try fill(&slots, in: group, make)
  }

  /// The same, charged to the current group.
  @inlinable
  public func allocate(
    filling slots: inout OutputSpan<Slot<Object>>, _ make: (Int) -> Object
  ) throws(SlabError) {
    try fill(&slots, in: nil, make)
  }

  /// In the current group for `nil`.
  @inlinable
  func fill(
    _ slots: inout OutputSpan<Slot<Object>>, in group: MemoryGroup?, _ make: (Int) -> Object
  ) throws(SlabError) {
    do throws(AllocatorError) { try checkIsLive() } catch { throw .cacheDestroyed }
    var made = 0
    while slots.freeCapacity > 0 {
      let wanted = min(slots.freeCapacity, BulkMemory.turn)
      var failure: SlabError?
      // SAFETY: the buffer is used within its scope and its count.
      unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: wanted) { memory in
        failure = unsafe BulkMemory.allocate(memory, from: core, in: group)
        guard failure == nil else { return }
        for index in 0..<wanted {
          let slot = unsafe Slot<Object>(uninitializedAt: memory[index])
          // SAFETY: the memory is ours and uninitialised.
          unsafe slot.pointer.initialize(to: make(made))
          slots.append(slot)
          made += 1
        }
      }
      guard let failure else { continue }
      for _ in 0..<made { _ = slots.removeLast() }
      throw failure
    }
  }

  /// Empties a span and frees the objects in it, which may be of different caches and groups. O(count): a
  /// sequence, or a turn of the cache's lock, for up to 128 objects of one cache; never waits for an ending.
  @inlinable
  public static func free(_ slots: inout OutputSpan<Slot<Object>>) {
    while !slots.isEmpty {
      let count = min(slots.count, BulkMemory.turn)
      // SAFETY: as above.
      unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: count) { memory in
        for index in 0..<count { unsafe memory[index] = slots.removeLast().endObject() }
        unsafe BulkMemory.free(memory)
      }
    }
  }
}

/// Addresses of objects, many at a time.
@usableFromInline
enum BulkMemory {
  /// Objects that move between a cache and a caller in one turn: as many addresses fit on a stack.
  @inlinable static var turn: Int { 128 }

  /// Fills the buffer with objects, or says why it has allocated none.
  @usableFromInline
  static func allocate(
    _ memory: UnsafeMutableBufferPointer<UInt>, from root: Pointer<RootCache>,
    in group: MemoryGroup?
  ) -> SlabError? {
    do {
      try unsafe Allocator(of: root.cache).allocate(
        bulk: memory, from: root, in: group?.core ?? currentGroup(for: root))
      return nil
    } catch {
      if let group { return SlabError(error, allocatingFrom: root, in: group) }
      return SlabError(error, allocatingFrom: root)
    }
  }

  /// The current group, if it is one of the cache's allocator; else that allocator's root group.
  private static func currentGroup(for root: Pointer<RootCache>) -> Pointer<Group> {
    let allocator = Allocator(of: root.cache)
    guard let group = CurrentGroup.core, Allocator(of: group) == allocator else {
      return allocator.rootGroup
    }
    return group
  }

  @usableFromInline
  static func free(_ memory: UnsafeMutableBufferPointer<UInt>) {
    unsafe SharedHeap.free(bulk: memory)
  }
}
