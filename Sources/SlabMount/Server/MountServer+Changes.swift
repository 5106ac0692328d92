// SPDX-License-Identifier: Apache-2.0
// What clients change: groups are made, limited and closed.

#if FUSE
  internal import Slab
  internal import Synchronization

  extension MountServer {
    func makeGroup(_ name: String, in directory: Node) throws(FileError) -> DirectoryEntry {
      guard case .group(let key) = directory, isWritable else { throw .refused }
      guard let parent = group(key) else { throw .noEntry }
      guard name.utf8.count <= 255 else { throw .nameTooLong }
      guard GroupFile(named: name) == nil else { throw .exists }
      let group: MemoryGroup
      do { group = try parent.makeChild(named: name) } catch { throw FileError(making: error) }
      let made = GroupKey(group)
      self.made.withLock { all in
        // Those that somebody else has closed are held for nothing.
        if all.count.nonzeroBitCount == 1 { all = all.filter { $0.value.isOnline } }
        all[made] = group
      }
      return entry(of: made, childCount: 0)
    }

    /// Closes the group: what is live in it goes on, by its `EndingPolicy`.
    func removeGroup(_ name: String, in directory: Node) throws(FileError) {
      guard case .group(let key) = directory, isWritable else { throw .refused }
      guard let parent = group(key) else { throw .noEntry }
      guard GroupFile(named: name) == nil else { throw .notADirectory }
      guard let group = parent.child(named: name) else { throw .noEntry }
      guard group.childCount == 0 else { throw .busy }
      do { try group.close() } catch { throw .busy }
      _ = made.withLock { $0.removeValue(forKey: GroupKey(group)) }
    }

    func write(_ text: [UInt8], to handle: UInt64) throws(FileError) {
      guard let file = files[handle], file.writes, isWritable else { throw .refused }
      if case .cacheFile(let key, let kind) = file.node {
        return try write(text, to: kind, in: key)
      }
      guard case .groupFile(let key, let kind) = file.node else { throw .invalid }
      guard let group = group(key) else { throw .noDevice }
      do {
        switch kind {
        case .max: try group.setMax(try Limit.parse(text))
        case .high: try group.setHigh(try Limit.parse(text))
        case .low: try group.setLow(try Limit.parse(text) ?? .max)
        case .peak:
          guard !text.isEmpty else { return }
          Peaks.reset(handle, of: self, key, group)
        case .reclaim: try Self.reclaim(text, group)
        default: throw FileError.invalid
        }
      } catch let error as FileError { throw error } catch { throw .invalid }
    }

    /// `<bytes> [swappiness=<n>|max]`: there is no swap, so the second word only has to be one.
    private static func reclaim(_ text: [UInt8], _ group: MemoryGroup) throws(FileError) {
      let words = Limit.stripped(text).split { $0 == 0x20 || $0 == 0x09 }
      guard let first = words.first, words.count <= 2 else { throw .invalid }
      let bytes = try Limit.bytes(first)
      if words.count == 2 {
        let prefix = Array("swappiness=".utf8)
        guard words[1].starts(with: prefix) else { throw .invalid }
        let value = words[1].dropFirst(prefix.count)
        if !value.elementsEqual("max".utf8) {
          guard value.allSatisfy({ 0x30...0x39 ~= $0 }), try Limit.bytes(value) <= 200 else {
            throw .invalid
          }
        }
      }
      guard bytes > 0 else { return }
      guard group.reclaim(bytes: bytes) >= bytes else { throw .tryAgain }
    }
  }

  extension FileError {
    init(making error: SlabError) {
      self =
        switch error {
        case .invalidName: .invalid
        case .groupNameInUse: .exists
        case .groupOffline: .noEntry
        // As beyond cgroup.max.depth and cgroup.max.descendants.
        case .groupTooDeep, .tooManyGroups: .tryAgain
        default: .noMemory
        }
    }
  }
#endif
