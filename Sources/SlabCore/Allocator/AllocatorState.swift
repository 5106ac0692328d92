// Everything that one allocator has. It stands at the start of the heap that it manages, with the
// descriptors of the core's own caches behind it.
//
// Lock order, outermost first (docs/lock-order.md):
//
//   workers' busy locks > batch lock > group lock > deferred lock > gate of grace periods > barrier lock
//     > registry > a cache > workers' lock > callback queues, their workers' lock > tracking lock
//     > page lock > region lock > slot locks
//
// A thread holds at most one cache's lock, and no lock at all while it charges, makes a slab of a user's
// cache or gives one back.

internal import SlabPlatform
internal import Synchronization

@usableFromInline
package struct AllocatorState: ~Copyable {
  @usableFromInline var pages: PageAllocator
  var region: PerCPURegion
  @usableFromInline var readers = Readers()
  var gracePeriods = GracePeriodSequence()
  var callbacks: Callbacks
  var registry: Registry
  var lifecycle: Lifecycle
  let configuration: AllocatorConfiguration

  // The core's own caches; set once, while the allocator is made.
  /// Descriptors of slabs with up to 192 and with more objects.
  var slabs: Pointer<RootCache>! = nil
  var wideSlabs: Pointer<RootCache>! = nil
  var rootCaches: Pointer<RootCache>! = nil
  var childCaches: Pointer<RootCache>! = nil
  var groups: Pointer<RootCache>! = nil
  /// Names, tables of child caches and cursors, by size.
  var general = InlineArray<11, Pointer<RootCache>?>(repeating: nil)
  /// The root caches of variable-size storage.
  var sizeClasses = SizeClasses()

  /// The group that everything else is below. Its handle is the allocator's.
  var rootGroup: Pointer<Group>! = nil
  /// What stands in the slots of a group's table that have no child: descriptors of no root, of
  /// which only that is read. And a table without children for groups that are offline: mask 0, one
  /// vacant slot.
  var vacantCache: UInt = 0
  var tombstoneCache: UInt = 0
  var emptyTable: UInt = 0
  /// Blocks of running sums of roots that are gone: kept, since there are few.
  var freeSums: UInt = 0

  /// Fences for sheaves that grew or were drained on request; those of endings count in
  /// `lifecycle`.
  let sheafFences = Atomic<Int>(0)
  var coldSheaves = ColdSheaves()
  let forkGate = ForkGate()
  var threadStart = ThreadStart()
  /// Watched groups about which there is something to tell.
  var changedGroups = ChangedGroups()
  /// The next allocator of this process, for the fork handlers; under their lock.
  var nextAllocator: Pointer<AllocatorState>? = nil

  init(
    pages: consuming PageAllocator, region: consuming PerCPURegion,
    rootIndices: consuming IDTable, groupIDs: consuming IDTable,
    groupNames: consuming GroupNames,
    configuration: AllocatorConfiguration
  ) {
    self.pages = pages
    self.region = region
    registry = Registry(
      rootIndices: rootIndices, groupIDs: groupIDs, groupNames: groupNames)
    callbacks = Callbacks(workerLimit: configuration.callbackWorkerLimit)
    lifecycle = Lifecycle(workerLimit: configuration.workerLimit)
    self.configuration = configuration
  }

  /// Sizes of the general caches.
  static var generalSizes: InlineArray<11, Int> {
    [32, 64, 144, 272, 528, 1040, 2064, 4112, 8208, 16400, 32784]
  }
}

/// How an allocator is made.
@usableFromInline
package struct AllocatorConfiguration: Sendable {
  /// Addresses to reserve for objects, in bytes: the most memory that the allocator can hold.
  /// Above 0; rounded up to 16 MiB and to 4 MiB, at most 128 GiB. Less is reserved where the system refuses.
  package var addressSpaceBytes = 64 << 30
  /// Threads that end groups and caches, 1...8.
  package var workerLimit = 1
  /// Threads that run callbacks after grace periods, 1...8.
  package var callbackWorkerLimit = 1
  /// After how long a grace period that still waits for readers is reported on standard error, and
  /// again after each doubling; 0 for never.
  package var stallNanoseconds: UInt64 = 10_000_000_000
  /// Whether every read-side section is remembered with where it began: slow; for finding stalls.
  package var tracksReaders = false
  /// Whether caches that are alike share a root: see Caches/RootCache+Merge.swift.
  package var mergesCaches = false
  /// Free memory, in bytes, that is kept for the next slab however little is in use.
  package var freeBytesToKeep = 4 << 20
  /// What becomes of the objects that outlive their group, for groups that are made without a
  /// policy of their own.
  package var endings = EndingPolicy.reparent
  /// By whose rules groups and caches end.
  package var design = LifecycleDesign.current

  package init() {}

  /// What `check` looks at.
  @usableFromInline
  package enum Setting: Equatable, Sendable {
    case addressSpaceBytes, workerLimit, callbackWorkerLimit
  }

  /// - Throws: `.invalidSetting` for the first one that is out of its bounds.
  func check() throws(AllocatorError) {
    guard addressSpaceBytes > 0 else {
      throw .invalidSetting(.addressSpaceBytes, value: addressSpaceBytes)
    }
    guard 1...Workers.most ~= workerLimit else {
      throw .invalidSetting(.workerLimit, value: workerLimit)
    }
    guard 1...CallbackWorkers.most ~= callbackWorkerLimit else {
      throw .invalidSetting(.callbackWorkerLimit, value: callbackWorkerLimit)
    }
  }
}

extension Pointer where Pointee == AllocatorState {
  var pages: Pointer<PageAllocator> { Pointer<PageAllocator>(of: &pointee.pages) }
  var region: Pointer<PerCPURegion> { Pointer<PerCPURegion>(of: &pointee.region) }

  /// The cache for descriptors of slabs with that many objects.
  func slabDescriptors(slots: Int) -> Pointer<Cache> {
    slots <= Slab.slotsOfDescriptor ? pointee.slabs.cache : pointee.wideSlabs.cache
  }

  /// Memory for the core itself, from its general caches; charged to nobody.
  func allocateInternal(bytes: Int) throws(AllocatorError) -> UInt {
    for index in 0..<AllocatorState.generalSizes.count
    where bytes <= AllocatorState.generalSizes[index] {
      return try pointee.general[index]!.cache.allocate()
    }
    throw .outOfMemory
  }

  func freeInternal(_ address: UInt) {
    let map = pointee.pages.map
    map.cache(of: map.word(at: address)).free(address)
  }

  var rootsList: Pointer<ListNode> { Pointer<ListNode>(of: &pointee.registry.roots) }
  var allCachesList: Pointer<ListNode> { Pointer<ListNode>(of: &pointee.registry.allCaches) }
}
