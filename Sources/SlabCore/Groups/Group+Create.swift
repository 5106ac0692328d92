// Making groups, and a group's children of root caches.

public import SlabPlatform
internal import Synchronization

extension Allocator {
  package var rootGroup: Pointer<Group> { state.pointee.rootGroup }

  /// Makes a group below a parent (the root group by default), with one handle. O(depth). Takes the
  /// registry lock; the descriptor is charged to nobody. Names are for reports; two groups may have
  /// the same, or none, unless it `isUnique`: then it is one by the rules of `Group.isValidName`, new
  /// among the parent's online children, and found by `child(named:of:)`. Without `endings` the allocator's policy is the group's; under the rules of
  /// Linux 4.10 all groups keep.
  package func makeGroup(
    named utf8: borrowing Span<UInt8>, below wanted: Pointer<Group>? = nil,
    isUnique: Bool = false, max: Int = Group.unlimited, high: Int = Group.unlimited,
    endings: EndingPolicy? = nil
  ) throws(AllocatorError) -> Pointer<Group> {
    state.letForkGoFirst()
    let parent = wanted ?? rootGroup
    guard !isUnique || Group.isValidName(utf8) else { throw .invalidName }
    guard max >= 0, high >= 0 else { throw .invalidLimit }
    guard Int(parent.pointee.depth) < Group.deepest else { throw .groupTooDeep }
    let name = try copyName(utf8)
    let group: Pointer<Group>
    do throws(AllocatorError) {
      group = Pointer<Group>(address: try state.pointee.groups.cache.allocate())!
    } catch {
      if name != 0 { state.freeInternal(name) }
      throw error
    }
    state.lockGroups()
    defer { state.unlockGroups() }
    state.pointee.registry.lock.lock()
    defer { state.pointee.registry.lock.unlock() }
    let id: Int
    do throws(AllocatorError) {
      if isUnique { try checkName(utf8, below: parent) }
      id = try takeGroupID(below: parent)
    } catch {
      if name != 0 { state.freeInternal(name) }
      state.pointee.groups.cache.free(group.address)
      throw error
    }
    // SAFETY: the object is ours and large enough.
    unsafe group.unsafePointer.initialize(
      to: Group(
        id: UInt32(id), parent: parent, allocator: state, max: max, name: name,
        nameCount: utf8.count,
        endings: state.isLinux410 ? .keep : endings ?? state.pointee.configuration.endings,
        tenant: Tenant(groupsBefore: state.pointee.registry.groupsCreated)))
    group.pointee.high.store(high, ordering: .relaxed)
    group.caches.makeEmptyList()
    group.childGroups.makeEmptyList()
    group.shrinkers.makeEmptyList()
    group.makeReclaimableList()
    group.makeInlineTable()
    if isUnique {
      group.pointee.nameHash = Group.nameHash(utf8, below: parent)
      state.pointee.registry.groupNames.insert(group)
      group.pointee.isIndexed = true
    }
    parent.childGroups.insertAfter(group.siblingNode)
    parent.pointee.childGroupCount += 1
    parent.pointee.onlineChildGroupCount += 1
    group.countMade()
    state.pointee.registry.groupIDs.set(id, to: group)
    // The root group has no children of caches and needs no id there.
    state.growChildArrays(toHold: id - 1)
    state.pointee.registry.groupsCreated += 1
    return group
  }

  /// Under the registry lock: whether a name is new among the online children.
  private func checkName(
    _ utf8: borrowing Span<UInt8>, below parent: Pointer<Group>
  ) throws(AllocatorError) {
    guard findChild(named: utf8, of: parent) == nil else { throw .groupNameInUse }
    guard state.pointee.registry.groupNames.prepare() else { throw .outOfMemory }
  }

  /// Under the registry lock: an id, if a group can be made.
  private func takeGroupID(below parent: Pointer<Group>) throws(AllocatorError) -> Int {
    guard parent.isOnline, !parent.pointee.isClosing else { throw .groupOffline }
    guard let id = state.pointee.registry.groupIDs.take() else {
      // An id is free again as soon as its group is offline: nobody's is on its way back.
      guard state.pointee.registry.groupIDs.isFull else { throw .outOfMemory }
      throw .tooManyGroups(limit: state.pointee.registry.groupIDs.limit)
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
    let name = try state.allocateInternal(bytes: utf8.count)
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
    guard pointee.allocator == root.pointee.cache.allocator else { Self.reportForeignGroup() }
    let allocator = pointee.allocator
    allocator.letForkGoFirst()
    let child = Pointer<Cache>(address: try allocator.pointee.childCaches.cache.allocate())!
    // Relaxed: whoever destroys the root takes the registry lock after us or before `link`.
    root.pointee.holds.add(1, ordering: .relaxed)
    // SAFETY: the object is ours and large enough.
    unsafe child.unsafePointer.initialize(
      to: Cache(
        root: root, group: self, allocator: allocator, geometry: root.pointee.geometry,
        isSelfDescribing: false))

    pausePoint(.beforeLinkingChild)
    allocator.pointee.registry.lock.lock()
    let (answer, error) = link(child, to: root)
    root.pointee.holds.subtract(1, ordering: .relaxed)
    // Only while it is locked: a plain root may be gone afterwards.
    let awaitsBarrier = error != nil && allocator.shutDownRootIfLast(root)
    allocator.pointee.registry.lock.unlock()
    if awaitsBarrier { allocator.startBarrierBatch() }
    if answer != child { allocator.pointee.childCaches.cache.free(child.address) }
    if let error { throw error }
    return answer!
  }

  /// Under the registry lock, which settles the races that end here: offline and destroy have
  /// changed their state under it, and a second creator finds the first one's child.
  private func link(
    _ child: Pointer<Cache>, to root: Pointer<RootCache>
  ) -> (Pointer<Cache>?, AllocatorError?) {
    guard isOnline else { return (nil, .groupOffline) }
    guard !root.pointee.isDestroying else { return (nil, .cacheDestroyed) }
    if let other = self.child(of: root) { return (other, nil) }
    do throws(AllocatorError) {
      // Published last: a reader finds a cache that is fully built.
      let allocator = pointee.allocator
      try publish(child)
      allocator.allCachesList.insertAfter(child.allNode)
      root.children.insertAfter(child.siblingNode)
      caches.insertAfter(child.groupNode)
      root.pointee.childCount += 1
      pointee.cacheCount += 1
      allocator.pointee.registry.childCachesCreated += 1
    } catch {
      return (nil, error)
    }
    return (child, nil)
  }
}
