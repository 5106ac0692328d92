// SPDX-License-Identifier: Apache-2.0
// The slow paths of malloc: whatever no sheaf had, and whatever no sheaf took.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

internal import CSlabMalloc
internal import SlabCore
internal import SlabPlatform

/// The allocator; there is one before any of these functions is called.
private var allocator: Allocator { SharedHeap.allocator! }

@c @implementation
public func slab_malloc_core_allocate(
  _ group: UInt, _ bytes: Int, _ alignment: Int, _ isZeroed: CInt,
  _ block: UnsafeMutablePointer<UInt>
) -> CInt {
  do throws(AllocatorError) {
    // SAFETY: the caller's variable.
    unsafe block.pointee = try inGroup(group) { charged throws(AllocatorError) in
      try allocate(bytes, alignment, isZeroed: isZeroed != 0, in: charged, for: group)
    }
    return 0
  } catch {
    return error.errorNumber
  }
}

@c @implementation
public func slab_malloc_core_resize(
  _ group: UInt, _ bytes: Int, _ block: UnsafeMutablePointer<UInt>
) -> CInt {
  do throws(AllocatorError) {
    // SAFETY: the caller's variable.
    unsafe block.pointee = try inGroup(group) { group throws(AllocatorError) in
      try unsafe allocator.resize(block.pointee, toBytes: bytes, in: group)
    }
    return 0
  } catch {
    return error.errorNumber
  }
}

/// Runs a body with the group in effect, which it charges. In a Swift program, where a refusal ends the process, one
/// that has gone offline passes the charge to the nearest ancestor that is online, as it has passed what it had; and one
/// of another allocator is as good as none.
private func inGroup(
  _ entered: UInt, _ body: (Pointer<Group>) throws(AllocatorError) -> UInt
) throws(AllocatorError) -> UInt {
  // SAFETY: the group that the thread has entered, of which it has a hold, or that its task has; or the process's,
  // which stays.
  let process = unsafe Pointer<Group>(nonzeroAddress: slab_malloc_get_process_group())
  let group = entered == 0 ? process : unsafe Pointer<Group>(nonzeroAddress: entered)
  #if hasFeature(Embedded)
    return try body(group)
  #else
    var charged = Allocator(of: group) == allocator ? group : process
    while true {
      do throws(AllocatorError) { return try body(charged) } catch {
        guard case .groupOffline = error, let parent = charged.parent else { throw error }
        charged = parent
      }
    }
  #endif
}

private func allocate(
  _ bytes: Int, _ alignment: Int, isZeroed: Bool, in group: Pointer<Group>, for entered: UInt
) throws(AllocatorError) -> UInt {
  let allocator = allocator
  guard alignment <= slab_malloc_alignment, bytes <= slab_malloc_largest_small else {
    return try allocator.allocate(
      bytes: bytes, alignment: alignment, in: group, isZeroed: isZeroed)
  }
  let index = allocator.sizeClass(forBytes: bytes)
  guard let cache = try allocator.cache(ofSizeClass: index, in: group) else {
    let object = try allocator.allocate(bytes: bytes, alignment: alignment, in: group)
    if entered == group.address { keepShared(object, ofSizeClass: index, in: group) }
    return object
  }
  let object = try cache.allocate()
  if entered == 0 {
    slab_malloc_put(1 + index, cache.address)
  } else if entered == group.address {
    group.keepForMalloc(cache, at: 1 + index)
  }
  return object
}

@c @implementation
public func slab_malloc_core_free(_ block: UInt) { allocator.free(block) }

@c @implementation
public func slab_malloc_core_usable(_ block: UInt) -> Int { allocator.usableBytes(of: block) }

@c @implementation
public func slab_malloc_core_work() { allocator.workIfWanted() }
