// SPDX-License-Identifier: Apache-2.0
// Making an allocator, and ending it. The first caches are made by hand: their descriptors, and the
// state itself, stand in the first run of the heap; from then on the core allocates its descriptors
// like any other object.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Not at the start of a page, where the first objects of slabs are: every free reads the state's
  /// first words, and would wait for a store to an object with the same lowest twelve bits.
  private static var stateOffset: UInt { 0xa80 }
  /// log2 of the units of the run that the state and the first descriptors stand in: 32 KiB.
  private static var bootstrapOrder: Int { 5 }
  fileprivate static var rootDescriptorBytes: Int { 448 }

  /// Makes an allocator of its own: nothing is shared with other ones. A few system calls; no
  /// thread is started yet.
  package init(configuration: AllocatorConfiguration = .init()) throws(AllocatorError) {
    checkLayouts()
    try configuration.check()
    guard SystemCall.pageBytes <= SystemCall.largestPageBytes else {
      throw .unsupportedPageSize(bytes: SystemCall.pageBytes)
    }
    // Before the first sequence of this copy of the code is run. What serves `malloc` is never unloaded.
    if !configuration.servesMalloc { SystemCall.pinLibrary() }
    let (mode, fallbackReason) = try Self.chooseMode()
    var region: PerCPURegion
    do throws(Errno) {
      region = try PerCPURegion(mode: mode, fallbackReason: fallbackReason)
    } catch {
      throw Self.outOfAddressSpace(besides: PerCPURegion.fewestBytes, error)
    }
    if region.mode != mode, SystemCall.environment("SLAB_PERCPU", equals: "rseq") == true {
      region.unmap()
      throw .restartableSequencesUnavailable
    }
    let heap: HeapReservation
    do throws(Errno) {
      heap = try HeapReservation(wanted: configuration.addressSpaceBytes)
    } catch {
      region.unmap()
      throw Self.outOfAddressSpace(besides: region.reservedBytes, error)
    }
    // Behind the heap, which leaves addresses where there are few.
    let cacheTables: CacheTables
    do throws(Errno) { cacheTables = try CacheTables() } catch {
      region.unmap()
      heap.unmap()
      throw Self.outOfAddressSpace(besides: region.reservedBytes, error)
    }
    let groupTables: GroupTables
    do throws(Errno) { groupTables = try GroupTables() } catch {
      region.unmap()
      heap.unmap()
      cacheTables.unmap()
      throw Self.outOfAddressSpace(besides: region.reservedBytes, error)
    }
    var pages = PageAllocator(
      map: heap.map, freeBytesToKeep: configuration.freeBytesToKeep,
      hasRounds: configuration.idleRoundMilliseconds > 0)
    guard let run = pages.allocateFirst(order: Self.bootstrapOrder) else {
      region.unmap()
      heap.unmap()
      cacheTables.unmap()
      groupTables.unmap()
      throw .outOfMemory
    }
    // SAFETY: the run is ours, and larger than the state.
    unsafe self.init(nonzeroAddress: heap.map.address(ofUnit: run.unit) + Self.stateOffset)
    let base = BaseState(pages: pages, region: region, configuration: configuration)
    let caches = CachesState(base: base, tables: cacheTables, above: .ofThisModule)
    let readers = ReadersState(
      caches: caches, callbackWorkerLimit: configuration.callbackWorkerLimit,
      above: .ofThisModule)
    // The one place that asks which rules there are.
    let rules: EndingRules = configuration.design == .linux410 ? .linux410 : .current
    let groups = GroupsState(readers: readers, tables: groupTables)
    let deferred = DeferredState(groups: groups, countsAwaited: rules.countsAwaited)
    let endings = EndingsState(
      deferred: deferred, rules: rules, workerLimit: configuration.workerLimit)
    let linux410 = Linux410State(endings: endings)
    // SAFETY: the run is ours, zeroed and larger than the state.
    unsafe unsafePointer.initialize(to: AllocatorState(linux410: linux410))
    do throws(AllocatorError) {
      try makeInternalCaches()
      if configuration.mergesCaches {
        cachesState.pointee.mergeableRoots = MergeableRoots(
          tableAt: try allocateInternal(bytes: MergeableRoots.bytes))
      }
      try makeRootGroup()
      try makeGracePeriods()
      sizeClasses.pointee.fill()
    } catch {
      unmap()
      throw error
    }
    ForkHandlers.add(self)
  }

  /// Of all that an allocator reserves, whichever part was refused: that part alone would not do.
  private static func outOfAddressSpace(
    besides regionBytes: Int, _ error: Errno
  ) -> AllocatorError {
    .outOfAddressSpace(
      bytes: regionBytes + CacheTables.fewestBytes + GroupTables.fewestBytes
        + HeapReservation.fewestBytes, errno: error)
  }

  private static func chooseMode() throws(AllocatorError) -> (
    PerCPUMode, PerCPUMode.FallbackReason?
  ) {
    do throws(PerCPUMode.Failure) {
      return try PerCPUMode.choose()
    } catch {
      switch error {
      case .restartableSequencesUnavailable: throw .restartableSequencesUnavailable
      case .unknownEnvironmentValue: throw .unknownPerCPUMode
      }
    }
  }

  private func makeInternalCaches() throws(AllocatorError) {
    allCachesList.makeEmptyList()
    rootsList.makeEmptyList()
    makeIdleClock()
    rehearseFork()
    guard let sums = region.allocateCounters() else { throw .outOfMemory }
    cachesState.pointee.barnSums = sums
    let registry = lockRegistry()
    var next = address + UInt((MemoryLayout<AllocatorState>.size + 63) & ~63)
    func make(
      _ name: StaticString, bytes: Int, cacheAligned: Bool = true, isSelfDescribing: Bool = false
    ) throws(AllocatorError) -> Pointer<RootCache> {
      // SAFETY: within the first run, which is ours.
      let root = unsafe Pointer<RootCache>(address: next)!
      next += UInt(Self.rootDescriptorBytes)
      let run = address - Self.stateOffset
      guard next <= run + UInt(UnitMap.unitBytes << Self.bootstrapOrder) else {
        fatal("bootstrap: the first run is too small")
      }
      let geometry = SlabGeometry(
        objectSize: bytes, alignment: cacheAligned ? 64 : 8, cacheAligned: false,
        processorCount: region.pointee.processorCount)
      try unsafe initializeRoot(
        root, name: CacheName(ofTheCore: name), objectSize: bytes, geometry: geometry,
        constructor: nil,
        kind: .core, slabs: isSelfDescribing ? .selfDescribing : .plain, under: registry)
      return root
    }
    cachesState.pointee.slabs = try make(
      "slab", bytes: Slab.descriptorBytes, isSelfDescribing: true)
    cachesState.pointee.wideSlabs = try make(
      "slab_wide", bytes: Slab.wideDescriptorBytes, isSelfDescribing: true)
    cachesState.pointee.rootCaches = try make("kmem_cache", bytes: Self.rootDescriptorBytes)
    cachesState.pointee.childCaches = try make("kmem_cache_child", bytes: Cache.descriptorBytes)
    groupsState.pointee.groups = try make("mem_cgroup", bytes: Group.descriptorBytes)
    groupsState.pointee.payers = try make("obj_cgroup", bytes: Payer.bytes)
    groupsState.pointee.sharedCaches = try make(
      "kmem_cache_shared", bytes: Cache.sharedDescriptorBytes)
    let names: InlineArray<11, StaticString> = [
      "general-32", "general-64", "general-144", "general-272", "general-528", "general-1040",
      "general-2064", "general-4112", "general-8208", "general-16400", "general-32784",
    ]
    for index in 0..<names.count {
      cachesState.pointee.general[index] = try make(
        names[index], bytes: CachesState.generalSizes[index], cacheAligned: false)
    }
  }

  private func makeRootGroup() throws(AllocatorError) {
    let nothing = try allocateInternal(bytes: 272)
    zeroMemory(at: nothing, bytes: 272)
    groupsState.pointee.vacantCache = nothing
    groupsState.pointee.tombstoneCache = nothing + 64
    groupsState.pointee.emptyTable = nothing + 128
    // Their `root`, which is no root's address.
    Words(at: groupsState.pointee.vacantCache)[2] = UInt64(nothing)
    Words(at: groupsState.pointee.tombstoneCache)[2] = UInt64(nothing)
    Words(at: groupsState.pointee.emptyTable)[1] = UInt64(groupsState.pointee.vacantCache)
    guard let id = groupsState.pointee.tables.ids.take() else { throw .outOfMemory }
    // SAFETY: the object is ours, of the cache of these descriptors.
    let group = unsafe Pointer<Group>(address: try groupsState.pointee.groups.cache.allocate())!
    // SAFETY: the object is ours and large enough.
    unsafe group.unsafePointer.initialize(
      to: Group(
        id: UInt32(id), parent: nil, allocator: groupsState, max: Group.unlimited, name: 0,
        nameCount: 0, endings: base.pointee.configuration.endings, tenant: .rootGroup))
    group.makeEmpty()
    checkOffsets(of: cachesState.pointee.slabs.cache, group)
    groupsState.pointee.rootGroup = group
    groupsState.pointee.tables.ids.set(id, to: group.address)
  }

  /// Ends the allocator: runs the callbacks that are queued, stops its workers and gives all its
  /// addresses back. Nothing of it may be in use; what is still live is gone. Waits for the workers.
  /// A read-side section that is open is a broken contract: its callbacks could never run.
  package func unmapEverything() {
    guard !hasOpenSections else { fatal("allocator: ended while a reader section is open") }
    flushDeferredFrees()
    stopCallbackWorkers()
    stopWorkers()
    ForkHandlers.remove(self)
    unmap()
  }

  private func unmap() {
    let map = pages.pointee.map
    region.pointee.unmap()
    cachesState.pointee.tables.unmap()
    groupsState.pointee.tables.unmap()
    HeapReservation(map: map).unmap()
  }
}

/// What the code assumes of the compiler's layouts: a wrong one would corrupt memory silently.
private func checkLayouts() {
  guard MemoryLayout<Cache>.size <= Cache.descriptorBytes,
    MemoryLayout<Group>.size <= Group.descriptorBytes, MemoryLayout<Slab>.size == 40,
    MemoryLayout<Payer>.size <= Payer.bytes,
    MemoryLayout<RootCache>.size <= Allocator.rootDescriptorBytes, Counters.isHomogeneous
  else { fatal("bootstrap: unexpected size of a descriptor") }
}

private func checkOffsets(of cache: Pointer<Cache>, _ group: Pointer<Group>) {
  let root = cache.pointee.root
  guard Pointer<ListNode>(of: &cache.pointee.allNode) == cache.allNode,
    Pointer<ListNode>(of: &cache.pointee.siblingNode) == cache.siblingNode,
    Pointer<ListNode>(of: &cache.pointee.groupNode) == cache.groupNode,
    Pointer<ListNode>(of: &root.pointee.rootNode) == root.rootNode,
    Pointer<ListNode>(of: &root.pointee.children) == root.children,
    Pointer<ListNode>(of: &root.pointee.mergeNode) == root.mergeNode,
    group.siblingNode.address == group.address + Group.siblingNodeOffset,
    group.hasReclaimableNodeInPlace
  else { fatal("bootstrap: unexpected layout of a descriptor") }
}
