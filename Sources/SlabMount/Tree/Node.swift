// SPDX-License-Identifier: Apache-2.0
// What a file is, as a number: the file system keeps nothing for a file that nobody has open, however many there are.
//
//   bits   63 62
//          0  0   a group    number 61…32, id 31…8, file 7…0; the directory itself is file 0. Without number and id: the top
//          0  1   a cache    hash of its name 55…24, index 23…8, file 7…0; 0 is the directory, 64 its folder `cgroup`
//          1  0   a child    number 61…45 and id 44…21 of the group, index of the cache 20…5, file 4…0
//          1  1   a link     hash of the alias 55…24, index of the cache 23…8
//
// Ids and indices are used again: numbers and hashes tell what has one from what had it before.

#if FUSE
  /// A group, as an inode knows it.
  struct GroupKey: Hashable {
    let id: Int
    /// Its lowest 30 bits.
    let number: UInt32

    init(id: Int, number: UInt32) {
      self.id = id
      self.number = number & 0x3fff_ffff
    }

    /// The root group is the first of all.
    static var root: GroupKey { GroupKey(id: 0, number: 1) }
  }

  /// A root cache, or one of its names.
  struct CacheKey: Hashable {
    let index: Int
    let hash: UInt32
  }

  /// A group's child of a root cache.
  struct ChildKey: Hashable {
    let cache: Int
    let id: Int
    /// The lowest 17 bits of the group's.
    let number: UInt32

    init(cache: Int, id: Int, number: UInt32) {
      self.cache = cache
      self.id = id
      self.number = number & 0x1_ffff
    }
  }

  enum Node: Hashable {
    case top
    case slabinfo
    /// `slab`, the folder of caches.
    case caches
    case group(GroupKey)
    case groupFile(GroupKey, GroupFile)
    case cache(CacheKey)
    case cacheFile(CacheKey, CacheFile)
    /// The folder of a cache's children.
    case children(CacheKey)
    case child(ChildKey)
    case childFile(ChildKey, CacheFile)
    /// A name of a cache that shares its directory with others.
    case alias(CacheKey)
    /// A number that is no file's.
    case none

    private static let childrenFile: UInt8 = 64

    init(number: UInt64) {
      self =
        switch number >> 62 {
        case 0: Self.ofGroup(number)
        case 1: Self.ofCache(number)
        case 2: Self.ofChild(number)
        default: .alias(Self.cacheKey(number))
        }
    }

    private static func ofGroup(_ number: UInt64) -> Node {
      let file = UInt8(truncatingIfNeeded: number)
      let key = GroupKey(id: Int(number >> 8 & 0xff_ffff), number: UInt32(number >> 32))
      guard key.id != 0 || key.number != 0 else {
        return [1: .top, 2: .slabinfo, 3: .caches][file] ?? .none
      }
      return file == 0
        ? .group(key) : GroupFile(rawValue: file).map { .groupFile(key, $0) } ?? .none
    }

    private static func ofCache(_ number: UInt64) -> Node {
      let file = UInt8(truncatingIfNeeded: number)
      let key = cacheKey(number)
      return switch file {
      case 0: .cache(key)
      case childrenFile: .children(key)
      default: CacheFile(rawValue: file).map { .cacheFile(key, $0) } ?? .none
      }
    }

    private static func ofChild(_ number: UInt64) -> Node {
      let key = ChildKey(
        cache: Int(number >> 5 & 0xffff), id: Int(number >> 21 & 0xff_ffff),
        number: UInt32(number >> 45 & 0x1_ffff))
      let file = UInt8(number & 31)
      return file == 0
        ? .child(key) : CacheFile(rawValue: file).map { .childFile(key, $0) } ?? .none
    }

    private static func cacheKey(_ number: UInt64) -> CacheKey {
      CacheKey(index: Int(number >> 8 & 0xffff), hash: UInt32(truncatingIfNeeded: number >> 24))
    }

    var number: UInt64 {
      switch self {
      case .top: 1
      case .slabinfo: 2
      case .caches: 3
      case .group(let key): Self.number(of: key, file: 0)
      case .groupFile(let key, let file): Self.number(of: key, file: file.rawValue)
      case .cache(let key): 1 << 62 | Self.number(of: key, file: 0)
      case .cacheFile(let key, let file): 1 << 62 | Self.number(of: key, file: file.rawValue)
      case .children(let key): 1 << 62 | Self.number(of: key, file: Self.childrenFile)
      case .child(let key): Self.number(of: key, file: 0)
      case .childFile(let key, let file): Self.number(of: key, file: file.rawValue)
      case .alias(let key): 3 << 62 | Self.number(of: key, file: 0)
      case .none: 0
      }
    }

    private static func number(of key: GroupKey, file: UInt8) -> UInt64 {
      UInt64(key.number) << 32 | UInt64(key.id) << 8 | UInt64(file)
    }

    private static func number(of key: CacheKey, file: UInt8) -> UInt64 {
      UInt64(key.hash) << 24 | UInt64(key.index) << 8 | UInt64(file)
    }

    private static func number(of key: ChildKey, file: UInt8) -> UInt64 {
      2 << 62 | UInt64(key.number) << 45 | UInt64(key.id) << 21 | UInt64(key.cache) << 5
        | UInt64(file)
    }
  }
#endif
