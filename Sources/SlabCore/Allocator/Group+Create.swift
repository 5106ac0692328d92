// SPDX-License-Identifier: Apache-2.0
// Making groups, and a group's children of root caches.

public import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Makes a group below a parent (the root group by default), with one handle. O(depth). Takes the registry lock;
  /// the descriptor is charged to no group. Names are for reports; two groups may have the same, or none, unless it
  /// `isUnique`: then it is one by the rules of `Group.isValidName`, new among the parent's online children, and
  /// found by `child(named:of:)`. It begins with the parent's `LimitPolicy`. Without `endings` the allocator's policy
  /// is the group's; under the rules of Linux 4.10 all groups keep. So it is with `memory`; there all are isolated.
  package func makeGroup(
    named utf8: borrowing Span<UInt8>, below parent: Pointer<Group>? = nil,
    isUnique: Bool = false, max: Int = Group.unlimited, high: Int = Group.unlimited,
    endings: EndingPolicy? = nil, memory: MemoryPolicy? = nil
  ) throws(AllocatorError) -> Pointer<Group> {
    let group = try makeIsolatedGroup(
      named: utf8, below: parent, isUnique: isUnique, max: max, high: high, endings: endings)
    guard memory ?? base.pointee.configuration.memory == .shared else { return group }
    do throws(AllocatorError) { try share(group) } catch {
      release(group)
      throw error
    }
    return group
  }

  private func makeIsolatedGroup(
    named utf8: borrowing Span<UInt8>, below wanted: Pointer<Group>?, isUnique: Bool, max: Int,
    high: Int, endings: EndingPolicy?
  ) throws(AllocatorError) -> Pointer<Group> {
    letForkGoFirst()
    let parent = wanted ?? rootGroup
    guard !isUnique || Group.isValidName(utf8) else { throw .invalidName }
    guard max >= 0, high >= 0 else { throw .invalidLimit }
    guard Int(parent.pointee.depth) < Group.deepest else { throw .groupTooDeep }
    let name = try copyName(utf8)
    let group: Pointer<Group>
    do throws(AllocatorError) {
      // SAFETY: the object is ours, of the cache of these descriptors.
      group = unsafe Pointer<Group>(address: try groupsState.pointee.groups.cache.allocate())!
    } catch {
      if name != 0 { freeInternal(name) }
      throw error
    }
    lockGroups()
    defer { unlockGroups() }
    let registry = lockRegistry()
    let id: Int
    do throws(AllocatorError) {
      if isUnique { try checkName(utf8, below: parent, under: registry) }
      id = try takeGroupID(below: parent, under: registry)
    } catch {
      if name != 0 { freeInternal(name) }
      groupsState.pointee.groups.cache.free(group.address)
      throw error
    }
    // SAFETY: the object is ours and large enough.
    unsafe group.unsafePointer.initialize(
      to: Group(
        id: UInt32(id), parent: parent, allocator: groupsState, max: max, name: name,
        nameCount: utf8.count,
        endings: rules.pointee.endings ?? endings ?? base.pointee.configuration.endings,
        tenant: Tenant(groupsBefore: counters.pointee.groupsCreated.value)))
    group.pointee.high.store(high, ordering: .relaxed)
    group.pointee.overcharges.store(parent.policy == .overcharge, ordering: .relaxed)
    group.makeEmpty()
    if isUnique {
      group.pointee.nameHash = Group.nameHash(utf8, below: parent)
      groupsState.pointee.tables.names.insert(group)
      group.pointee.isIndexed = true
    }
    parent.childGroups.insertAfter(group.siblingNode)
    parent.pointee.childGroupCount += 1
    parent.pointee.onlineChildGroupCount += 1
    group.countMade(under: registry)
    groupsState.pointee.tables.ids.set(id, to: group.address)
    noteTaken(id: id, under: registry)
    counters.pointee.groupsCreated += 1
    return group
  }

  /// Whether a name is new among the online children.
  private func checkName(
    _ utf8: borrowing Span<UInt8>, below parent: Pointer<Group>,
    under registry: borrowing RegistryLocked
  ) throws(AllocatorError) {
    guard findChild(named: utf8, of: parent, under: registry) == nil else {
      throw .groupNameInUse
    }
    guard groupsState.pointee.tables.names.prepare() else { throw .outOfMemory }
  }

  /// An id, if a group can be made.
  private func takeGroupID(
    below parent: Pointer<Group>, under registry: borrowing RegistryLocked
  ) throws(AllocatorError) -> Int {
    guard parent.isOnline, !parent.pointee.isClosing else { throw .groupOffline }
    guard let id = groupsState.pointee.tables.ids.take() else {
      // An id is free again as soon as its group is offline: none is on its way back.
      guard groupsState.pointee.tables.ids.isFull else { throw .outOfMemory }
      throw .tooManyGroups(limit: groupsState.pointee.tables.ids.limit)
    }
    return id
  }

  /// The name in memory of the core's; 0 for an empty one.
  private func copyName(_ utf8: borrowing Span<UInt8>) throws(AllocatorError) -> UInt {
    guard utf8.count <= Group.longestName else { throw .invalidName }
    for index in utf8.indices where utf8[index] < 0x20 || utf8[index] == 0x7f {
      throw .invalidName
    }
    guard !utf8.isEmpty else { return 0 }
    let name = try allocateInternal(bytes: utf8.count)
    // SAFETY: the object is ours and has room for the bytes.
    let bytes = unsafe UnsafeMutablePointer<UInt8>(bitPattern: name)!
    for index in utf8.indices { unsafe (bytes + index).initialize(to: utf8[index]) }
    return name
  }
}

extension Pointer where Pointee == Group {
  /// The group's child of a root, made now if this is its first use: by this thread, at once, and
  /// exactly once. (The kernel had to queue the creation, and served the first objects unaccounted.)
  @usableFromInline @inline(never)
  package func makeOrFindChild(
    of root: Pointer<RootCache>
  ) throws(AllocatorError) -> Pointer<Cache> {
    if let child = child(of: root) { return child }
    guard pointee.parent != nil else { return try enter(root) }
    guard isOnline else { throw .groupOffline }
    guard pointee.allocator.address == root.pointee.cache.allocator.address else {
      Self.reportForeignGroup()
    }
    return try makeChild(of: root, kind: .plain)
  }

  /// A child, or of the group that has them the shared cache of a root.
  func makeChild(
    of root: Pointer<RootCache>, kind: CacheKind
  ) throws(AllocatorError) -> Pointer<Cache> {
    let allocator = Allocator(of: self)
    let descriptors =
      kind == .shared
      ? allocator.groupsState.pointee.sharedCaches! : allocator.cachesState.pointee.childCaches!
    allocator.letForkGoFirst()
    // SAFETY: the object is ours, of the cache of these descriptors.
    let child = unsafe Pointer<Cache>(address: try descriptors.cache.allocate())!
    // Relaxed: the thread that destroys the root takes the registry lock after us or before `link`.
    root.pointee.holds.add(1, ordering: .relaxed)
    // SAFETY: the object is ours and large enough.
    unsafe child.unsafePointer.initialize(
      to: Cache(
        root: root, owner: owner, allocator: allocator.cachesState, geometry: root.pointee.geometry,
        kind: kind))
    if kind == .shared { child.makeGate() }
    pausePoint(.beforeLinkingChild)
    let registry = allocator.lockRegistry()
    let (answer, error) = link(child, to: root, under: registry)
    root.pointee.holds.subtract(1, ordering: .relaxed)
    // Only while it is locked: a plain root may be gone afterwards.
    let awaitsBarrier =
      error != nil && allocator.shutDownRootIfLast(root, under: registry)
    registry.unlock()
    if awaitsBarrier { allocator.startBarrierBatch() }
    if answer != child { descriptors.cache.free(child.address) }
    if let error { throw error }
    return answer!
  }

  /// The lock settles the races that end here: offline and destroy have changed their state under it, and a second
  /// thread that makes the child finds the first one's.
  private func link(
    _ child: Pointer<Cache>, to root: Pointer<RootCache>,
    under registry: borrowing RegistryLocked
  ) -> (Pointer<Cache>?, AllocatorError?) {
    guard isOnline else { return (nil, .groupOffline) }
    guard !root.pointee.isDestroying else { return (nil, .cacheDestroyed) }
    if let other = self.child(of: root) { return (other, nil) }
    do throws(AllocatorError) {
      // Published last: a reader finds a cache that is fully built.
      let allocator = pointee.allocator
      try publish(child, under: registry)
      allocator.allCachesList.insertAfter(child.allNode)
      root.children.insertAfter(child.siblingNode)
      caches.insertAfter(child.groupNode)
      root.pointee.childCount += 1
      pointee.cacheCount += 1
      // Releasing: pairs with the acquiring loads in `withSharedCache` and `shrink`.
      if child.pointee.kind == .shared {
        root.pointee.sharedCache.store(child.address, ordering: .releasing)
      }
      allocator.counters.pointee.childCachesCreated += 1
    } catch {
      return (nil, error)
    }
    return (child, nil)
  }
}
