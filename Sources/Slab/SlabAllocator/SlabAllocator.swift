public import SlabCore
internal import SlabPlatform

/// An allocator: caches, memory groups, and the memory behind them. Most programs use the one that is
/// there, `shared`, and never name it; others are for tests, tools and experiments.
///
/// Nothing is shared between two allocators. A value is a handle, copied freely and used from any
/// thread. An allocator that was made by `init` lives until `unmapEverything`.
@safe
public struct SlabAllocator: Sendable {
  @usableFromInline let core: Allocator
  let handle: AllocatorHandle

  /// How an allocator is made.
  public struct Configuration: Sendable {
    /// Addresses to reserve, in bytes, above 0: the most memory that the allocator can hold. At least 16 MiB
    /// and at most 128 GiB are taken; less is reserved where the system refuses.
    public var addressSpaceBytes = 64 << 30
    /// Threads that end groups and caches, 1 to 8; started when there is first something to do.
    public var workerLimit = 1
    /// What becomes of objects that outlive their group.
    public var endings = EndingPolicy.reparent
    /// By whose rules groups and caches end.
    public var design = Design.current
    /// Whether caches whose objects have the same size and alignment, rounded up, share their memory
    /// and their line in slabinfo, which then has the oldest one's name. Less memory is idle, but an
    /// object used after its end may be another cache's by then.
    public var mergesCaches = false
    /// Whether each read-side section is recorded with the place where it begins: then a grace period
    /// that waits for a section says which, and waiting for a section of one's own ends the process
    /// with a line instead of for ever. For tests and debugging: each section takes a lock.
    public var tracksReaders = false
    /// After how many nanoseconds a grace period that still waits for sections says so on standard
    /// error, and again after each doubling. 10 s at first.
    public var stallNanoseconds: UInt64 = 10_000_000_000

    /// The defaults: 64 GiB of addresses, one worker, `.reparent`, the present rules, nothing merged. O(1).
    public init() {}
  }

  /// Makes an allocator. A few system calls; starts no thread.
  ///
  /// The CPU layer uses restartable sequences where the system has them, locked slots elsewhere;
  /// `SLAB_PERCPU=rseq` or `fallback` in the environment forces one.
  ///
  /// - Throws: `.outOfAddressSpace`, `.outOfMemory`, `.invalidSetting`, `.unsupportedPageSize`,
  ///   `.restartableSequencesUnavailable`, `.unknownPerCPUMode`.
  public init(configuration: Configuration = Configuration()) throws(SlabError) {
    var settings = AllocatorConfiguration()
    settings.addressSpaceBytes = configuration.addressSpaceBytes
    settings.workerLimit = configuration.workerLimit
    settings.endings = configuration.endings.core
    settings.design = configuration.design.core
    settings.mergesCaches = configuration.mergesCaches
    settings.tracksReaders = configuration.tracksReaders
    settings.stallNanoseconds = configuration.stallNanoseconds
    do { core = try Allocator(configuration: settings) } catch { throw SlabError(error) }
    handle = AllocatorHandle(core)
  }

  /// The group that all others are below: it is always online and has no limit. What is allocated in it is
  /// charged to nobody. O(1), no lock.
  public var rootGroup: MemoryGroup {
    MemoryGroup(GroupHandle(adopting: core.rootGroup, parent: nil, allocator: handle))
  }

  /// Waits until everything that has ended so far is done, but for what live objects hold up. For
  /// tests and tools. Blocks the thread; waits for workers, deferred frees and open sections. Not inside a
  /// section.
  public func waitUntilDrained() { core.waitUntilDrained() }

  /// Gives all memory that is not in use back to the system. O(caches + free pages); a system call for each
  /// run of free pages, short locks; waits for workers that are at work. Idle slabs of users' own caches
  /// stay: see `SlabCache.shrink` and `MemoryGroup.reclaim`.
  public func trim() { core.trim() }

  /// Ends the allocator and gives all its addresses back; waits for its threads. Handles of its caches
  /// and groups may be dropped afterwards, and nothing else.
  ///
  /// - Precondition: nobody uses anything of it any more: no object, no slot, no group; no read-side
  ///   section is open. Not the shared allocator.
  @unsafe
  public func unmapEverything() { handle.unmapEverything() }
}

extension SlabAllocator: Equatable {
  /// Whether both are the same allocator. O(1).
  public static func == (left: SlabAllocator, right: SlabAllocator) -> Bool {
    left.core == right.core
  }
}
