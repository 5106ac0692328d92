// SPDX-License-Identifier: Apache-2.0
// What the files are and what is done with them: a rendering of the allocator's public reads. Nothing is kept but open
// files, clients that wait, the groups that were made here, and what a listing goes on with.

#if FUSE
  internal import Glibc
  internal import Slab
  internal import Synchronization

  final class MountServer: Sendable {
    /// No other one of the process has it, before or after.
    let number: UInt64
    private static let numbers = Atomic<UInt64>(0)
    let allocator: SlabAllocator
    let modes: Modes
    let isWritable: Bool
    let files = OpenFiles()
    let waiters = Waiters()
    /// Groups that `mkdir` made: nothing else may hold them.
    let made = Mutex<[GroupKey: MemoryGroup]>([:])
    /// Of the directory of children that was begun last, and not read to its end.
    let childListing = Mutex<ChildListing?>(nil)

    init(_ allocator: SlabAllocator, _ options: SlabMount.Options) {
      number = Self.numbers.add(1, ordering: .relaxed).newValue
      self.allocator = allocator
      modes = Modes(options)
      isWritable = options.isWritable
    }

    /// The online group of a key.
    func group(_ key: GroupKey) -> MemoryGroup? {
      guard let group = allocator.group(withID: key.id), GroupKey(group) == key else { return nil }
      return group
    }

    // MARK: - Names

    func lookUp(_ name: String, in directory: Node) throws(FileError) -> DirectoryEntry {
      switch directory {
      case .top:
        guard let node = Self.top.first(where: { $0.name == name })?.node else { throw .noEntry }
        return try describe(node)
      case .group(let key):
        guard let group = group(key) else { throw .noEntry }
        if let file = GroupFile(named: name), key != .root || file.isOfRoot {
          return entry(of: file, in: key)
        }
        guard let child = group.child(named: name) else { throw .noEntry }
        return entry(of: GroupKey(child), childCount: child.childCount)
      case .caches: return try lookUpCache(name)
      case .cache(let key): return try lookUp(name, inCache: key)
      case .children(let key): return try lookUpChild(name, of: key)
      case .child(let key):
        guard child(key) != nil, let file = CacheFile(named: name), file.isOfChild else {
          throw .noEntry
        }
        return entry(of: file, in: key)
      default: throw .noEntry
      }
    }

    static let top: [(name: String, node: Node)] = [
      ("cgroup", .group(.root)), ("slab", .caches), ("slabinfo", .slabinfo),
    ]

    /// From the number alone, but for the links of a group's directory: what has ended and is still open, or somebody's
    /// working directory, can be described like that.
    func describe(_ node: Node) throws(FileError) -> DirectoryEntry {
      switch node {
      case .top: DirectoryEntry(node: node, mode: modes.directory(isWritable: false), links: 4)
      case .caches: DirectoryEntry(node: node, mode: modes.directory(isWritable: false), links: 2)
      case .slabinfo: DirectoryEntry(node: node, mode: modes.file(isWritable: false))
      case .group(let key): entry(of: key, childCount: group(key)?.childCount ?? 0)
      case .groupFile(let key, let file): entry(of: file, in: key)
      case .cache, .children, .child, .alias: entry(of: node)
      case .cacheFile(let key, let file):
        entry(of: file, in: key, isOfUsers: cache(key)?.isOfUsers ?? false)
      case .childFile(let key, let file): entry(of: file, in: key)
      case .none: throw .noEntry
      }
    }

    func entry(of file: GroupFile, in key: GroupKey) -> DirectoryEntry {
      DirectoryEntry(
        node: .groupFile(key, file),
        mode: modes.file(isReadable: file.isReadable, isWritable: file.isWritable))
    }

    /// The links are those of the kernel's: `find` looks for no directory in one that has two.
    func entry(of key: GroupKey, childCount: Int) -> DirectoryEntry {
      DirectoryEntry(
        node: .group(key), mode: modes.directory(isWritable: true), links: 2 + childCount)
    }

    // MARK: - Files

    func open(_ node: Node, writes: Bool) throws(FileError) -> UInt64 {
      switch node {
      case .slabinfo:
        guard !writes else { throw .refused }
      case .groupFile(let key, let file):
        guard !writes || isWritable && file.isWritable else { throw .refused }
        guard group(key) != nil else { throw .noDevice }
      case .cacheFile(let key, let file):
        guard let cache = cache(key) else { throw .noDevice }
        guard !writes || isWritable && file.isWritable(ofUsers: cache.isOfUsers) else {
          throw .refused
        }
      case .childFile(let key, _):
        guard !writes else { throw .refused }
        guard let (cache, _) = child(key) else { throw .noDevice }
        return try files.add(OpenFile(node, writes: false, cacheHash: cache.nameHash))
      default: throw .invalid
      }
      return try files.add(OpenFile(node, writes: writes))
    }

    func close(_ handle: UInt64) {
      if let file = files[handle], case .groupFile(let key, .peak) = file.node {
        Peaks.forget(handle, of: self, key)
      }
      waiters.drop(handle)
      files.remove(handle)
    }

    func read(
      _ handle: UInt64, from offset: Int, atMost count: Int,
      _ body: (ArraySlice<UInt8>) -> Void
    ) throws(FileError) {
      guard let file = files[handle] else { throw .invalid }
      let difference = try file.read(from: offset, atMost: count) { () throws(FileError) in
        try text(of: file, handle)
      } _: {
        body($0)
      }
      files.note(difference, of: handle)
    }

    private func text(of file: OpenFile, _ handle: UInt64) throws(FileError) -> String {
      switch file.node {
      case .slabinfo:
        do { return try allocator.slabinfo() } catch { throw .noMemory }
      case .groupFile(let key, let kind):
        guard let group = group(key) else { throw .noDevice }
        switch kind {
        case .events, .localEvents:
          // Told and noted as the same: a change in between is news.
          let events = kind == .events ? group.events : group.localEvents
          file.note(events)
          return GroupFile.events(events)
        case .peak:
          return try kind.text(
            of: group, allocator, peak: Peaks.value(of: handle, of: self, key, group))
        default: return try kind.text(of: group, allocator, peak: nil)
        }
      case .cacheFile(let key, let kind): return try text(of: kind, in: key)
      case .childFile(let key, let kind):
        // Its inode has no hash.
        guard allocator.rootCache(withIndex: key.cache)?.nameHash == file.cacheHash else {
          throw .noDevice
        }
        return try text(of: kind, in: key)
      default: throw .invalid
      }
    }

    // MARK: - The end

    /// Nobody is told of anything from here on.
    func end() { waiters.end() }

    /// When no worker is left.
    func letGoOfGroups() {
      Peaks.forgetAll(of: self)
      files.removeAll()
      made.withLock { $0 = [:] }
    }
  }

  extension GroupKey {
    init(_ group: MemoryGroup) { self.init(id: group.id, number: group.number) }
  }
#endif
