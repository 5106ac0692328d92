// SPDX-License-Identifier: Apache-2.0
// `memory.peak` of the open files that have reset theirs: the others go on with the group's. The group keeps the most
// since the last reset of any of them; whoever resets it folds that into what the others have.

#if FUSE
  internal import Slab
  internal import Synchronization

  enum Peaks {
    private struct Reset: Hashable {
      /// A number, which unlike an address is never another server's.
      let server: UInt64
      let handle: UInt64
    }

    /// Of all mounts: they share the groups' counters. By allocator and group.
    private static let resets = Mutex<[Counter: [Reset: Int]]>([:])

    private struct Counter: Hashable {
      let allocator: UInt
      let group: GroupKey
    }

    static func reset(
      _ handle: UInt64, of server: MountServer, _ key: GroupKey, _ group: MemoryGroup
    ) {
      resets.withLock { resets in
        let counter = Counter(allocator: server.allocator.address, group: key)
        let before = group.resetRecentPeak()
        var all = (resets[counter] ?? [:]).mapValues { max($0, before) }
        all[Reset(server: server.number, handle: handle)] = 0
        resets[counter] = all
      }
    }

    /// `nil` if it was not reset.
    static func value(
      of handle: UInt64, of server: MountServer, _ key: GroupKey, _ group: MemoryGroup
    ) -> Int? {
      resets.withLock { resets in
        let counter = Counter(allocator: server.allocator.address, group: key)
        return resets[counter]?[Reset(server: server.number, handle: handle)].map {
          max($0, group.recentPeak)
        }
      }
    }

    static func forget(_ handle: UInt64, of server: MountServer, _ key: GroupKey) {
      resets.withLock { resets in
        let counter = Counter(allocator: server.allocator.address, group: key)
        resets[counter]?[Reset(server: server.number, handle: handle)] = nil
        if resets[counter]?.isEmpty == true { resets[counter] = nil }
      }
    }

    /// For a mount that ends: files that are open then are never closed.
    static func forgetAll(of server: MountServer) {
      resets.withLock { resets in
        resets = resets.compactMapValues { all in
          let others = all.filter { $0.key.server != server.number }
          return others.isEmpty ? nil : others
        }
      }
    }

    /// Groups of which an open file has reset its own.
    static var groupCount: Int { resets.withLock { $0.count } }
  }
#endif
