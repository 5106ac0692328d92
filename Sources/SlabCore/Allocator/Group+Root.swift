// SPDX-License-Identifier: Apache-2.0
// The root group has no children of caches: what no group is charged for comes from the roots
// themselves. They stand in its table, so that allocating in the root group needs no test.

public import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Group {
  /// For the root group: puts a root cache into its table. Takes the registry lock.
  func enter(_ root: Pointer<RootCache>) throws(AllocatorError) -> Pointer<Cache> {
    let allocator = pointee.allocator
    guard allocator.address == root.pointee.cache.allocator.address else {
      Self.reportForeignGroup()
    }
    let registry = allocator.lockRegistry()
    guard !root.pointee.isDestroying else { throw .cacheDestroyed }
    if child(of: root) == nil { try publish(root.cache, under: registry) }
    return root.cache
  }

  @inline(never)
  static func reportForeignGroup() -> Never { fatal("allocate: a group of another allocator") }
}

extension Allocator {
  /// An object charged to a group if that is of the cache's allocator, else to no group: for a group that
  /// is in effect where an allocation happens, rather than named by it.
  @inlinable @inline(__always)
  package static func allocate(
    from root: Pointer<RootCache>, ifPossibleIn group: Pointer<Group>?
  ) throws(AllocatorError) -> UInt {
    guard let group else { return try root.cache.allocate() }
    let child = group.likelyChild(of: root)
    guard child.pointee.root == root else {
      return try allocateSlow(from: root, ifPossibleIn: group)
    }
    return try child.allocate()
  }

  @usableFromInline @inline(never)
  package static func allocateSlow(
    from root: Pointer<RootCache>, ifPossibleIn group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    guard Allocator(of: group) == Allocator(of: root.cache) else {
      return try root.cache.allocate()
    }
    return try allocateSlow(from: root, in: group)
  }
}
