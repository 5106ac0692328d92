// SPDX-License-Identifier: Apache-2.0
// Allocating and freeing: what users call. The paths that are taken every time are inlined.

public import SlabPlatform

extension Allocator {
  /// An object of a root cache, charged to a group, or to none with `nil`.
  @inlinable @inline(__always)
  package func allocate(
    from root: Pointer<RootCache>, in group: Pointer<Group>?
  ) throws(AllocatorError) -> UInt {
    guard let group else { return try root.cache.allocate() }
    return try Self.allocate(from: root, in: group)
  }

  /// An object charged to a group: two loads from its table, then the child's sheaf.
  @inlinable @inline(__always)
  package static func allocate(
    from root: Pointer<RootCache>, in group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    let child = group.likelyChild(of: root)
    guard child.pointee.root == root else {
      return try allocateSlow(from: root, in: group)
    }
    return try child.allocate()
  }

  /// An object whose bytes are zero. As `allocate`, plus O(object size). Not for caches with a
  /// constructor, whose objects it would undo: the process ends.
  package func allocateZeroed(
    from root: Pointer<RootCache>, in group: Pointer<Group>?
  ) throws(AllocatorError) -> UInt {
    guard unsafe root.pointee.constructor == nil else {
      fatal("allocate: zeroing an object that has a constructor")
    }
    let object = try allocate(from: root, in: group)
    zeroMemory(at: object, bytes: root.pointee.objectSize)
    return object
  }

  /// Fills the buffer with objects, or throws and has allocated none. One sequence for those in the
  /// sheaf, one turn of the lock for each slab's worth of the rest.
  package func allocate(
    bulk objects: UnsafeMutableBufferPointer<UInt>, from root: Pointer<RootCache>,
    in group: Pointer<Group>?
  ) throws(AllocatorError) {
    guard let group else { return try unsafe root.cache.allocate(bulk: objects) }
    let isDone: Void? = try group.withSharedCache(of: root) { cache throws(AllocatorError) in
      unsafe try group.allocate(bulk: objects, fromShared: cache)
    }
    guard isDone == nil else { return }
    try unsafe group.makeOrFindChild(of: root).allocate(bulk: objects)
  }

  /// Frees an object of any cache of this allocator.
  @inlinable @inline(__always)
  package func free(_ object: UInt) {
    guard let cache = cache(of: object) else { reportForeignPointer() }
    cache.free(object)
  }
}
