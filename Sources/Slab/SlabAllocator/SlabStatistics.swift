internal import SlabCore
internal import SlabPlatform

/// What an allocator says about itself. Each figure is exact; together they are of one moment only
/// if nobody works.
public struct SlabStatistics: Sendable {
  /// Groups that were made, that went offline, that are gone, and that still exist.
  public var groupsCreated, groupsOfflined, groupsReleased, groupsLive: Int
  /// Groups that are offline and still exist.
  public var groupsDying: Int
  /// Child caches, likewise.
  public var childCachesCreated, childCachesReleased, childCachesLive: Int
  /// Child caches that a parent group took over, once or more often.
  public var childCachesReparented: Int
  /// Root caches that users have made and that still exist: one that was destroyed does as long as
  /// somebody has its `SlabCache`.
  public var rootCaches: Int
  /// Users of those who share the one that another user made first: see
  /// `SlabAllocator.Configuration.mergesCaches`.
  public var mergedCaches: Int
  /// Bytes charged to all groups now, and the most at one time.
  public var chargedBytes, chargedBytesPeak: Int
  /// Bytes that the allocator holds of the system's memory now (objects, free pages that are
  /// resident, its own tables), and the most at one time.
  public var systemBytes, systemBytesPeak: Int
  /// Bytes that were ever given back to the system.
  public var returnedBytes: Int
  /// Fences for endings, and the batches that they served.
  public var fences, fenceBatches: Int
  /// Addresses that sheaves have on each CPU, and can have, in bytes. They are charged to nobody.
  public var sheafBytes, sheafBytesLimit: Int
  /// Times that a cache found no place for a sheaf, and went on under its lock; and sheaves that were taken
  /// back, for that reason, from caches that nobody used.
  public var sheafRefusals, sheavesTakenBack: Int
  /// Nodes of lists of caches that were visited: for endings, when caches and groups were made, and
  /// for slabinfo.
  public var listSteps: Int
  /// Time that the allocator's threads spent on endings, in nanoseconds.
  public var workerNanoseconds: Int
  /// Threads of the allocator now, and the most at one time.
  public var workerThreads, workerThreadsPeak: Int
  /// How the CPU layer runs: `rseq` or `fallback`.
  public var perCPUMode: String
  /// How sheaves are closed from outside: `membarrier` or `locks`.
  public var fence: String
}

extension SlabAllocator {
  /// The figures of now. O(CPUs); takes two short locks.
  public var statistics: SlabStatistics {
    let core = core.statistics
    let sequenced = core.mode == .restartableSequences
    return SlabStatistics(
      groupsCreated: core.groupsCreated, groupsOfflined: core.groupsOfflined,
      groupsReleased: core.groupsReleased,
      groupsLive: core.groupsCreated - core.groupsReleased, groupsDying: core.groupsDying,
      childCachesCreated: core.childCachesCreated,
      childCachesReleased: core.childCachesReleased,
      childCachesLive: core.childCachesCreated - core.childCachesReleased,
      childCachesReparented: core.childCachesReparented,
      rootCaches: core.rootCachesCreated - core.rootCachesReleased,
      mergedCaches: core.aliasesCreated - core.aliasesDropped,
      chargedBytes: core.chargedBytes, chargedBytesPeak: core.chargedBytesPeak,
      systemBytes: core.systemBytes, systemBytesPeak: core.systemBytesPeak,
      returnedBytes: core.returnedBytes, fences: core.fences, fenceBatches: core.fenceBatches,
      sheafBytes: core.sheafBytes, sheafBytesLimit: core.sheafBytesLimit,
      sheafRefusals: core.sheafRefusals, sheavesTakenBack: core.sheavesTakenBack,
      listSteps: core.listSteps,
      workerNanoseconds: core.workerNanoseconds, workerThreads: core.workerThreads,
      workerThreadsPeak: core.workerThreadsPeak,
      perCPUMode: sequenced ? "rseq" : "fallback", fence: sequenced ? "membarrier" : "locks")
  }
}
