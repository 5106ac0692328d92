// SPDX-License-Identifier: Apache-2.0
// The files of a cache's directory: those of `/sys/kernel/slab/<cache>` that have a meaning here. The numbers are in
// inodes, below 32: a file keeps its own.

#if FUSE
  internal import Slab

  enum CacheFile: UInt8, CaseIterable {
    case aliases = 1
    case align
    case cacheDMA
    case cpuPartial
    case cpuSlabs
    case destroyByRCU
    case hardwareCacheAlign
    case minPartial
    case objectSize
    case objects
    case objectsPerSlab
    case order
    case partial = 25
    case poison = 13
    case reclaimAccount
    case redZone
    case sanityChecks
    case sheafCapacity
    case shrink
    case slabSize
    case slabs
    case storeUser
    case totalObjects
    case trace
    case userSize
    case validate = 26

    var name: String {
      switch self {
      case .aliases: "aliases"
      case .align: "align"
      case .cacheDMA: "cache_dma"
      case .cpuPartial: "cpu_partial"
      case .cpuSlabs: "cpu_slabs"
      case .destroyByRCU: "destroy_by_rcu"
      case .hardwareCacheAlign: "hwcache_align"
      case .minPartial: "min_partial"
      case .objectSize: "object_size"
      case .objects: "objects"
      case .objectsPerSlab: "objs_per_slab"
      case .order: "order"
      case .partial: "partial"
      case .poison: "poison"
      case .reclaimAccount: "reclaim_account"
      case .redZone: "red_zone"
      case .sanityChecks: "sanity_checks"
      case .sheafCapacity: "sheaf_capacity"
      case .shrink: "shrink"
      case .slabSize: "slab_size"
      case .slabs: "slabs"
      case .storeUser: "store_user"
      case .totalObjects: "total_objects"
      case .trace: "trace"
      case .userSize: "usersize"
      case .validate: "validate"
      }
    }

    /// What a child has, of which its root does not decide.
    var isOfChild: Bool {
      switch self {
      case .objectSize, .objects, .objectsPerSlab, .order, .slabSize, .slabs, .totalObjects: true
      default: false
      }
    }

    /// The allocator decides on its own caches.
    func isWritable(ofUsers: Bool) -> Bool {
      switch self {
      case .minPartial, .sheafCapacity, .shrink, .validate: ofUsers
      default: false
      }
    }

    static let ofChild = allCases.filter(\.isOfChild)
    private static let byName = Dictionary(
      uniqueKeysWithValues: allCases.map { ($0.name, $0) })

    init?(named name: String) {
      guard let file = Self.byName[name] else { return nil }
      self = file
    }
  }

  extension CacheFile {
    func text(of cache: RootCacheView) -> String {
      let options = cache.options
      func flag(_ isSet: Bool) -> String { isSet ? "1\n" : "0\n" }
      return switch self {
      case .aliases: "\(cache.aliasCount)\n"
      // Of places, which are as far apart as that.
      case .align:
        "\(1 << min(12, cache.layout.placeBytes.trailingZeroBitCount))\n"
      case .cacheDMA, .cpuPartial, .cpuSlabs, .reclaimAccount, .redZone, .sanityChecks, .storeUser,
        .trace:
        "0\n"
      case .destroyByRCU: flag(options.contains(.typeSafe))
      case .hardwareCacheAlign: flag(options.contains(.hardwareCacheAligned))
      case .poison: flag(options.contains(.poison))
      case .minPartial: "\(cache.minPartial)\n"
      case .sheafCapacity: "\(cache.sheafCapacity)\n"
      case .partial: Self.nodes(cache.partialSlabs)
      case .shrink, .validate: ""
      case .userSize: "\(cache.layout.objectBytes)\n"
      case .objectSize, .objects, .objectsPerSlab, .order, .slabSize, .slabs, .totalObjects:
        text(of: cache.usage, cache.layout)
      }
    }

    /// Of a root with its children, or of a child.
    func text(of usage: RootCacheView.Usage, _ layout: RootCacheView.Layout) -> String {
      switch self {
      case .objectSize: "\(layout.objectBytes)\n"
      case .slabSize: "\(layout.placeBytes)\n"
      case .objectsPerSlab: "\(layout.objectsPerSlab)\n"
      // Slabs have a power of two of the kernel's pages.
      case .order: "\(max(0, (layout.slabBytes / 4096).trailingZeroBitCount))\n"
      case .objects: Self.nodes(usage.objects)
      case .totalObjects: Self.nodes(usage.objectsTotal)
      // As slabinfo: slabs of the full size, rounded up.
      case .slabs: Self.nodes((usage.slabBytes + layout.slabBytes - 1) / layout.slabBytes)
      default: ""
      }
    }

    /// A sum, and that of the one node if there is something.
    private static func nodes(_ count: Int) -> String {
      count > 0 ? "\(count) N0=\(count)\n" : "0\n"
    }
  }
#endif
