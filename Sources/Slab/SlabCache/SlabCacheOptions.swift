internal import SlabCore

/// How the objects of a cache are kept.
public struct SlabCacheOptions: OptionSet, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Objects on cache lines of their own, as far as their size allows (`SLAB_HWCACHE_ALIGN`): against
  /// false sharing, for more memory.
  public static let hardwareCacheAligned = SlabCacheOptions(rawValue: 1 << 0)
  /// To read-side sections the memory of an object stays an object of this cache, though perhaps
  /// another one (`SLAB_TYPESAFE_BY_RCU`): slabs go back only after a grace period, objects are used
  /// again at once.
  public static let typeSafe = SlabCacheOptions(rawValue: 1 << 1)

  /// Free objects are filled with a pattern that is checked when they are handed out (`SLAB_POISON`):
  /// whoever writes to an object after its end ends the process with one line. Slow: every operation
  /// takes the cache's lock. Not together with `typeSafe`. Never merged.
  public static let poison = SlabCacheOptions(rawValue: 1 << 2)
  /// Never merged with another cache (`SLAB_NO_MERGE`): see `SlabAllocator.Configuration.mergesCaches`.
  public static let noMerge = SlabCacheOptions(rawValue: 1 << 3)

  private static let all: SlabCacheOptions = [.hardwareCacheAligned, .typeSafe, .poison, .noMerge]

  /// - Throws: `.invalidOptions` for bits that are none.
  func core() throws(SlabError) -> CacheOptions {
    guard Self.all.isSuperset(of: self) else { throw .invalidOptions }
    return CacheOptions(rawValue: rawValue)
  }
}
