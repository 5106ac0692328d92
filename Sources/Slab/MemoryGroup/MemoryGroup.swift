// SPDX-License-Identifier: Apache-2.0
public import SlabCore
public import SlabPlatform

/// A memory group: a tenant. Every cache that it uses has a child of its own for it, so its memory is
/// charged, limited and separate, and goes away as a whole.
///
///     let tenant = try MemoryGroup.root.makeChild(named: "tenant-1", max: 1 << 20)
///     let session = try sessions.allocate(Session(user: 42), in: tenant)
///     try tenant.close()
///
/// A value is a handle, copied freely and used from any thread. A group lives until `close`, or until
/// no copy of it and of its children is left; that closes it as well. In a release build a local variable
/// ends after its last use: keep a group that nothing else holds in a property.
///
/// The end of a copy is an atomic subtraction; that of the last one costs O(depth) and short locks, and may
/// wake a worker. It waits for nothing.
@frozen @safe
public struct MemoryGroup: Sendable {
  @usableFromInline let core: Pointer<Group>
  @usableFromInline let handle: GroupHandle

  init(_ handle: GroupHandle) {
    core = handle.core
    self.handle = handle
  }

  /// The root group of the shared allocator: what is allocated in it is charged to no group. It is always
  /// online and has no limit. O(1) but for its first use, which may make the shared allocator.
  public static let root = SlabAllocator.shared.rootGroup

  var allocator: Allocator { handle.allocator.core }
}

extension MemoryGroup: Hashable {
  /// Whether both are the same group. O(1).
  public static func == (left: MemoryGroup, right: MemoryGroup) -> Bool { left.core == right.core }

  /// Hashes the identity of the group, not its name. O(1).
  public func hash(into hasher: inout Hasher) { hasher.combine(core.address) }
}

extension MemoryGroup: CustomStringConvertible {
  /// The group's path. O(depth), no lock.
  public var description: String { path }
}
