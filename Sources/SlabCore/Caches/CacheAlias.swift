// Merging (the kernel's `find_mergeable`): where the process asks for it, caches whose objects are alike share one
// root. What a user of a cache holds is a *reference*. The first user of a root is counted in the
// root; each one who comes later has an *alias*, a descriptor with his name.
//
// Invariants, under the registry lock:
//   the root's name is that of its oldest user; so slabinfo has a line for each root, under that name
//   no name is used twice, and the name of a user who is gone is free at once
//   a root that nobody has destroyed has a user; the last one's destroy ends it, as if it had never
//   been merged, and nothing is merged into it any more
//
// Without merging a root has no alias and pays for a pointer and a flag.

package import SlabPlatform

/// One user of a root more.
package struct CacheAlias: ~Copyable {
  /// In the ring of the root's aliases, which has no sentinel: the root knows the oldest. First: a
  /// node's address is its alias's.
  var node = ListNode()
  let root: Pointer<RootCache>
  let name: CacheName
}

/// What a user of a cache holds: the root, and his alias if he is not the first. Copied freely;
/// valid until one of the copies is destroyed.
package struct CacheReference: Sendable, Equatable {
  package let root: Pointer<RootCache>
  package let alias: Pointer<CacheAlias>?

  package init(root: Pointer<RootCache>, alias: Pointer<CacheAlias>? = nil) {
    self.root = root
    self.alias = alias
  }

  /// Whether others may use the root as well, now or later. O(1).
  package var isShareable: Bool { root.isShareable }

  /// The name that this user gave.
  package var name: CacheName { alias?.pointee.name ?? root.pointee.name }
}

extension Pointer where Pointee == CacheAlias {
  fileprivate var node: Pointer<ListNode> { Pointer<ListNode>(address: address)! }

  fileprivate init(node: Pointer<ListNode>) { self.init(address: node.address)! }
}

/// All under the registry lock.
extension Pointer where Pointee == RootCache {
  /// O(aliases).
  func hasUser(named name: CacheName) -> Bool {
    if pointee.name == name { return true }
    guard let oldest = pointee.oldestAlias else { return false }
    if oldest.pointee.name == name { return true }
    var node = oldest.node.successor(in: oldest.node)
    while let current = node {
      if Pointer<CacheAlias>(node: current).pointee.name == name { return true }
      node = current.successor(in: oldest.node)
    }
    return false
  }

  /// Users that have an alias. O(aliases).
  var aliasCount: Int {
    guard let oldest = pointee.oldestAlias else { return 0 }
    var count = 1
    var node = oldest.node.successor(in: oldest.node)
    while let current = node {
      count += 1
      node = current.successor(in: oldest.node)
    }
    return count
  }

  /// One user more, the newest. O(1).
  func addUser(_ alias: Pointer<CacheAlias>) {
    guard let oldest = pointee.oldestAlias else {
      alias.node.makeEmptyList()
      pointee.oldestAlias = alias
      return
    }
    oldest.node.insertBefore(alias.node)
  }

  /// Whether nobody uses the root besides him. O(1). A user who is gone already ends the process, as
  /// far as it can be seen: his alias may be another one's by now.
  func isLastUser(_ user: CacheReference) -> Bool {
    guard let alias = user.alias else {
      guard pointee.hasFirstUser else { fatal("destroy: a user of the cache who is gone already") }
      return pointee.oldestAlias == nil
    }
    guard alias.node.isLinked, alias.pointee.root == self else {
      fatal("destroy: a user of the cache who is gone already")
    }
    return !pointee.hasFirstUser && alias.node.successor(in: alias.node) == nil
  }

  /// Takes out a user who is not the last. If he was the oldest, the next one gives the root his
  /// name. O(1).
  func removeUser(_ user: CacheReference) {
    if let alias = user.alias {
      if alias == pointee.oldestAlias {
        pointee.oldestAlias = alias.node.successor(in: alias.node).map { .init(node: $0) }
      }
      alias.node.unlink()
    } else {
      pointee.hasFirstUser = false
    }
    if !pointee.hasFirstUser, let oldest = pointee.oldestAlias {
      pointee.name = oldest.pointee.name
    }
  }
}
