// SPDX-License-Identifier: Apache-2.0
// Root caches by their indices, whoever has made them, and the children of one: for readers that keep a number where a
// reference would keep the cache.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == RootCache {
  /// Dense; used again when the cache has ended.
  package var index: Int { pointee.index }
  /// Of its first name: what tells it from a cache that has its index before or after it.
  package var nameHash: UInt32 { pointee.userName.nameHash }
  package var options: SlabCacheOptions { pointee.options }
  package var isOfUsers: Bool { pointee.kind == .user }
  package var hasConstructor: Bool { unsafe pointee.constructor != nil }
  package var geometry: SlabGeometry { pointee.geometry }
  /// Whether other users may share it, now or later.
  package var mayHaveAliases: Bool { isShareable }
}

extension Allocator {
  /// The root of an index that is not being destroyed, with a hold for the caller. O(1); takes the registry lock.
  package func rootCache(withIndex index: Int) -> Pointer<RootCache>? {
    let registry = lockRegistry()
    guard let root = root(withIndex: index, under: registry) else { return nil }
    hold(root)
    return root
  }

  private func root(
    withIndex index: Int, under registry: borrowing RegistryLocked
  ) -> Pointer<RootCache>? {
    // SAFETY: an index in use is set to its root's address, under the lock.
    let root = unsafe Pointer<RootCache>(
      address: cachesState.pointee.tables.indices.address(of: index))
    return root?.pointee.isDestroying == false ? root : nil
  }

  /// Visits the roots from an index on that are not being destroyed, each with a hold for the length of the body, until
  /// the body says false. O(indices); the registry lock for one at a time.
  package func forEachRootCache(
    from index: Int, _ body: (Pointer<RootCache>) -> Bool
  ) {
    var index = index
    var isWanted = true
    while isWanted {
      var found: Pointer<RootCache>?
      do {
        let registry = lockRegistry()
        // No more of those that are free under one lock.
        let end = min(index + 64, cachesState.pointee.tables.indices.end)
        guard index < end else { return }
        while index < end, found == nil {
          found = root(withIndex: index, under: registry)
          index += 1
        }
        if let found { hold(found) }
      }
      guard let found else { continue }
      isWanted = body(found)
      unhold(found)
    }
  }

  /// The name of the oldest user of a root, on which the caller has a hold; of one whose last user has left, the name
  /// that it had. O(1); takes the registry lock.
  package func firstName(of root: Pointer<RootCache>) -> CacheName {
    let registry = lockRegistry()
    let name = root.pointee.name
    registry.unlock()
    return name
  }

  /// Users of a root, on which the caller has a hold, beyond the first. O(users), under the registry lock.
  package func aliasCount(of root: Pointer<RootCache>) -> Int {
    let registry = lockRegistry()
    let count = root.aliasCount(under: registry)
    return root.pointee.hasFirstUser ? count : max(0, count - 1)
  }

  /// Visits the names of the users of a root, on which the caller has a hold, the oldest first. A user that is there all
  /// the while is visited once. O(users); the registry lock for 16 of them at a time, and the body runs without it.
  package func forEachName(of root: Pointer<RootCache>, _ body: (CacheName) -> Void) {
    var found = InlineArray<16, CacheName?>(repeating: nil)
    var count = 0
    var registry = lockRegistry()
    if root.pointee.hasFirstUser {
      found[0] = root.pointee.name
      count = 1
    }
    guard let oldest = root.pointee.oldestAlias else {
      registry.unlock()
      if count == 1 { body(found[0]!) }
      return
    }
    found[count] = oldest.pointee.name
    count += 1
    // The cursors stand on this thread's stack.
    takeInHand(under: registry)
    // The ring of aliases has no sentinel, and the oldest may leave it: a second cursor says where the walk ends.
    withCursor(in: Pointer<ListNode>(of: &oldest.pointee.node), under: &registry) { end, registry in
      withCursor(in: end, under: &registry) { cursor, registry in
        var isThrough = false
        repeat {
          while count < 16, !isThrough {
            guard let node = cursor.advance(in: end) else {
              isThrough = true
              break
            }
            // SAFETY: the node is an alias's first field.
            let alias = unsafe Pointer<CacheAlias>(address: node.address)!
            // The oldest comes last, and was the first; or one that has come since has its place.
            guard alias != oldest else { continue }
            found[count] = alias.pointee.name
            count += 1
          }
          registry.letGo {
            for index in 0..<count { body(found[index]!) }
          }
          count = 0
          if root.pointee.isDestroying {
            // The last alias is freed as it stands in the ring.
            cursor.makeEmptyList()
            end.makeEmptyList()
            isThrough = true
          }
        } while !isThrough
      }
    }
    putDown()
  }

  /// What a root has together with all its children. O(CPUs); takes the registry lock.
  package func usage(of root: Pointer<RootCache>) -> CacheUsage {
    let registry = lockRegistry()
    return root.usage(under: registry)
  }

  /// Whether a root, on which the caller has a hold, is the one that a new user of its kind would join. O(1).
  package func isJoined(_ root: Pointer<RootCache>) -> Bool {
    let registry = lockRegistry()
    return oldestRoot(serving: root.pointee.geometry, under: registry) == root
  }

  /// Visits the children of a root, on which the caller has a hold, but for those that groups have inherited, each with
  /// its group and a handle on that which becomes the body's, until the body says false. One that is there all the
  /// while is visited once. O(children); the registry lock for 16 of them at a time.
  package func forEachChild(
    of root: Pointer<RootCache>, _ body: (Pointer<Group>, CacheUsage) -> Bool
  ) {
    var found = InlineArray<16, (group: Pointer<Group>, usage: CacheUsage)?>(repeating: nil)
    var registry = lockRegistry()
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    withCursor(in: root.children, under: &registry) { cursor, registry in
      var isThrough = false
      var isWanted = true
      while !isThrough, isWanted {
        var count = 0
        for _ in 0..<16 {
          guard let node = cursor.advance(in: root.children) else {
            isThrough = true
            break
          }
          let child = Pointer<Cache>(siblingNode: node)
          guard !child.pointee.isInherited, let group = child.pointee.group, group.parent != nil,
            !group.state.hasHandedOver
          else { continue }
          retain(group)
          found[count] = (group, child.usage(under: registry))
          count += 1
        }
        registry.letGo {
          for index in 0..<count {
            let (group, usage) = found[index]!
            if isWanted { isWanted = body(group, usage) } else { release(group) }
          }
        }
      }
    }
    putDown()
  }

  /// What a group's own child of a root has; `nil` without a child. The caller has a handle and a hold. O(1) expected.
  package func usage(of root: Pointer<RootCache>, in group: Pointer<Group>) -> CacheUsage? {
    let registry = lockRegistry()
    guard group.isOnline, let child = group.child(of: root), child.pointee.group == group else {
      return nil
    }
    return child.usage(under: registry)
  }
}
