// SPDX-License-Identifier: Apache-2.0
// One function per structure that says whether it is whole.
// For tests: nothing may work in the allocator while they run.

internal import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Checks every invariant of every structure; `nil`, or what is wrong. O(everything). No callback
  /// may be queued: the slabs of type-safe caches are charged until theirs has run.
  package func brokenInvariant() -> StaticString? {
    if let problem = pages.brokenInvariant() { return problem }
    let registry = lockRegistry()
    var problem: StaticString?
    var roots = 0
    var children = 0
    var reserved = 0
    forEachCache(under: registry) { cache in
      let lock = cache.pointee.lock.lock()
      reserved += cache.reservedBytes(under: lock)
      if let broken = cache.brokenInvariant(under: lock) { problem = problem ?? broken }
      if cache.isRoot { roots += 1 } else { children += 1 }
    }
    if let problem { return problem }
    if reserved != pages.pointee.reservedBytes { return "pages: reserved runs" }
    if roots != cachesState.pointee.rootCount { return "registry: roots do not add up" }
    let onLists =
      counters.pointee.childCachesCreated.value - counters.pointee.childCachesShutDown.value
    if children != onLists {
      return "registry: children do not add up"
    }
    if let broken = brokenRoot(under: registry) { return broken }
    var bytes = 0
    var groups = 0
    var unlisted = 0
    if let broken = rootGroup.brokenInvariant(
      bytes: &bytes, groups: &groups, unlisted: &unlisted, under: registry)
    {
      return broken
    }
    if unlisted != counters.pointee.childCachesAwaitingBarrier.value {
      return "registry: caches that await a barrier do not add up"
    }
    let live = counters.pointee.groupsCreated.value - counters.pointee.groupsReleased.value
    if groups - 1 != live {
      return "registry: groups do not add up"
    }
    if groupsState.pointee.tables.names.countEntries(where: { $0.isOnline }) == nil {
      return "groups: the index of names does not add up"
    }
    if bytes != rootGroup.pointee.current.load(ordering: .relaxed) {
      return "groups: charged bytes are not the pages of their slabs, and what payers are charged"
    }
    return brokenShared(under: registry)
  }

  /// Every root: on its list, its children linked, and its sums those of its caches.
  private func brokenRoot(under registry: borrowing RegistryLocked) -> StaticString? {
    var users = 0
    var aliases = 0
    let roots = rootsList
    var node = roots.successor(in: roots)
    while let current = node {
      node = current.successor(in: roots)
      let root = Pointer<RootCache>(rootNode: current)
      let isOpen = !root.pointee.isDestroying && root.pointee.usersEnding == 0
      if root.isOpenToUsers != (root.isShareable && isOpen) { return "root: open to users" }
      if !root.pointee.isDestroying {
        aliases += root.aliasCount(under: registry)
        if root.pointee.kind == .user, root.pointee.hasFirstUser { users += 1 }
        if !root.pointee.hasFirstUser {
          guard let oldest = root.pointee.oldestAlias else { return "root: nobody's" }
          guard oldest.pointee.name == root.pointee.name else {
            return "root: not named as its oldest user"
          }
        }
      }
      var inUse = Int(root.cache.pointee.objectsInUse)
      var total = Int(root.cache.pointee.objectsTotal)
      var units = Int(root.cache.pointee.units)
      var count = 0
      var child = root.children.successor(in: root.children)
      while let sibling = child {
        child = sibling.successor(in: root.children)
        let cache = Pointer<Cache>(siblingNode: sibling)
        if cache.pointee.root != root { return "root: a foreign child" }
        inUse += Int(cache.pointee.objectsInUse)
        total += Int(cache.pointee.objectsTotal)
        units += Int(cache.pointee.units)
        count += 1
      }
      if count != root.pointee.childCount { return "root: children do not add up" }
      if inUse != root.sum(RootCache.Sum.objectsInUse) { return "root: objects in use" }
      if total != root.sum(RootCache.Sum.objectsTotal) { return "root: objects" }
      if units != root.sum(RootCache.Sum.units) { return "root: units" }
    }
    if aliases != counters.pointee.aliasesCreated.value - counters.pointee.aliasesDropped.value {
      return "registry: aliases do not add up"
    }
    if cachesState.pointee.tables.names.countEntries(where: { _ in true }) != users + aliases {
      return "registry: the index of names does not add up"
    }
    return nil
  }
}

extension Pointer where Pointee == Cache {
  /// Of a child: each slab is on one of its lists.
  private func brokenFullList(under lock: borrowing CacheLocked) -> StaticString? {
    var count: UInt32 = 0
    var slab = pointee.partialFirst
    while let current = slab {
      count += 1
      slab = current.pointee.next
    }
    var previous: Pointer<Slab>?
    slab = pointee.fullFirst
    while let current = slab {
      if current.pointee.owner != address { return "cache: a foreign full slab" }
      if current.pointee.previous != previous { return "cache: a broken list of full slabs" }
      if current.hasFreeObjects { return "cache: a slab among the full ones that is not" }
      count += 1
      previous = current
      slab = current.pointee.next
    }
    return count == pointee.slabCount ? nil : "cache: slabs that are on no list"
  }

  /// The partial list, the counters, and the limits of the states.
  fileprivate func brokenInvariant(under lock: borrowing CacheLocked) -> StaticString? {
    var empty = 0
    var partial = 0
    var previous: Pointer<Slab>?
    var slab = pointee.partialFirst
    while let current = slab {
      if current.pointee.owner != address { return "cache: a foreign slab" }
      if current.pointee.previous != previous { return "cache: a broken list" }
      if !current.hasFreeObjects { return "cache: a full slab on the list" }
      if !current.areCountsWhole { return "slab: bits do not add up" }
      partial += 1
      if current.pointee.inUse == 0 { empty += 1 }
      previous = current
      slab = current.pointee.next
    }
    if pointee.partialLast != previous { return "cache: a broken end of the list" }
    if !isRoot, let broken = brokenFullList(under: lock) { return broken }
    if partial != Int(pointee.partialCount) { return "cache: partial slabs do not add up" }
    if empty != Int(pointee.emptyCount) { return "cache: empty slabs do not add up" }
    if pointee.objectsInUse > pointee.objectsTotal { return "cache: more objects than places" }
    if (pointee.slabCount == 0) != (pointee.units == 0) { return "cache: slabs without memory" }
    if objectsInSheaf(under: lock) > Int(pointee.objectsInUse) {
      return "cache: sheaf larger than its slabs"
    }
    let mode = pointee.allocator.region.pointee.mode
    switch state {
    case .active:
      if pointee.isInherited { return "cache: inherited and active" }
      if hasLargeObjects, !sheaf(under: lock).isClosed,
        Int(pointee.reservedRuns) <= pointee.allocator.region.pointee.stripeCount
      {
        return "cache: a sheaf of large objects that is not reserved"
      }
      if !pointee.retiredSheaf.isClosed, !pointee.isResting {
        return "cache: a retired sheaf while nobody works"
      }
      if let group = pointee.group, group.isOnline, hasIdle(under: lock),
        !group.pointee.owner.hasIdle.load(ordering: .relaxed)
      {
        return "cache: idle memory that a reclaim does not find"
      }
    case .deactivating: return "cache: deactivating while nobody works"
    case .deactivated:
      if pointee.emptyCount != 0 { return "cache: deactivated with empty slabs" }
      if pointee.barn != nil { return "cache: deactivated with a barn" }
      if pointee.reservedRuns != 0 { return "cache: deactivated with a reservation" }
      if !pointee.words.load(mode: mode).isClosed { return "cache: deactivated, sheaf open" }
      if pointee.slabCount == 0 { return "cache: deactivated without slabs" }
    case .dying, .shutDown, .awaitingBarrier:
      let rules = Pointer<EndingsState>(seenAs: pointee.allocator).rules
      let mayWait = rules.pointee.childrenEndWithTheirGroup && state == .dying
      if !isRoot, !mayWait { return "cache: a child that has ended is on the lists" }
    }
    if let group = pointee.group, state == .active, group.isOnline,
      group.child(of: pointee.root) != self
    {
      return "group: an active child is not in the table"
    }
    return nil
  }
}

extension Pointer where Pointee == Group {
  /// The tree below, its caches, and the charges: `bytes` and `groups` count what was met, `unlisted`
  /// the caches that are on no list and not released.
  func brokenInvariant(
    bytes: inout Int, groups: inout Int, unlisted: inout Int,
    under registry: borrowing RegistryLocked
  ) -> StaticString? {
    groups += 1
    if let broken = brokenReclaimableList(under: registry) { return broken }
    var own = 0
    var caches = 0
    var isAmongInherited = false
    var node = self.caches.successor(in: self.caches)
    while let current = node {
      node = current.successor(in: self.caches)
      let cache = Pointer<Cache>(groupNode: current)
      if cache.pointee.group != self { return "group: a foreign cache" }
      if isAmongInherited, !cache.pointee.isInherited { return "group: inherited caches first" }
      isAmongInherited = cache.pointee.isInherited
      own += Int(cache.pointee.units)
      caches += 1
    }
    if caches > Int(pointee.cacheCount) { return "group: caches do not add up" }
    unlisted += Int(pointee.cacheCount) - caches
    let map = pointee.allocator.pages.pointee.map
    for order in 0..<UnitMap.pageOrder {
      map.forEachFree(head: pointee.freeUnits[order]) { _, _ in own += 1 << order }
    }
    if own % (1 << UnitMap.pageOrder) != 0 { return "group: units that are no whole pages" }
    let before = bytes
    bytes += own * UnitMap.unitBytes + bytesOfPayer
    var children = 0
    var online = 0
    var ending = isEnding(under: registry) ? 1 : 0
    var onlineBelow = 0
    var dyingBelow = 0
    var child = childGroups.successor(in: childGroups)
    while let current = child {
      child = current.successor(in: childGroups)
      let group = Pointer<Group>(siblingNode: current)
      if group.pointee.parent != self { return "group: a foreign child group" }
      if let broken = group.brokenInvariant(
        bytes: &bytes, groups: &groups, unlisted: &unlisted, under: registry)
      {
        return broken
      }
      if group.isOnline, online < children { return "group: online child groups first" }
      if group.pointee.isIndexed, !group.isOnline { return "group: a name after its end" }
      children += 1
      ending += Int(group.pointee.endingCount)
      if group.isOnline { online += 1 }
      onlineBelow += Int(group.pointee.onlineDescendantCount) + (group.isOnline ? 1 : 0)
      dyingBelow += Int(group.pointee.dyingDescendantCount) + (group.isOnline ? 0 : 1)
    }
    if onlineBelow != Int(pointee.onlineDescendantCount)
      || dyingBelow != Int(pointee.dyingDescendantCount)
    {
      return "group: descendants do not add up"
    }
    if ending != Int(pointee.endingCount) { return "group: endings do not add up" }
    if state == .reparenting || pointee.reparentingChildGroupCount > 0 {
      return "group: reparenting while nobody works"
    }
    if state == .settled, pointee.endings == .reparent, children == 0,
      pointee.handles.load(ordering: .relaxed) == 0
    {
      return "group: its caches alone hold it, and are not reparented"
    }
    if online != Int(pointee.onlineChildGroupCount) { return "group: online child groups" }
    if children != Int(pointee.childGroupCount) { return "group: child groups do not add up" }
    let current = pointee.current.load(ordering: .relaxed)
    if current != bytes - before { return "group: charge" }
    if pointee.peak.load(ordering: .relaxed) < current { return "group: peak below current" }
    return nil
  }
}
