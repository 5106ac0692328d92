internal import SlabCore

/// How the objects of a cache are kept.
public struct SlabCacheOptions: OptionSet, Sendable {
  public let rawValue: UInt32

  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Objects on cache lines of their own, as far as their size allows (`SLAB_HWCACHE_ALIGN`): against
  /// false sharing, for more memory.
  public static let hardwareCacheAligned = SlabCacheOptions(rawValue: 1 << 0)
  /// To read-side sections the memory of an object stays an object of this cache, though perhaps
  /// another one (`SLAB_TYPESAFE_BY_RCU`): slabs go back only after a grace period, objects are used
  /// again at once.
  public static let typeSafe = SlabCacheOptions(rawValue: 1 << 1)

  var core: CacheOptions { CacheOptions(rawValue: rawValue) }
}
