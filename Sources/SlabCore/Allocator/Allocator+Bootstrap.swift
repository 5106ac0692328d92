// Making an allocator, and ending it. The first caches are made by hand: their descriptors, and the
// state itself, stand in the first run of the heap; from then on the core allocates its descriptors
// like any other object.

public import SlabPlatform
internal import Synchronization

/// A handle on an allocator: one word, copied freely; it keeps nothing alive.
@usableFromInline @frozen
package struct Allocator: Sendable, Equatable {
  @usableFromInline package let state: Pointer<AllocatorState>

  @inlinable
  package init(state: Pointer<AllocatorState>) { self.state = state }
}

extension Allocator {
  /// Not at the start of a page, where the first objects of slabs are: every free reads the state's
  /// first words, and would wait for a store to an object with the same lowest twelve bits.
  private static var stateOffset: UInt { 0xa80 }
  /// log2 of the units of the run that the state and the first descriptors stand in: 16 KiB.
  private static var bootstrapOrder: Int { 4 }
  fileprivate static var rootDescriptorBytes: Int { 384 }

  /// Makes an allocator of its own: nothing is shared with other ones. A few system calls; no
  /// thread is started yet.
  package init(configuration: AllocatorConfiguration = .init()) throws(AllocatorError) {
    checkLayouts()
    try configuration.check()
    guard SystemCall.pageBytes <= SystemCall.largestPageBytes else {
      throw .unsupportedPageSize(bytes: SystemCall.pageBytes)
    }
    // Before the first sequence of this copy of the code is run.
    SystemCall.pinLibrary()
    let mode = try Self.chooseMode()
    var region: PerCPURegion
    do throws(Errno) { region = try PerCPURegion(mode: mode) } catch {
      throw .outOfAddressSpace(bytes: PerCPURegion.fewestBytes, errno: error)
    }
    if region.mode != mode, SystemCall.environment("SLAB_PERCPU", equals: "rseq") == true {
      region.unmap()
      throw .restartableSequencesUnavailable
    }
    let rootIndices: IDTable
    do throws(Errno) { rootIndices = try IDTable(most: IDTable.mostRoots) } catch {
      region.unmap()
      throw .outOfAddressSpace(bytes: IDTable.fewestBytes, errno: error)
    }
    let groupIDs: IDTable
    do throws(Errno) { groupIDs = try IDTable(most: IDTable.mostGroups) } catch {
      region.unmap()
      rootIndices.unmap()
      throw .outOfAddressSpace(bytes: IDTable.fewestBytes, errno: error)
    }
    let groupNames: GroupNames
    do throws(Errno) { groupNames = try GroupNames(bucketLimit: groupIDs.limit) } catch {
      let bytes = groupIDs.limit * 8
      region.unmap()
      rootIndices.unmap()
      groupIDs.unmap()
      throw .outOfAddressSpace(bytes: bytes, errno: error)
    }
    let heap: HeapReservation
    do throws(Errno) {
      heap = try HeapReservation(wanted: configuration.addressSpaceBytes)
    } catch {
      region.unmap()
      rootIndices.unmap()
      groupIDs.unmap()
      groupNames.unmap()
      throw .outOfAddressSpace(bytes: HeapReservation.fewestBytes, errno: error)
    }
    var pages = PageAllocator(
      map: heap.map, freeBytesToKeep: configuration.freeBytesToKeep)
    guard let run = pages.allocate(order: Self.bootstrapOrder, for: .nobody) else {
      region.unmap()
      rootIndices.unmap()
      groupIDs.unmap()
      groupNames.unmap()
      heap.unmap()
      throw .outOfMemory
    }
    state = Pointer(address: heap.map.address(ofUnit: run.unit) + Self.stateOffset)!
    // SAFETY: the run is ours, zeroed and larger than the state.
    unsafe state.unsafePointer.initialize(
      to: AllocatorState(
        pages: pages, region: region, rootIndices: rootIndices, groupIDs: groupIDs,
        groupNames: groupNames, configuration: configuration))
    do throws(AllocatorError) {
      try makeInternalCaches()
      try makeRootGroup()
      try state.makeGracePeriods()
      state.pointee.sizeClasses.fill()
    } catch {
      unmap()
      throw error
    }
    ForkHandlers.add(state)
  }

  private static func chooseMode() throws(AllocatorError) -> PerCPUMode {
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
    state.allCachesList.makeEmptyList()
    state.rootsList.makeEmptyList()
    var next = state.address + UInt((MemoryLayout<AllocatorState>.size + 63) & ~63)
    func make(
      _ name: StaticString, bytes: Int, cacheAligned: Bool = true, isSelfDescribing: Bool = false
    ) throws(AllocatorError) -> Pointer<RootCache> {
      let root = Pointer<RootCache>(address: next)!
      next += UInt(Self.rootDescriptorBytes)
      let run = state.address - Self.stateOffset
      guard next <= run + UInt(UnitMap.unitBytes << Self.bootstrapOrder) else {
        fatal("bootstrap: the first run is too small")
      }
      let geometry = SlabGeometry(
        objectSize: bytes, alignment: cacheAligned ? 64 : 8, cacheAligned: false,
        processorCount: state.pointee.region.processorCount)
      try unsafe initializeRoot(
        root, name: CacheName(ofTheCore: name), objectSize: bytes, geometry: geometry,
        constructor: nil,
        kind: .core, isSelfDescribing: isSelfDescribing)
      return root
    }
    state.pointee.slabs = try make(
      "slab", bytes: Slab.descriptorBytes, isSelfDescribing: true)
    state.pointee.wideSlabs = try make(
      "slab_wide", bytes: Slab.wideDescriptorBytes, isSelfDescribing: true)
    state.pointee.rootCaches = try make("kmem_cache", bytes: Self.rootDescriptorBytes)
    state.pointee.childCaches = try make("kmem_cache_child", bytes: Cache.descriptorBytes)
    state.pointee.groups = try make("mem_cgroup", bytes: Group.descriptorBytes)
    let names: InlineArray<11, StaticString> = [
      "general-32", "general-64", "general-144", "general-272", "general-528", "general-1040",
      "general-2064", "general-4112", "general-8208", "general-16400", "general-32784",
    ]
    for index in 0..<names.count {
      state.pointee.general[index] = try make(
        names[index], bytes: AllocatorState.generalSizes[index], cacheAligned: false)
    }
  }

  private func makeRootGroup() throws(AllocatorError) {
    let nothing = try state.allocateInternal(bytes: 272)
    zeroMemory(at: nothing, bytes: 272)
    state.pointee.vacantCache = nothing
    state.pointee.tombstoneCache = nothing + 64
    state.pointee.emptyTable = nothing + 128
    // Their `root`, which is no root's address.
    Words(at: state.pointee.vacantCache)[2] = UInt64(nothing)
    Words(at: state.pointee.tombstoneCache)[2] = UInt64(nothing)
    Words(at: state.pointee.emptyTable)[1] = UInt64(state.pointee.vacantCache)
    guard let id = state.pointee.registry.groupIDs.take() else { throw .outOfMemory }
    let group = Pointer<Group>(address: try state.pointee.groups.cache.allocate())!
    // SAFETY: the object is ours and large enough.
    unsafe group.unsafePointer.initialize(
      to: Group(
        id: UInt32(id), parent: nil, allocator: state, max: Group.unlimited, name: 0,
        nameCount: 0, endings: state.pointee.configuration.endings, tenant: .rootGroup))
    group.caches.makeEmptyList()
    group.childGroups.makeEmptyList()
    group.shrinkers.makeEmptyList()
    group.makeReclaimableList()
    group.makeInlineTable()
    checkOffsets(of: state.pointee.slabs.cache, group)
    state.pointee.rootGroup = group
    state.pointee.registry.groupIDs.set(id, to: group)
  }

  /// Ends the allocator: runs the callbacks that are queued, stops its workers and gives all its
  /// addresses back. Nothing of it may be in use; what is still live is gone. Waits for the workers.
  /// A read-side section that is open is a broken contract: its callbacks could never run.
  package func unmapEverything() {
    guard !state.hasOpenSections else { fatal("allocator: ended while a reader section is open") }
    state.flushDeferredFrees()
    state.stopCallbackWorkers()
    state.stopWorkers()
    ForkHandlers.remove(state)
    unmap()
  }

  private func unmap() {
    let map = state.pointee.pages.map
    state.pointee.region.unmap()
    state.pointee.registry.rootIndices.unmap()
    state.pointee.registry.groupIDs.unmap()
    state.pointee.registry.groupNames.unmap()
    HeapReservation(map: map).unmap()
  }
}

/// The heap's addresses and the page map's, in one reservation: the map first.
private struct HeapReservation {
  let map: UnitMap

  private static var smallestBytes: Int { 16 << 20 }
  static var fewestBytes: Int { reservationBytes(smallestBytes) }
  private static var largestBytes: Int { 128 << 30 }
  private static var alignment: Int { 4 << 20 }

  init(map: UnitMap) { self.map = map }

  /// As much as is wanted, or halves of it until the system agrees. Where it does not agree at
  /// once there is a limit on address space, and half of what fits is left to the process.
  init(wanted: Int) throws(Errno) {
    var bytes = min(max(wanted, Self.smallestBytes), Self.largestBytes)
    bytes = (bytes + Self.alignment - 1) & ~(Self.alignment - 1)
    var refused = false
    while true {
      let size = Self.reservationBytes(bytes)
      let half = max(Self.smallestBytes, bytes / 2 & ~(Self.alignment - 1))
      let start: UInt
      do throws(Errno) { start = try SystemCall.reserve(bytes: size) } catch {
        guard bytes > Self.smallestBytes else { throw error }
        refused = true
        bytes = half
        continue
      }
      if refused, bytes > Self.smallestBytes {
        try? SystemCall.unmap(at: start, bytes: size)
        refused = false
        bytes = half
        continue
      }
      map = Self.map(bytes: bytes, in: start, size: size)
      // All of it can be read, though little can be written yet: a look at an address that the
      // heap has not grown to finds nobody, as outside the heap.
      do throws(Errno) {
        try SystemCall.protectRead(at: map.words.address, bytes: Self.mapBytes(bytes))
      } catch {
        unmap()
        throw error
      }
      return
    }
  }

  /// Where the two lie in a reservation, which is cut to them.
  private static func map(bytes: Int, in start: UInt, size: Int) -> UnitMap {
    let heap = (start + UInt(mapBytes(bytes)) + UInt(alignment) - 1) & ~UInt(alignment - 1)
    let words = heap - UInt(mapBytes(bytes))
    // What the alignment left over, on both sides.
    if words > start { try? SystemCall.unmap(at: start, bytes: Int(words - start)) }
    let end = heap + UInt(bytes)
    let rest = Int(start + UInt(size) - end)
    if rest > 0 { try? SystemCall.unmap(at: end, bytes: rest) }
    return UnitMap(
      words: Words(at: words), heapBase: heap, unitLimit: bytes / UnitMap.unitBytes)
  }

  private static func mapBytes(_ bytes: Int) -> Int {
    SystemCall.wholePages(bytes / UnitMap.unitBytes * 8)
  }
  private static func reservationBytes(_ bytes: Int) -> Int {
    mapBytes(bytes) + bytes + alignment
  }

  func unmap() {
    let bytes = map.unitLimit * UnitMap.unitBytes
    let start = map.words.address
    try? SystemCall.unmap(at: start, bytes: Self.mapBytes(bytes) + bytes)
  }
}

/// What the code assumes of the compiler's layouts: a wrong one would corrupt memory silently.
private func checkLayouts() {
  guard MemoryLayout<Cache>.size <= Cache.descriptorBytes,
    MemoryLayout<Group>.size <= Group.descriptorBytes, MemoryLayout<Slab>.size == 40,
    MemoryLayout<RootCache>.size <= Allocator.rootDescriptorBytes
  else { fatal("bootstrap: unexpected size of a descriptor") }
}

private func checkOffsets(of cache: Pointer<Cache>, _ group: Pointer<Group>) {
  let root = cache.pointee.root
  guard Pointer<ListNode>(of: &cache.pointee.allNode) == cache.allNode,
    Pointer<ListNode>(of: &cache.pointee.siblingNode) == cache.siblingNode,
    Pointer<ListNode>(of: &cache.pointee.groupNode) == cache.groupNode,
    Pointer<ListNode>(of: &root.pointee.rootNode) == root.rootNode,
    Pointer<ListNode>(of: &root.pointee.children) == root.children,
    group.siblingNode.address == group.address + Group.siblingNodeOffset,
    group.hasReclaimableNodeInPlace
  else { fatal("bootstrap: unexpected layout of a descriptor") }
}
