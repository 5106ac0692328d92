// SPDX-License-Identifier: Apache-2.0
// One object at a time. What is inlined into the caller is the look into the group's table and the
// restartable sequence; everything else is behind one call.

public import SlabCore
public import SlabPlatform

extension SlabCache where Object: ~Copyable {
  /// Allocates an object that is charged to a group, and above it up to the root group.
  ///
  /// A restartable sequence when the group's cache is warm; else a short lock, perhaps a new slab with
  /// a system call, perhaps reclaim if the group is at its limit. Never waits for an ending.
  ///
  /// - Parameters:
  ///   - value: what the object is to be; if the call throws it is gone.
  ///   - group: the group that is charged, slab by slab. Its child of this cache is made on first use.
  /// - Returns: the object's owner, which frees it in the end.
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.cacheDestroyed`.
  @inlinable @inline(__always)
  public func allocate(
    _ value: consuming Object, in group: MemoryGroup
  ) throws(SlabError) -> Slot<Object> {
    let slot = Slot<Object>(uninitializedAt: try allocateMemory(in: group))
    // SAFETY: the memory is ours, large and aligned enough, and uninitialised.
    unsafe slot.pointer.initialize(to: value)
    return slot
  }

  /// The same, charged to the current group: see `MemoryGroup.withCurrent`. A few nanoseconds
  /// more. If that group belongs to another allocator than the cache, no group is charged.
  ///
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.cacheDestroyed`.
  @inlinable @inline(__always)
  public func allocate(_ value: consuming Object) throws(SlabError) -> Slot<Object> {
    let slot = Slot<Object>(uninitializedAt: try allocateMemory())
    // SAFETY: as above.
    unsafe slot.pointer.initialize(to: value)
    return slot
  }

  /// Allocates an object if there is memory for it within the limits, and makes it only then. Costs as
  /// `allocate`.
  ///
  /// - Parameters:
  ///   - group: the group that is charged.
  ///   - make: makes the object; called at most once. If it throws, nothing has been allocated.
  /// - Returns: `nil` where `allocate` would throw.
  @inlinable @inline(__always)
  public func allocateIfPossible<Failure: Error>(
    in group: MemoryGroup, _ make: () throws(Failure) -> Object
  ) throws(Failure) -> Slot<Object>? {
    let memory: UInt
    do throws(AllocatorError) {
      memory = try allocateAddress(in: group)
    } catch { return nil }
    return try Self.fill(memory, make)
  }

  /// The same, charged to the current group.
  @inlinable @inline(__always)
  public func allocateIfPossible<Failure: Error>(
    _ make: () throws(Failure) -> Object
  ) throws(Failure) -> Slot<Object>? {
    let memory: UInt
    do throws(AllocatorError) {
      memory = try allocateAddress()
    } catch { return nil }
    return try Self.fill(memory, make)
  }

  @inlinable @inline(__always)
  static func fill<Failure: Error>(
    _ memory: UInt, _ make: () throws(Failure) -> Object
  ) throws(Failure) -> Slot<Object> {
    do throws(Failure) {
      let value = try make()
      let slot = Slot<Object>(uninitializedAt: memory)
      // SAFETY: the memory is ours, large and aligned enough, and uninitialised.
      unsafe slot.pointer.initialize(to: value)
      return slot
    } catch {
      SharedHeap.free(memory)
      throw error
    }
  }

  @inlinable @inline(__always)
  func allocateMemory(in group: MemoryGroup) throws(SlabError) -> UInt {
    do throws(AllocatorError) {
      return try allocateAddress(in: group)
    } catch { throw SlabError(error, allocatingFrom: core, in: group) }
  }

  @inlinable @inline(__always)
  func allocateMemory() throws(SlabError) -> UInt {
    do throws(AllocatorError) {
      return try allocateAddress()
    } catch { throw SlabError(error, allocatingFrom: core) }
  }

  // The handles live until the object is there: what is inlined into the caller reads descriptors that only they
  // keep, and the optimiser may end a handle after its last use.

  @inlinable @inline(__always)
  func allocateAddress(in group: MemoryGroup) throws(AllocatorError) -> UInt {
    defer {
      extendLifetime(handle)
      extendLifetime(group.handle)
    }
    try checkIsLive()
    return try Allocator.allocate(from: core, in: group.core)
  }

  @inlinable @inline(__always)
  func allocateAddress() throws(AllocatorError) -> UInt {
    defer { extendLifetime(handle) }
    try checkIsLive()
    return try Allocator.allocate(from: core, ifPossibleIn: CurrentGroup.core)
  }
}
