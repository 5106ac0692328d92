// SPDX-License-Identifier: Apache-2.0
// Groups that share slabs: one set of them for all, an owner per object, charged by the byte (Linux 5.9). For tenants that have
// little: a slab of one's own is a page for three objects. docs/shared-groups.md says what is different.
//
// A shared group has no children of the roots that can be shared, so an allocation finds none in its table, and comes here.

public import SlabPlatform
internal import Synchronization

extension Allocator {
  /// An object for a group in whose table the first cell is not that of the root.
  @usableFromInline @inline(never)
  package static func allocateSlow(
    from root: Pointer<RootCache>, in group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    let object = try group.withSharedCache(of: root) { cache throws(AllocatorError) in
      try group.allocate(fromShared: cache)
    }
    if let object { return object }
    return try group.makeOrFindChild(of: root).allocate()
  }
}

extension Pointer where Pointee == Group {
  /// Runs a body with the cache of a root's objects that groups share, made now if this is its first use. `nil` if this group
  /// has a child of its own for the root.
  @inline(__always)
  func withSharedCache<Result>(
    of root: Pointer<RootCache>,
    _ body: (Pointer<Cache>) throws(AllocatorError) -> Result
  ) throws(AllocatorError) -> Result? {
    guard pointee.isShared else { return nil }
    // Acquiring: pairs with the releasing store in `link`.
    // SAFETY: the address of a cache, or 0; the caller keeps the root from ending.
    let found = unsafe Pointer<Cache>(address: root.pointee.sharedCache.load(ordering: .acquiring))
    if let found, pointee.allocator.address == found.pointee.allocator.address {
      guard isOnline else { throw .groupOffline }
      return try body(found)
    }
    return try makingSharedCache(of: root, body)
  }

  @inline(never)
  private func makingSharedCache<Result>(
    of root: Pointer<RootCache>,
    _ body: (Pointer<Cache>) throws(AllocatorError) -> Result
  ) throws(AllocatorError) -> Result? {
    guard root.canBeShared else { return nil }
    guard isOnline else { throw .groupOffline }
    let allocator = pointee.allocator
    guard allocator.address == root.pointee.cache.allocator.address else {
      Self.reportForeignGroup()
    }
    // The root may be destroyed when the cache is made: its descriptor stays until the body has found that.
    allocator.shared.pointee.makers.add(1, ordering: .relaxed)
    // Releasing: pairs with the acquiring load in `isLetGoByHolders`.
    defer { allocator.shared.pointee.makers.subtract(1, ordering: .releasing) }
    let made = try allocator.shared.pointee.group.makeChild(of: root, kind: .shared)
    pausePoint(.beforeUsingSharedCache)
    return try body(made)
  }

  func allocate(fromShared cache: Pointer<Cache>) throws(AllocatorError) -> UInt {
    let payer = pointee.payer!
    let bytes = Int(cache.pointee.placeBytes)
    try chargeShared(bytes: bytes, to: payer)
    do throws(AllocatorError) {
      let object = try cache.allocate()
      cache.setPayer(pointee.allocator.number(of: payer), of: object)
      return object
    } catch {
      lifecycleState.giveBack(bytes, to: payer)
      throw error
    }
  }

  /// Fills the buffer with objects, or throws and has allocated none.
  func allocate(
    bulk objects: UnsafeMutableBufferPointer<UInt>, fromShared cache: Pointer<Cache>
  ) throws(AllocatorError) {
    guard objects.count > 0 else { return }
    let payer = pointee.payer!
    let bytes = Int(cache.pointee.placeBytes) * objects.count
    try chargeShared(bytes: bytes, to: payer)
    do throws(AllocatorError) { try unsafe cache.allocate(bulk: objects) } catch {
      lifecycleState.giveBack(bytes, to: payer)
      throw error
    }
    let number = pointee.allocator.number(of: payer)
    for index in 0..<objects.count { unsafe cache.setPayer(number, of: objects[index]) }
  }
}

// MARK: - Making a group a shared one

extension Pointer where Pointee == Group {
  /// Whether its objects are in slabs that groups share.
  package var isShared: Bool { pointee.isShared }
}

extension Allocator {
  /// Makes a group, on which the caller holds a handle and in which nothing has been allocated, a shared one. Under the rules of Linux
  /// 4.10 it does nothing, as there was no such group then. O(depth).
  ///
  /// - Throws: `.groupInUse`, `.rootGroup`, `.groupOffline`, `.outOfMemory`. Then nothing has changed.
  package func share(_ group: Pointer<Group>) throws(AllocatorError) {
    guard group.pointee.parent != nil else { throw .rootGroup }
    guard rules.pointee.countsAwaited else { return }
    letForkGoFirst()
    if !hasStocks { try makeSharedSlabs() }
    while true {
      // SAFETY: the object is ours, of the cache of these descriptors.
      let payer = unsafe Pointer<Payer>(
        nonzeroAddress: try groupsState.pointee.payers.cache.allocate())
      let registry = lockRegistry()
      var refusal: AllocatorError?
      if !group.isOnline { refusal = .groupOffline }
      if group.pointee.cacheCount > 0 { refusal = .groupInUse }
      let isUsed = refusal == nil && group.addHighestPayer(payer, under: registry)
      if !isUsed, refusal == nil { group.pointee.isShared = true }
      registry.unlock()
      if isUsed { continue }
      groupsState.pointee.payers.cache.free(payer.address)
      if let refusal { throw refusal }
      return
    }
  }

  /// What groups share, when the first one does.
  private func makeSharedSlabs() throws(AllocatorError) {
    let stocks = try allocateStocks()
    let group: Pointer<Group>
    do throws(AllocatorError) {
      // SAFETY: the object is ours, of the cache of these descriptors.
      group = unsafe Pointer<Group>(
        nonzeroAddress: try groupsState.pointee.groups.cache.allocate())
    } catch {
      freeInternal(stocks)
      throw error
    }
    let registry = lockRegistry()
    guard !hasStocks else {
      freeInternal(stocks)
      return groupsState.pointee.groups.cache.free(group.address)
    }
    // SAFETY: the object is ours and large enough.
    unsafe group.unsafePointer.initialize(
      to: Group(
        id: 0, parent: nil, allocator: groupsState, max: Group.unlimited, name: 0, nameCount: 0,
        endings: .keep, tenant: .shared))
    group.makeEmpty()
    shared.pointee.group = group
    publishStocks(stocks, under: registry)
  }
}

extension Pointer where Pointee == Group {
  /// Makes a payer that of the highest group, from this one upwards, that has none. False if all have one.
  fileprivate func addHighestPayer(
    _ payer: Pointer<Payer>, under registry: borrowing RegistryLocked
  ) -> Bool {
    var highest: Pointer<Group>?
    var next: Pointer<Group>? = self
    while let group = next, group.pointee.payer == nil {
      highest = group
      next = group.pointee.parent
    }
    guard let highest else { return false }
    let parent = next?.pointee.payer
    // SAFETY: the memory is ours and large enough.
    unsafe payer.unsafePointer.initialize(to: Payer(group: highest, parent: parent))
    let lock = pointee.allocator.pages.pointee.lock.lock()
    if let parent {
      parent.pointee.holds += 1
      parent.pointee.children += 1
    }
    highest.pointee.payer = payer
    lock.unlock()
    return true
  }
}
