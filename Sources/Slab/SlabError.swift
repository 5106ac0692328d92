// SPDX-License-Identifier: Apache-2.0
public import SlabCore
public import SlabPlatform
internal import Synchronization

/// What an operation answers when memory or a limit is short, or an argument is no good.
///
/// A broken contract (an object freed twice, a pointer that is not the allocator's, the wrong
/// cache) is not an error: the process writes one line and ends.
///
/// The compiler asks a `switch` in another package for an `@unknown default`: a later version may have more
/// cases. An error that names a group holds it, as any copy of a ``MemoryGroup`` does; it is made without an
/// allocation, and the group's path when its description is asked for.
@nonexhaustive
public enum SlabError: Error, Equatable, Sendable {
  /// The system refused memory, or the allocator's addresses are used up: for an object of so many bytes
  /// of this group, or, with 0 bytes and no group, for what the allocator needs itself to make a cache, a
  /// group or a table. No group either where the object would have been charged to no group.
  case outOfMemory(group: MemoryGroup?, bytes: Int)
  /// The shared allocator has been made already.
  case sharedAllocatorInUse
  /// The system refused addresses, with this error number: an allocator needs so many bytes of them at
  /// least, in all.
  case outOfAddressSpace(bytes: Int, errno: Int32)
  /// A setting of `SlabAllocator.Configuration`, by its name, that is out of its bounds.
  case invalidSetting(name: String, value: Int)
  /// The kernel's pages are larger than 64 KiB.
  case unsupportedPageSize(bytes: Int)
  /// `SLAB_PERCPU=rseq` was asked for where the kernel or the C library lacks it.
  case restartableSequencesUnavailable
  /// `SLAB_PERCPU` is neither `rseq` nor `fallback`.
  case unknownPerCPUMode
  /// An allocation of so many bytes would have exceeded `max` of a group, the allocation's own or one
  /// above it, also after reclaim. Nothing was charged anywhere. `group` is the one that refused.
  case limitReached(group: MemoryGroup, bytes: Int, maxBytes: Int)
  /// The group is offline: it allocates no more.
  case groupOffline(group: MemoryGroup)
  /// The group has child groups that are online: under `LifecycleDesign.linux410`, where another
  /// thread makes one while it goes offline.
  case groupHasChildren
  /// The group cannot be discarded, since objects of it or of a group below it are in shared slabs: see `MemoryPolicy`.
  case groupShared
  /// The root group cannot be limited or go offline.
  case rootGroup
  /// The group would be more than 64 levels deep.
  case groupTooDeep
  /// Objects of the cache are live. Nothing was changed.
  case cacheBusy(objects: Int)
  /// The cache has been destroyed.
  case cacheDestroyed
  /// A cache's: not 1 to 63 bytes without blanks, control and invisible characters. A group's: not 1 to
  /// 255 bytes without these and slashes, or `.` or `..`. Caches' names that begin with `core:` are the
  /// allocator's own.
  case invalidName
  /// A cache of this name exists; `name` is the whole of it, with its name space.
  case nameInUse(name: String)
  /// The parent has a child group of this name that is online.
  case groupNameInUse
  /// Not 1 byte to 32 KiB.
  case invalidObjectSize
  /// Not a power of two up to 4,096, for a buffer up to 1 GiB.
  case invalidAlignment
  /// Conflicting or unknown options.
  case invalidOptions
  /// A buffer or array of so many bytes; `MemoryGroup.largestAllocation` is the most.
  case allocationTooLarge(bytes: Int)
  /// A buffer of fewer than 0 bytes.
  case invalidCapacity
  /// A limit below zero, or a capacity above that of the largest sheaf.
  case invalidLimit
  /// So many caches as there can be, at most: those that have ended count while objects of theirs live, and a
  /// few are the allocator's own.
  case tooManyCaches(limit: Int)
  /// So many groups are online as can be, at most.
  case tooManyGroups(limit: Int)
}

extension SlabError {
  /// What an allocation in a named group answers.
  @usableFromInline @inline(never)
  init(
    _ error: AllocatorError, allocatingFrom root: Pointer<RootCache>,
    in group: borrowing MemoryGroup
  ) {
    // Borrowed: for an argument of its own the fast path would have to retain the handle.
    self.init(error, bytes: root.objectSize, of: copy group)
  }

  /// What an allocation that names no group answers: the group is the current one where that is of the
  /// cache's allocator, and none where no group is charged.
  @usableFromInline @inline(never)
  init(_ error: AllocatorError, allocatingFrom root: Pointer<RootCache>) {
    let group = CurrentGroup.handle.map { MemoryGroup($0) }
    let isCharged = group?.allocator == Allocator(of: root.cache)
    self.init(error, bytes: root.objectSize, of: isCharged ? group : nil)
  }

  /// Where a cache is made.
  init(_ error: AllocatorError, makingCache name: String) {
    self.init(error, cacheName: name)
  }

  /// - Parameters:
  ///   - bytes: what was asked for.
  ///   - group: the group that was asked; every call that a group can refuse has one.
  init(
    _ error: AllocatorError, bytes: Int = 0, of group: MemoryGroup? = nil, cacheName: String = ""
  ) {
    switch error {
    case .outOfMemory: self = .outOfMemory(group: group, bytes: bytes)
    case .outOfAddressSpace(let bytes, let errno):
      self = .outOfAddressSpace(bytes: bytes, errno: errno.rawValue)
    case .invalidSetting(let setting, let value):
      self = .invalidSetting(name: String(describing: setting), value: value)
    case .unsupportedPageSize(let bytes): self = .unsupportedPageSize(bytes: bytes)
    case .restartableSequencesUnavailable: self = .restartableSequencesUnavailable
    case .unknownPerCPUMode: self = .unknownPerCPUMode
    case .groupLimit(let refusing):
      let refusing = group!.selfOrAncestor(refusing.group)
      self = .limitReached(group: refusing, bytes: bytes, maxBytes: refusing.max ?? .max)
    case .groupOffline: self = .groupOffline(group: group!)
    case .groupHasChildren: self = .groupHasChildren
    case .groupShared: self = .groupShared
    // A group is made what it is before any other code has it.
    case .groupInUse: fatalError("a new group is in use")
    case .rootGroup: self = .rootGroup
    case .groupTooDeep: self = .groupTooDeep
    case .cacheBusy(let objects): self = .cacheBusy(objects: objects)
    case .cacheDestroyed: self = .cacheDestroyed
    case .invalidName: self = .invalidName
    case .nameInUse: self = .nameInUse(name: cacheName)
    case .groupNameInUse: self = .groupNameInUse
    case .invalidObjectSize: self = .invalidObjectSize
    case .invalidAlignment: self = .invalidAlignment
    case .invalidOptions: self = .invalidOptions
    case .invalidLimit: self = .invalidLimit
    case .tooManyCaches(let limit): self = .tooManyCaches(limit: limit)
    case .tooManyGroups(let limit): self = .tooManyGroups(limit: limit)
    }
  }
}

extension SlabError: CustomStringConvertible {
  /// One line for people, which names the group and the sizes where there are any. Not to be parsed: its
  /// text may change in any version. O(length), in the language's heap.
  public var description: String {
    switch self {
    case .outOfMemory(let group, let bytes):
      bytes == 0
        ? "no memory for descriptors: the system refused, or the reserved addresses are used up"
        : "group \(group?.path ?? "/"): no memory for \(bytes) bytes: the system refused, or the reserved addresses are used up"
    case .outOfAddressSpace(let bytes, let errno):
      "no addresses (errno \(errno)): an allocator needs \(bytes) bytes of them at least, and the limit on address space (ulimit -v) leaves fewer"
    case .invalidSetting(let name, let value):
      name == "addressSpaceBytes"
        ? "\(name) is \(value): it is above 0" : "\(name) is \(value): it is 1 to 8"
    case .unsupportedPageSize(let bytes):
      "pages of \(bytes) bytes: the largest that are supported have 65536"
    case .restartableSequencesUnavailable:
      "SLAB_PERCPU=rseq: this kernel or C library has no restartable sequences"
    case .unknownPerCPUMode: "SLAB_PERCPU must be rseq or fallback"
    case .sharedAllocatorInUse: "the shared allocator has been made already"
    case .limitReached(let group, let bytes, let maxBytes):
      "group \(group): no room for \(bytes) bytes within the limit of \(maxBytes) bytes"
    case .groupOffline(let group): "group \(group) is offline"
    case .groupHasChildren: "the group has child groups that are online"
    case .groupShared: "objects of the group are among those of others in shared slabs"
    case .rootGroup: "not possible for the root group"
    case .groupTooDeep: "groups can be \(Group.deepest) levels deep"
    case .cacheBusy(let objects): "the cache has \(objects) live objects"
    case .cacheDestroyed: "the cache has been destroyed"
    case .invalidName:
      "a cache's name is 1 to 63 bytes without blanks and does not begin with core:, a group's 1 to 255 without blanks and slashes"
    case .groupNameInUse: "the parent has an online child of this name"
    case .nameInUse(let name): "a cache named \(name) exists"
    case .invalidObjectSize: "an object has 1 to 32768 bytes"
    case .invalidAlignment: "an alignment is a power of two up to 4096, of a buffer up to 1 GiB"
    case .invalidOptions: "conflicting or unknown options"
    case .invalidCapacity: "a buffer has 0 bytes or more"
    case .allocationTooLarge(let bytes):
      "a block of \(bytes) bytes; the largest has \(MemoryGroup.largestAllocation)"
    case .invalidLimit: "a limit is not negative, a sheaf's capacity not above the largest"
    case .tooManyCaches(let limit): "an allocator has at most \(limit) caches"
    case .tooManyGroups(let limit): "an allocator has at most \(limit) groups that are online"
    }
  }
}
