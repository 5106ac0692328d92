// SPDX-License-Identifier: Apache-2.0
// Root caches by their indices, for what shows them as files: whoever has made them, and without being their user.

internal import SlabCore
internal import SlabPlatform

/// A root cache, with a hold: its descriptor stays as long as this.
package final class RootCacheView: Sendable {
  private let root: Pointer<RootCache>
  private let handle: AllocatorHandle

  fileprivate init(holding root: Pointer<RootCache>, _ handle: AllocatorHandle) {
    self.root = root
    self.handle = handle
  }

  deinit { handle.ifMapped { $0.unhold(root) } }

  private var allocator: Allocator { handle.core }

  /// Dense, from 0 to 2^16; used again when the cache has ended.
  package var index: Int { root.index }
  /// What tells the cache from those that have its index before or after it.
  package var nameHash: UInt32 { root.nameHash }
  /// A user's, and not the allocator's own.
  package var isOfUsers: Bool { root.isOfUsers }
  /// Whether users of like objects share it, now or later.
  package var mayHaveAliases: Bool { root.mayHaveAliases }
  /// Whether one that came now would share this one.
  package var isJoined: Bool { allocator.isJoined(root) }
  package var options: SlabCacheOptions { root.options }
  package var minPartial: Int { root.minPartial }
  package var sheafCapacity: Int { root.sheafCapacity }

  /// The oldest user's, or the one that it had when the last one left.
  package var firstName: String { allocator.firstName(of: root).string }
  /// Users beyond the first.
  package var aliasCount: Int { allocator.aliasCount(of: root) }

  /// Of its users, the oldest first; of a cache of the allocator's own, the one that it has.
  package var names: [String] {
    var names: [String] = []
    allocator.forEachName(of: root) { names.append($0.string) }
    return names
  }

  /// How objects lie in slabs of the full size.
  package var layout: Layout {
    let geometry = root.geometry
    return Layout(
      objectBytes: root.objectSize, placeBytes: geometry.placeBytes,
      objectsPerSlab: geometry.objectCount(order: geometry.fullOrder),
      slabBytes: UnitMap.unitBytes << geometry.fullOrder)
  }

  package struct Layout: Sendable {
    package let objectBytes, placeBytes, objectsPerSlab, slabBytes: Int
  }

  /// Together with all its children.
  package var usage: Usage { Usage(allocator.usage(of: root)) }

  package struct Usage: Sendable {
    /// Objects that are not in their slabs, with users or in sheaves; and those that the slabs have room for.
    package let objects, objectsTotal: Int
    package let slabBytes: Int

    fileprivate init(_ usage: CacheUsage) {
      objects = usage.objectsInUse + usage.objectsInSheaves
      objectsTotal = usage.objectsTotal
      slabBytes = usage.slabBytes
    }
  }

  /// Slabs with a free object, together with those of all its children. O(children).
  package var partialSlabs: Int { allocator.partialSlabCount(of: root) }

  /// As `RawSlabCache.shrink`.
  package func shrink() { root.shrink() }

  /// As `Allocator.validate`: a broken slab ends the process.
  package func validate() { allocator.validate(root) }

  package func setMinPartial(_ count: Int) throws(SlabError) {
    do { try allocator.setMinPartial(count, of: root) } catch { throw SlabError(error) }
  }

  package func setSheafCapacity(_ capacity: Int) throws(SlabError) {
    do { try allocator.setSheafCapacity(capacity, of: root) } catch { throw SlabError(error) }
  }

  /// Visits the groups that have a child of this cache, not those that have inherited one, until the body says false.
  /// O(children), as `Allocator.forEachChild`.
  package func forEachChild(
    _ body: (_ id: Int, _ number: UInt32, _ name: () -> String, _ usage: Usage) -> Bool
  ) {
    allocator.forEachChild(of: root) { group, usage in
      defer { allocator.release(group) }
      return body(group.id, group.number, { group.name }, Usage(usage))
    }
  }

  /// What a group's own child of this cache has; `nil` if it has none. O(1) expected.
  package func usage(in group: MemoryGroup) -> Usage? {
    allocator.usage(of: root, in: group.core).map { Usage($0) }
  }
}

extension SlabAllocator {
  /// The root cache of an index that is not being destroyed. O(1).
  package func rootCache(withIndex index: Int) -> RootCacheView? {
    core.rootCache(withIndex: index).map { RootCacheView(holding: $0, handle) }
  }

  /// Visits the root caches from an index on until the body says false. O(indices).
  package func forEachRootCache(from index: Int, _ body: (RootCacheView) -> Bool) {
    core.forEachRootCache(from: index) { root in
      core.hold(root)
      return body(RootCacheView(holding: root, handle))
    }
  }
}
