// SPDX-License-Identifier: Apache-2.0
// What an operation answers when something expected is scarce or an argument is no good. A broken
// contract (double free, foreign pointer, wrong cache) is no error: the process ends, see `fatal`.

public import SlabPlatform

@usableFromInline
package enum AllocatorError: Error, Equatable, Sendable {
  /// The system refused memory, or the reservation is used up.
  case outOfMemory
  /// The system refused addresses, with this error, also fewer of them: in all the allocator needs so many
  /// bytes at least.
  case outOfAddressSpace(bytes: Int, errno: Errno)
  /// The kernel's pages are larger than 64 KiB.
  case unsupportedPageSize(bytes: Int)
  /// A setting of the configuration that is none.
  case invalidSetting(AllocatorConfiguration.Setting, value: Int)
  /// `SLAB_PERCPU=rseq` was asked for where it cannot be had.
  case restartableSequencesUnavailable
  /// `SLAB_PERCPU` is neither `rseq` nor `fallback`.
  case unknownPerCPUMode
  /// A charge would have exceeded this group's `max`; nothing was charged anywhere.
  case groupLimit(RefusingGroup)
  /// The group is offline: it allocates no more.
  case groupOffline
  /// Objects of the group, or of one below it, may be in slabs that groups share.
  case groupShared
  /// The group has allocated already.
  case groupInUse
  /// The group has child groups that are online.
  case groupHasChildren
  /// The root group cannot be limited, go offline or be released.
  case rootGroup
  /// Deeper than `Group.deepest`.
  case groupTooDeep
  /// Objects of the cache are live; nothing was changed.
  case cacheBusy(objects: Int)
  /// The cache has been destroyed.
  case cacheDestroyed
  /// A cache's: not 1 to 63 bytes without blanks and control characters. A group's: not 1 to 255 bytes if
  /// it is to be found by it, else more than 4,095; or control characters.
  case invalidName
  /// A root cache of this name exists.
  case nameInUse
  /// An online child of the same parent has this name.
  case groupNameInUse
  /// Not 1 byte to 32 KiB.
  case invalidObjectSize
  /// Not a power of two up to a page.
  case invalidAlignment
  /// Options that exclude each other.
  case invalidOptions
  /// A limit or capacity below zero or, for a capacity, above the largest sheaf.
  case invalidLimit
  /// As many root caches as there can be, those of the core and of size classes too, and those that have
  /// ended and are not released yet.
  case tooManyCaches(limit: Int)
  /// As many groups are online as can be.
  case tooManyGroups(limit: Int)
}

/// The group that refused a charge: an address, so that an error names a descriptor without knowing it.
@usableFromInline
package struct RefusingGroup: Equatable, Sendable {
  let address: UInt
}
