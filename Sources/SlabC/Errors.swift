// SPDX-License-Identifier: Apache-2.0
// Errors as values, and the allocator of the process. What each function does is said in slab.h.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CSlab
internal import SlabCore
internal import SlabPlatform

@c @implementation
public func slab_start() -> slab_error {
  answer { () throws(AllocatorError) in _ = try sharedAllocator() }
}

@c @implementation
public func slab_trim() { SharedHeap.allocator?.trim() }

@c @implementation
public func slab_wait_until_idle() { SharedHeap.allocator?.waitUntilIdle() }

@c @implementation
public func slab_error_text(_ error: slab_error) -> UnsafePointer<CChar>! {
  // SAFETY: a static string is immortal, ends with a zero byte, and its bytes are characters of C.
  unsafe UnsafeRawPointer(error.text.utf8Start).assumingMemoryBound(to: CChar.self)
}

/// The allocator of the process, made at the first use.
@inline(__always)
func sharedAllocator() throws(AllocatorError) -> Allocator {
  if let allocator = SharedHeap.allocator { return allocator }
  return try makeSharedAllocator()
}

@inline(never)
private func makeSharedAllocator() throws(AllocatorError) -> Allocator {
  try SharedHeap.makeAllocator().allocator
}

/// The error that a body throws, as a value.
@inline(__always)
func answer(_ body: () throws(AllocatorError) -> Void) -> slab_error {
  do throws(AllocatorError) { try body() } catch { return slab_error(error) }
  return SLAB_OK
}

extension slab_error {
  init(_ error: AllocatorError) {
    self =
      switch error {
      case .outOfMemory: SLAB_OUT_OF_MEMORY
      case .outOfAddressSpace: SLAB_OUT_OF_ADDRESS_SPACE
      case .unsupportedPageSize: SLAB_UNSUPPORTED_PAGE_SIZE
      case .restartableSequencesUnavailable: SLAB_NO_RESTARTABLE_SEQUENCES
      case .unknownPerCPUMode: SLAB_UNKNOWN_PERCPU_MODE
      case .groupLimit: SLAB_LIMIT_REACHED
      case .groupOffline: SLAB_GROUP_OFFLINE
      case .groupShared: SLAB_GROUP_SHARED
      case .groupInUse: SLAB_GROUP_IN_USE
      case .rootGroup: SLAB_ROOT_GROUP
      case .groupTooDeep: SLAB_GROUP_TOO_DEEP
      case .groupNameInUse: SLAB_GROUP_NAME_IN_USE
      case .tooManyGroups: SLAB_TOO_MANY_GROUPS
      case .cacheBusy: SLAB_CACHE_BUSY
      case .cacheDestroyed: SLAB_CACHE_DESTROYED
      case .nameInUse: SLAB_CACHE_NAME_IN_USE
      case .tooManyCaches: SLAB_TOO_MANY_CACHES
      case .invalidName: SLAB_INVALID_NAME
      case .invalidObjectSize: SLAB_INVALID_SIZE
      case .invalidAlignment: SLAB_INVALID_ALIGNMENT
      case .invalidOptions: SLAB_INVALID_OPTIONS
      // Of settings and numbers that no function of this interface passes on.
      case .invalidSetting, .invalidLimit, .groupHasChildren:
        fatal("C: an error that has no number")
      }
  }

  fileprivate var text: StaticString {
    switch self {
    case SLAB_OK: "no error"
    case SLAB_OUT_OF_MEMORY: "the system refused memory, or the reserved addresses are used up"
    case SLAB_LIMIT_REACHED: "a group's limit leaves no room"
    case SLAB_GROUP_OFFLINE: "the group is offline"
    case SLAB_GROUP_SHARED: "objects of the group are among those of others in shared slabs"
    case SLAB_GROUP_IN_USE: "the group has allocated already"
    case SLAB_ROOT_GROUP: "not possible for the root group"
    case SLAB_GROUP_TOO_DEEP: "groups can be 64 levels deep"
    case SLAB_GROUP_NAME_IN_USE: "the parent has an online child of this name"
    case SLAB_TOO_MANY_GROUPS: "as many groups are online as can be"
    case SLAB_NO_SUCH_GROUP: "no online group has this path"
    case SLAB_CACHE_BUSY: "the cache has live objects"
    case SLAB_CACHE_DESTROYED: "the cache has been destroyed"
    case SLAB_CACHE_NAME_IN_USE: "a cache of this name exists"
    case SLAB_TOO_MANY_CACHES: "there are as many caches as can be"
    case SLAB_INVALID_NAME:
      "a cache's name is 1 to 63 bytes without blanks and does not begin with core:, a group's 1 to 255 without blanks and slashes"
    case SLAB_INVALID_SIZE: "an object has 1 to 32768 bytes, and a block has its limit as well"
    case SLAB_INVALID_ALIGNMENT: "an alignment is a power of two up to 4096, of a block up to 1 GiB"
    case SLAB_INVALID_OPTIONS: "conflicting or unknown options"
    case SLAB_OUT_OF_ADDRESS_SPACE:
      "the limit on address space (ulimit -v) leaves fewer addresses than an allocator needs"
    case SLAB_UNSUPPORTED_PAGE_SIZE: "the largest pages that are supported have 65536 bytes"
    case SLAB_NO_RESTARTABLE_SEQUENCES:
      "SLAB_PERCPU=rseq: this kernel or C library has no restartable sequences"
    case SLAB_UNKNOWN_PERCPU_MODE: "SLAB_PERCPU must be rseq or fallback"
    default: "unknown error"
    }
  }
}
