// SPDX-License-Identifier: Apache-2.0
// Where a group stands: its name, its parent and its children.

internal import SlabCore
internal import SlabPlatform

extension MemoryGroup {
  /// Makes a group below this one. O(depth); may lock and make system calls; no group is charged for the
  /// group itself.
  ///
  /// - Parameters:
  ///   - name: 1 to 255 bytes without blanks, control and invisible characters and slashes; new, byte by
  ///     byte, among the children of this group that are online.
  ///   - max: bytes that may be charged to the group and below it; `nil` for no limit.
  ///   - high: bytes above which it reclaims with its charges; `nil` for none.
  ///   - endings: what becomes of objects that outlive it; `nil` for the allocator's `endings`.
  ///   - memory: whether its objects are in slabs of its own; `nil` for the allocator's `memory`. The first shared group below
  ///     another one makes a record for each group above it.
  /// - Throws: `.invalidName`, `.groupNameInUse`, `.invalidLimit`, `.groupOffline` if this group is,
  ///   `.groupTooDeep` below 64 levels, `.tooManyGroups`, `.outOfMemory`.
  public func makeChild(
    named name: String, max: Int? = nil, high: Int? = nil, endings: EndingPolicy? = nil,
    memory: MemoryPolicy? = nil
  ) throws(SlabError) -> MemoryGroup {
    try name.checkForReports()
    let bytes = Array(name.utf8)
    do {
      let child = try allocator.makeGroup(
        named: bytes.span, below: core, isUnique: true, max: max ?? Group.unlimited,
        high: high ?? Group.unlimited, endings: endings, memory: memory)
      return adopt(child)
    } catch { throw SlabError(error, of: self) }
  }

  /// The child of a name that is online; `nil` if there is none. O(1) expected; takes a short lock.
  public func child(named name: String) -> MemoryGroup? {
    let bytes = Array(name.utf8)
    return allocator.child(named: bytes.span, of: core).map(adopt)
  }

  /// The children that are online. O(children), under a short lock for a few at a time: one that is
  /// there all the while is in it, one that comes or goes may be.
  public var children: [MemoryGroup] {
    var children: [MemoryGroup] = []
    allocator.forEachChild(of: core) { children.append(adopt($0)) }
    return children
  }

  /// The group of a descriptor that is this one's or that of a group above it. O(depth), no lock.
  func selfOrAncestor(_ core: Pointer<Group>) -> MemoryGroup {
    var group = self
    while group.core != core, let parent = group.parent { group = parent }
    return group
  }

  /// Whose memory its objects are in. O(1), no lock.
  public var memory: MemoryPolicy { core.isShared ? .shared : .isolated }

  private func adopt(_ child: Pointer<Group>) -> MemoryGroup {
    MemoryGroup(GroupHandle(adopting: child, parent: handle, allocator: handle.allocator))
  }

  /// The name that it was made with; that of the root group is empty. O(1): a copy of it; no lock. It stays
  /// when the group is offline.
  public var name: String { core.name }

  /// The names from the root group's children down, each behind a slash; `/` for the root group.
  /// O(depth), no lock.
  public var path: String { core.path }

  /// The group above; `nil` for the root group. O(1), no lock. A group's handle holds its parent's, so it
  /// is there also when both are offline.
  public var parent: MemoryGroup? { handle.parent.map { MemoryGroup($0) } }

  /// Groups below this one that are online, and those that are dying: offline, and not yet released
  /// (`nr_descendants` and `nr_dying_descendants`). O(1); takes a short lock.
  public var descendants: (online: Int, dying: Int) {
    let descendants = allocator.descendants(of: core)
    return (descendants.online, descendants.dying)
  }
}

extension Pointer where Pointee == Group {
  var name: String {
    withName { name in String(decoding: (0..<name.count).map { name[$0] }, as: UTF8.self) }
  }

  var path: String {
    var path = ""
    var group = self
    while let parent = group.parent {
      path = "/\(group.name)\(path)"
      group = parent
    }
    return path.isEmpty ? "/" : path
  }
}
