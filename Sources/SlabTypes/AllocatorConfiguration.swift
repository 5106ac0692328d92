// SPDX-License-Identifier: Apache-2.0

/// How an allocator is made: settings that never change.
public struct AllocatorConfiguration: Sendable {
  /// Addresses to reserve, in bytes, above 0: the most memory that the allocator can hold. At least 16 MiB
  /// and at most 128 GiB are taken, in steps of 4 MiB; less is reserved where the system refuses.
  public var addressSpaceBytes = 64 << 30
  /// Threads that end groups and caches, 1 to 8; started when there is first something to do.
  public var workerLimit = 1
  /// What becomes of objects that outlive their group, unless the group has a policy of its own.
  public var endings = EndingPolicy.reparent
  /// Whose memory a group's objects are in, unless the group has a policy of its own.
  public var memory = MemoryPolicy.isolated
  /// By whose rules groups and caches end.
  public var design = LifecycleDesign.current
  /// Whether caches whose objects have the same size and alignment, rounded up, share their memory
  /// and their line in slabinfo, which then has the oldest one's name. Less memory is idle, but an
  /// object used after its end may be another cache's by then.
  public var mergesCaches = false
  /// Whether each read-side section is recorded with the place where it begins: then a grace period
  /// that waits for a section says which, and waiting for a section of one's own ends the process
  /// with a line instead of for ever. For tests and debugging: each section takes a lock.
  public var tracksReaders = false
  /// After how long a grace period that still waits for sections says so on standard error, and again
  /// after each doubling: 10 s at first; `.zero` for never. Above 0 to the nanosecond, and 584 years at most.
  public var stallTimeout = Duration.seconds(10)

  // What the public interface does not offer.
  /// Threads that run callbacks after grace periods, 1 to 8.
  package var callbackWorkerLimit = 1
  /// Free memory, in bytes, that is kept for the next slab however little is in use.
  package var freeBytesToKeep = 4 << 20
  /// From one round of the idle clock to the next: what a cache has not used for two is given back. 0 for never.
  package var idleRoundMilliseconds = 200
  /// Whether `malloc` itself is this allocator. Then it calls nothing that might allocate: its core starts no
  /// thread, since that allocates, so threads that free, end groups or wait do the workers' work; and it leaves
  /// the loader alone, in the middle of which it may be called.
  package var servesMalloc = false

  /// The defaults: 64 GiB of addresses, one worker, `.reparent`, `.isolated`, the present rules, nothing merged. O(1).
  public init() {}
}
