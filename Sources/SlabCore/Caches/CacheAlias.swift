// SPDX-License-Identifier: Apache-2.0
// Merging (the kernel's `find_mergeable`): where the process asks for it, caches whose objects are alike share one
// root. What a user of a cache holds is a *reference*. The first user of a root is counted in the
// root; each later one has an *alias*, a descriptor with its name.
//
// Invariants, under the registry lock:
//   the root's name is that of its oldest user; so slabinfo has a line for each root, under that name
//   no name is used twice, and the name of a user that is gone is free at once
//   a root that is not destroyed has a user; the last one's destroy ends it, as if it had never
//   been merged, and nothing is merged into it any more
//
// Without merging a root has no alias and pays for a pointer and a flag.

package import SlabPlatform

/// One more user of a root.
package struct CacheAlias: ~Copyable {
  /// In the ring of the root's aliases, which has no sentinel: the root knows the oldest. First: a
  /// node's address is its alias's.
  var node = ListNode()
  let root: Pointer<RootCache>
  var userName: UserName

  var name: CacheName { userName.name }
}

/// What a user of a cache holds: the root, and an alias unless it is the first user. Copied freely;
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
}

extension Pointer where Pointee == CacheAlias {
  // SAFETY: the one is the first field of the other.
  fileprivate var node: Pointer<ListNode> { unsafe Pointer<ListNode>(address: address)! }

  // SAFETY: the one is the first field of the other.
  fileprivate init(node: Pointer<ListNode>) { unsafe self.init(address: node.address)! }
}

extension Pointer where Pointee == RootCache {
  /// For Linux 4.10's rules. O(aliases).
  func hasUser(named name: CacheName, under registry: borrowing RegistryLocked) -> Bool {
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
  func aliasCount(under registry: borrowing RegistryLocked) -> Int {
    var count = 0
    forEachAlias(under: registry) { _ in count += 1 }
    return count
  }

  /// Visits the aliases, the oldest first.
  func forEachAlias(
    under registry: borrowing RegistryLocked, _ body: (Pointer<CacheAlias>) -> Void
  ) {
    guard let oldest = pointee.oldestAlias else { return }
    body(oldest)
    var node = oldest.node.successor(in: oldest.node)
    while let current = node {
      body(Pointer<CacheAlias>(node: current))
      node = current.successor(in: oldest.node)
    }
  }

  /// Adds the newest user. O(1).
  func addUser(_ alias: Pointer<CacheAlias>, under registry: borrowing RegistryLocked) {
    guard let oldest = pointee.oldestAlias else {
      alias.node.makeEmptyList()
      pointee.oldestAlias = alias
      return
    }
    oldest.node.insertBefore(alias.node)
  }

  /// Whether this is the root's only user. O(1). A user that has left already ends the process, as far as
  /// that can be seen: its alias may be another user's by now.
  func isLastUser(_ user: CacheReference, under registry: borrowing RegistryLocked) -> Bool {
    guard let alias = user.alias else {
      guard pointee.hasFirstUser else { fatal("destroy: a user of the cache who is gone already") }
      return pointee.oldestAlias == nil
    }
    guard alias.node.isLinked, alias.pointee.root == self else {
      fatal("destroy: a user of the cache who is gone already")
    }
    return !pointee.hasFirstUser && alias.node.successor(in: alias.node) == nil
  }

  /// Takes out a user that is not the last, and whose name is out of the index. After the oldest one the root
  /// has the name of the next. O(1).
  func removeUser(_ user: CacheReference, under registry: borrowing RegistryLocked) {
    if let alias = user.alias {
      if alias == pointee.oldestAlias {
        pointee.oldestAlias = alias.node.successor(in: alias.node).map { .init(node: $0) }
      }
      alias.node.unlink()
    } else {
      pointee.hasFirstUser = false
    }
    if !pointee.hasFirstUser, let oldest = pointee.oldestAlias {
      pointee.userName.name = oldest.pointee.name
    }
  }
}
