// Merging caches that are alike (the kernel's mm/slab_common.c): which ones are, how a user joins a root, and how he
// leaves it. The users themselves are in CacheAlias.swift.

package import SlabPlatform
internal import Synchronization

extension CacheOptions {
  /// Whether a cache with these options and this constructor may share a root.
  fileprivate func allowMerging(constructor: Constructor?) -> Bool {
    unsafe isDisjoint(with: [.typeSafe, .poison, .noMerge]) && constructor == nil
  }
}

extension Pointer where Pointee == RootCache {
  /// Whether it may have several users, as far as its options go.
  var isShareable: Bool {
    unsafe pointee.cache.allocator.pointee.configuration.mergesCaches
      && pointee.options.allowMerging(constructor: pointee.constructor)
  }

  /// Under the registry lock: whether the root may get another user.
  private var isMergeable: Bool {
    unsafe pointee.kind == .user && !pointee.isDestroying && pointee.usersEnding == 0
      && pointee.options.allowMerging(constructor: pointee.constructor)
  }

  /// Under the registry lock: whether this root's slots do for objects of a layout. By the rule they
  /// may be larger by less than a word, and have to be a multiple of the alignment that is wanted.
  /// Slots are whole words, and the wanted ones such a multiple: so they have to be the same. Slabs
  /// are aligned to their size.
  fileprivate func serves(_ wanted: SlabGeometry) -> Bool {
    isMergeable && pointee.geometry.slotBytes == wanted.slotBytes
  }
}

extension Allocator {
  /// Makes a cache for a user: with `mergesCaches`, a share of the oldest root whose objects are
  /// alike, if there is one. Otherwise as `makeCache`. O(root caches and aliases).
  ///
  /// A merged cache has the settings and the sheaves of the one that it is merged into, and its line
  /// in slabinfo. Who is charged does not change: groups have a child of the root.
  package func makeReference(
    named utf8: borrowing Span<UInt8>, objectSize: Int, alignment: Int = 0,
    options: CacheOptions = [], constructor: Constructor? = nil
  ) throws(AllocatorError) -> CacheReference {
    guard state.pointee.configuration.mergesCaches,
      unsafe options.allowMerging(constructor: constructor)
    else {
      return CacheReference(
        root: try unsafe makeCache(
          named: utf8, objectSize: objectSize, alignment: alignment, options: options,
          constructor: constructor))
    }
    let (name, geometry) = try checkedLayout(
      named: utf8, objectSize: objectSize, alignment: alignment, options: options)
    // Both before the lock, though only one of them is needed: under it nothing can fail half-way,
    // and two threads that make caches that are alike get the same.
    let root = Pointer<RootCache>(address: try state.pointee.rootCaches.cache.allocate())!
    let alias: Pointer<CacheAlias>
    do throws(AllocatorError) {
      alias = Pointer<CacheAlias>(
        address: try state.allocateInternal(bytes: MemoryLayout<CacheAlias>.size))!
    } catch {
      state.pointee.rootCaches.cache.free(root.address)
      throw error
    }
    do throws(AllocatorError) {
      let other = try waitingForIndices { () throws(AllocatorError) in
        try joinOrMake(
          root, alias: alias, name: name, objectSize: objectSize, geometry: geometry)
      }
      if let other {
        state.pointee.rootCaches.cache.free(root.address)
        return CacheReference(root: other, alias: alias)
      }
      state.freeInternal(alias.address)
      return CacheReference(root: root)
    } catch {
      state.freeInternal(alias.address)
      state.pointee.rootCaches.cache.free(root.address)
      throw error
    }
  }

  /// The root that the alias has joined; `nil` if there is none and the new root stands.
  private func joinOrMake(
    _ root: Pointer<RootCache>, alias: Pointer<CacheAlias>, name: CacheName, objectSize: Int,
    geometry: SlabGeometry
  ) throws(AllocatorError) -> Pointer<RootCache>? {
    state.pointee.registry.lock.lock()
    defer { state.pointee.registry.lock.unlock() }
    guard let oldest = oldestRoot(serving: geometry) else {
      try unsafe initializeRoot(
        root, name: name, objectSize: objectSize, geometry: geometry, constructor: nil,
        isSelfDescribing: false)
      return nil
    }
    guard !hasRoot(named: name) else { throw .nameInUse }
    // SAFETY: the object is ours and large enough.
    unsafe alias.unsafePointer.initialize(to: CacheAlias(root: oldest, name: name))
    oldest.addUser(alias)
    // Relaxed: the new user's reference carries it to his threads.
    let largest = max(oldest.pointee.objectSize, objectSize)
    oldest.pointee.largestObject.store(largest, ordering: .relaxed)
    state.pointee.registry.aliasesCreated += 1
    return oldest
  }

  /// Under the registry lock. The list begins with the newest.
  private func oldestRoot(serving geometry: SlabGeometry) -> Pointer<RootCache>? {
    let roots = state.rootsList
    var oldest: Pointer<RootCache>?
    var node = roots.successor(in: roots)
    while let current = node {
      let root = Pointer<RootCache>(rootNode: current)
      if root.serves(geometry) { oldest = root }
      node = current.successor(in: roots)
    }
    return oldest
  }

  /// Ends the use of a root by its first user: see `destroy(_:)` for references.
  package func destroy(_ root: Pointer<RootCache>) throws(AllocatorError) {
    try destroy(CacheReference(root: root))
  }

  /// For `destroy`: ends one user's share of a root. If it is the last one and there is no live object,
  /// true, and the registry lock is held: the root is the caller's to end. If there are others, false: the
  /// user's name is free, and that was all. Waits as `destroy` does.
  func lockToEnd(_ reference: CacheReference) throws(AllocatorError) -> Bool {
    guard try !leaveUnlessLast(reference) else { return false }
    try lockToEnd(reference, live: try liveObjects(of: reference.root))
    return true
  }

  /// Whether the user was not the last, and has left. If it is the last, nobody joins from here on, until
  /// `lockToEnd` has decided: what is counted meanwhile is this user's, and is counted once.
  func leaveUnlessLast(_ reference: CacheReference) throws(AllocatorError) -> Bool {
    let root = reference.root
    state.pointee.registry.lock.lock()
    guard !root.pointee.isDestroying else {
      state.pointee.registry.lock.unlock()
      throw .cacheDestroyed
    }
    guard !root.isLastUser(reference) else {
      defer { state.pointee.registry.lock.unlock() }
      root.pointee.usersEnding += 1
      return false
    }
    root.removeUser(reference)
    if reference.alias != nil { state.pointee.registry.aliasesDropped += 1 }
    state.pointee.registry.lock.unlock()
    freeAlias(of: reference)
    return true
  }

  /// For the last user, with the number of its live objects: if there is none, the lock stays held, and
  /// the root is the caller's to end. Else it throws, and the root can be joined again.
  func lockToEnd(_ reference: CacheReference, live: Int) throws(AllocatorError) {
    let root = reference.root
    state.pointee.registry.lock.lock()
    guard !root.pointee.isDestroying else {
      state.pointee.registry.lock.unlock()
      throw .cacheDestroyed
    }
    root.pointee.usersEnding -= 1
    guard live == 0 else {
      state.pointee.registry.lock.unlock()
      throw .cacheBusy(objects: live)
    }
    if reference.alias != nil {
      root.pointee.oldestAlias = nil
      state.pointee.registry.aliasesDropped += 1
    }
  }

  /// Without the lock, when the user is in no book any more.
  func freeAlias(of reference: CacheReference) {
    if let alias = reference.alias { state.freeInternal(alias.address) }
  }
}
