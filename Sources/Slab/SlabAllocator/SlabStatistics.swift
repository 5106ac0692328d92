// SPDX-License-Identifier: Apache-2.0
internal import SlabCore
internal import SlabPlatform

/// What an allocator says about itself. Each figure is exact; together they are of one moment only
/// if no thread works.
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
  /// a copy of its `SlabCache` is left.
  public var rootCaches: Int
  /// Users of root caches that another user made first: see
  /// `SlabAllocator.Configuration.mergesCaches`.
  public var mergedCaches: Int
  /// Bytes charged to all groups now, and the most at one time.
  public var chargedBytes, chargedBytesPeak: Int
  /// Bytes that the allocator holds of the system's memory now (objects, free pages that are
  /// resident, its own tables); and the sum of the most that each of these had, which only rises.
  public var systemBytes, systemBytesPeak: Int
  /// Bytes that were ever given back to the system.
  public var returnedBytes: Int
  /// Fences for endings, and the batches that they served.
  public var fences, fenceBatches: Int
  /// Addresses that sheaves have on each CPU, and can have, in bytes. They are charged to no group.
  public var sheafBytes, sheafBytesLimit: Int
  /// Times that a cache found no place for a sheaf, and went on under its lock; and sheaves that were taken
  /// back, for that reason, from caches that were not in use.
  public var sheafRefusals, sheavesTakenBack: Int
  /// Full sheaves that allocations took from the barns of their caches, and allocations that found sheaf and barn
  /// empty.
  public var barnHits, barnMisses: Int
  /// Bytes of objects in barns, and of those that went back from there to their slabs. They are charged to their
  /// groups.
  public var barnBytes, barnBytesGivenBack: Int
  /// Times that a cache out of use gave back its sheaf, its barn and its empty slabs by itself.
  public var coldCaches: Int
  /// Nodes of lists of caches that were visited: for endings, when caches and groups were made, and
  /// for slabinfo.
  public var listSteps: Int
  /// Time that the allocator's threads spent on endings.
  public var workerTime: Duration
  /// Threads of the allocator now, and the most at one time.
  public var workerThreads, workerThreadsPeak: Int
  /// How the CPU layer runs.
  public var perCPUMode: PerCPUMode
  /// Why it is the fallback, in words; `nil` with restartable sequences.
  public var fallbackReason: String?

  /// How sheaves are closed from outside.
  public var fence: Fence {
    switch perCPUMode {
    case .restartableSequences: .membarrier
    case .lockedStripes: .locks
    }
  }

  /// A way to wait until no thread uses a sheaf that has been closed.
  public enum Fence: String, Sendable, CaseIterable, Encodable {
    /// The system call `membarrier`, which reaches every CPU.
    case membarrier
    /// A turn of all stripes' locks.
    case locks
  }
}

extension SlabAllocator {
  /// The figures of now. O(CPUs); takes a few short locks.
  public var statistics: SlabStatistics {
    let figures = CounterFigures(of: core)
    return SlabStatistics(
      groupsCreated: figures["groups_created"], groupsOfflined: figures["groups_offlined"],
      groupsReleased: figures["groups_released"], groupsLive: figures["groups_live"],
      groupsDying: figures["groups_dying"],
      childCachesCreated: figures["child_caches_created"],
      childCachesReleased: figures["child_caches_released"],
      childCachesLive: figures["child_caches_live"],
      childCachesReparented: figures["child_caches_reparented"],
      rootCaches: figures["root_caches"], mergedCaches: figures["merged_caches"],
      chargedBytes: figures["charged_bytes"], chargedBytesPeak: figures["charged_bytes_peak"],
      systemBytes: figures["system_bytes"], systemBytesPeak: figures["system_bytes_peak"],
      returnedBytes: figures["returned_bytes"],
      fences: figures["fences"], fenceBatches: figures["fence_batches"],
      sheafBytes: figures["sheaf_bytes"], sheafBytesLimit: figures["sheaf_bytes_limit"],
      sheafRefusals: figures["sheaf_refusals"], sheavesTakenBack: figures["sheaves_taken_back"],
      barnHits: figures["barn_hits"], barnMisses: figures["barn_misses"],
      barnBytes: figures["barn_bytes"],
      barnBytesGivenBack: figures["barn_bytes_given_back"],
      coldCaches: figures["cold_caches"],
      listSteps: figures["list_steps"], workerTime: .nanoseconds(figures["worker_nanoseconds"]),
      workerThreads: figures["worker_threads"],
      workerThreadsPeak: figures["worker_threads_peak"],
      perCPUMode: core.perCPUMode, fallbackReason: core.fallbackReason?.words)
  }
}

extension PerCPUMode.FallbackReason {
  fileprivate var words: String {
    switch self {
    case .environment: "SLAB_PERCPU=fallback"
    case .unregistered: "the kernel or the C library has no restartable sequences"
    case .fenceRefused: "the kernel refuses membarrier"
    case .notAborted: "the kernel does not abort restartable sequences"
    case .untried: "it could not be tried whether the kernel aborts restartable sequences"
    case .unknownProcessors: "the kernel does not say how many CPUs there can be"
    case .addressSpace: "the limit on address space has no room for every CPU"
    }
  }
}

/// What the core's list of counters says, by name.
private struct CounterFigures {
  private var values: [String: Int] = [:]

  init(of allocator: Allocator) {
    allocator.forEachReading { values["\($0.name)"] = $1 }
  }

  subscript(name: String) -> Int { values[name]! }
}
