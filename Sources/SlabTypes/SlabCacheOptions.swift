// SPDX-License-Identifier: Apache-2.0

/// How the objects of a cache are kept: the kernel's `slab_flags_t`, as far as they apply here.
public struct SlabCacheOptions: OptionSet, Sendable {
  /// A bit for each option; which bit is which may change in a later version.
  public let rawValue: UInt8

  /// The options of some bits. A cache cannot be made with a bit that stands for no option. O(1).
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Objects on cache lines of their own, as far as their size allows (`SLAB_HWCACHE_ALIGN`): against
  /// false sharing, for more memory.
  @inlinable
  public static var hardwareCacheAligned: SlabCacheOptions { SlabCacheOptions(rawValue: 1 << 0) }
  /// To read-side sections the memory of an object stays an object of this cache, though perhaps
  /// another one (`SLAB_TYPESAFE_BY_RCU`): slabs go back only after a grace period, objects are used
  /// again at once. On its own of little use, since a public cache has no constructor: `SlabTable` is made of
  /// such objects. Never merged.
  @inlinable
  public static var typeSafe: SlabCacheOptions { SlabCacheOptions(rawValue: 1 << 1) }
  /// Free objects are filled with a pattern that is checked when they are handed out (`SLAB_POISON`):
  /// a write to an object after its end ends the process with one line. Slow: every operation
  /// takes the cache's lock. Not together with `typeSafe`. Never merged.
  @inlinable
  public static var poison: SlabCacheOptions { SlabCacheOptions(rawValue: 1 << 2) }
  /// Never merged with another cache (`SLAB_NO_MERGE`): see `SlabAllocator.Configuration.mergesCaches`.
  @inlinable
  public static var noMerge: SlabCacheOptions { SlabCacheOptions(rawValue: 1 << 3) }

  /// Every bit that stands for an option.
  package static var all: SlabCacheOptions { SlabCacheOptions(rawValue: 0b1111) }
}
