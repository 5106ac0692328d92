// SPDX-License-Identifier: Apache-2.0
// `slab`: a directory for each root cache, under its name, or where caches of like objects share one, under a name of its
// own with a link for each of theirs, as in the kernel. Below each, the children that groups have of it.

#if FUSE
  internal import Slab

  extension MountServer {
    /// The cache of a key, if it is there still.
    func cache(_ key: CacheKey) -> RootCacheView? {
      guard let cache = allocator.rootCache(withIndex: key.index), cache.nameHash == key.hash else {
        return nil
      }
      return cache
    }

    // MARK: - Names

    func lookUpCache(_ name: String) throws(FileError) -> DirectoryEntry {
      var found: DirectoryEntry?
      allocator.forEachRootCache(from: 0) { cache in
        if cache.directoryName.isSameBytes(as: name) {
          found = entry(of: .cache(CacheKey(cache)))
        } else if cache.mayHaveAliases,
          cache.names.contains(where: { $0.asFileName.isSameBytes(as: name) })
        {
          found = entry(of: .alias(CacheKey(index: cache.index, hash: name.fileHash)))
        }
        return found == nil
      }
      guard let found else { throw .noEntry }
      return found
    }

    func lookUp(_ name: String, inCache key: CacheKey) throws(FileError) -> DirectoryEntry {
      guard let cache = cache(key) else { throw .noEntry }
      if name == Self.childrenName { return entry(of: .children(key)) }
      guard let file = CacheFile(named: name) else { throw .noEntry }
      return entry(of: file, in: key, isOfUsers: cache.isOfUsers)
    }

    /// `<name>(<number>:<group>)`, of which the number is what counts.
    func lookUpChild(_ name: String, of key: CacheKey) throws(FileError) -> DirectoryEntry {
      guard let cache = cache(key) else { throw .noEntry }
      let own = cache.childPrefix
      // By bytes, since the name of a group may begin with a mark that joins the colon, and have brackets.
      let digits = name.utf8.dropFirst(own.utf8.count + 1).prefix { $0 != UInt8(ascii: ":") }
      guard let wanted = UInt32(String(decoding: digits, as: UTF8.self)) else { throw .noEntry }
      var found: DirectoryEntry?
      cache.forEachChild { id, number, group, _ in
        guard number == wanted else { return true }
        if Self.childName(own, number, group()).isSameBytes(as: name) {
          found = entry(of: .child(ChildKey(cache: cache.index, id: id, number: number)))
        }
        return false
      }
      guard let found else { throw .noEntry }
      return found
    }

    static let childrenName = "cgroup"

    /// Names in directories have 255 bytes at most.
    static func childName(_ prefix: String, _ number: UInt32, _ group: String) -> String {
      let start = "\(prefix)(\(number):"
      var group = group.asFileName[...]
      while start.utf8.count + group.utf8.count > 254 { group = group.dropLast() }
      return "\(start)\(group))"
    }

    func target(of link: Node) throws(FileError) -> String {
      guard case .alias(let key) = link,
        let cache = allocator.rootCache(withIndex: key.index),
        cache.names.contains(where: { $0.asFileName.fileHash == key.hash })
      else { throw .noEntry }
      return cache.directoryName
    }

    // MARK: - Entries

    func entry(of node: Node) -> DirectoryEntry {
      switch node {
      case .alias: DirectoryEntry(node: node, mode: modes.link)
      case .cache, .children:
        DirectoryEntry(node: node, mode: modes.directory(isWritable: false), links: 3)
      default: DirectoryEntry(node: node, mode: modes.directory(isWritable: false), links: 2)
      }
    }

    /// As sysfs has it, a page.
    func entry(of file: CacheFile, in key: CacheKey, isOfUsers: Bool) -> DirectoryEntry {
      DirectoryEntry(
        node: .cacheFile(key, file),
        mode: modes.file(isWritable: file.isWritable(ofUsers: isOfUsers)), bytes: 4096)
    }

    func entry(of file: CacheFile, in key: ChildKey) -> DirectoryEntry {
      DirectoryEntry(
        node: .childFile(key, file), mode: modes.file(isWritable: false), bytes: 4096)
    }

    // MARK: - Texts

    func text(of file: CacheFile, in key: CacheKey) throws(FileError) -> String {
      guard let cache = cache(key) else { throw .noDevice }
      return file.text(of: cache)
    }

    func text(of file: CacheFile, in key: ChildKey) throws(FileError) -> String {
      guard let (cache, usage) = child(key) else { throw .noDevice }
      return file.text(of: usage, cache.layout)
    }

    /// O(1) for a group that is online.
    func child(_ key: ChildKey) -> (RootCacheView, RootCacheView.Usage)? {
      guard let cache = allocator.rootCache(withIndex: key.cache) else { return nil }
      if let group = allocator.group(withID: key.id), group.number & 0x1_ffff == key.number {
        return cache.usage(in: group).map { (cache, $0) }
      }
      var found: RootCacheView.Usage?
      cache.forEachChild { id, number, _, usage in
        if ChildKey(cache: key.cache, id: id, number: number) == key { found = usage }
        return found == nil
      }
      return found.map { (cache, $0) }
    }

    // MARK: - Changes

    func write(_ text: [UInt8], to file: CacheFile, in key: CacheKey) throws(FileError) {
      guard let cache = cache(key) else { throw .noDevice }
      let word = Limit.stripped(text)
      switch file {
      case .shrink, .validate:
        guard word.elementsEqual("1".utf8) else { throw .invalid }
        if file == .shrink { cache.shrink() } else { cache.validate() }
      case .minPartial, .sheafCapacity:
        guard !word.isEmpty, word.allSatisfy({ 0x30...0x39 ~= $0 }) else { throw .invalid }
        let count = try Limit.bytes(word)
        do {
          if file == .minPartial {
            // What the counters of the core hold.
            guard count <= Int(Int32.max) else { throw FileError.outOfRange }
            try cache.setMinPartial(count)
          } else {
            try cache.setSheafCapacity(count)
          }
        } catch let error as FileError { throw error } catch { throw .outOfRange }
      default: throw .refused
      }
    }
  }

  extension CacheKey {
    init(_ cache: RootCacheView) { self.init(index: cache.index, hash: cache.nameHash) }
  }

  extension RootCacheView {
    /// A colon and the bytes of a place, in as many digits as in the kernel; a second one of that size, which can be where
    /// one did not end after all, has its index as well.
    var directoryName: String {
      guard mayHaveAliases else { return firstName.asFileName }
      let digits = "\(layout.placeBytes)"
      let name = ":" + String(repeating: "0", count: max(0, 7 - digits.count)) + digits
      return isJoined ? name : "\(name)~\(index)"
    }

    var childPrefix: String { firstName.asFileName }
  }

  extension String {
    /// As sysfs: no slash. By bytes, since a slash may be a part of a character.
    var asFileName: String {
      if self == "." || self == ".." { return "!\(self)" }
      return String(
        decoding: utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: "!") : $0 }, as: UTF8.self)
    }

    /// Names are bytes: two of them can be different ones which Swift holds for equal.
    func isSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }

    /// FNV-1a.
    var fileHash: UInt32 {
      utf8.reduce(2_166_136_261 as UInt32) { ($0 ^ UInt32($1)) &* 16_777_619 }
    }
  }
#endif
