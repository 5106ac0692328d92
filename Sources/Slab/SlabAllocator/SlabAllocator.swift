// SPDX-License-Identifier: Apache-2.0
public import SlabCore
public import SlabPlatform

/// An allocator: caches, memory groups, and the memory behind them. Most programs use the one that is
/// there, `shared`, and never name it; others are for tests, tools and experiments.
///
/// Nothing is shared between two allocators. A value is a handle, copied freely and used from any
/// thread. An allocator that was made by `init` lives until `unmapEverything`.
@safe
public struct SlabAllocator: Sendable {
  @usableFromInline let core: Allocator
  @usableFromInline let handle: AllocatorHandle

  /// How an allocator is made.
  public typealias Configuration = AllocatorConfiguration
  /// By whose rules groups and caches end.
  public typealias Design = LifecycleDesign

  /// Makes an allocator. A few system calls; starts no thread.
  ///
  /// The CPU layer uses restartable sequences where the system has them, locked stripes elsewhere;
  /// `SLAB_PERCPU=rseq` or `fallback` in the environment forces one.
  ///
  /// - Throws: `.outOfAddressSpace`, `.outOfMemory`, `.invalidSetting`, `.unsupportedPageSize`,
  ///   `.restartableSequencesUnavailable`, `.unknownPerCPUMode`.
  public init(configuration: Configuration = Configuration()) throws(SlabError) {
    do throws(AllocatorError) {
      self.init(try Allocator(configuration: configuration))
    } catch { throw SlabError(error) }
  }

  init(_ core: Allocator) {
    self.core = core
    handle = AllocatorHandle(core)
  }

  /// The group that all others are below: it is always online and has no limit. What is allocated in it is
  /// charged to no group. O(1), no lock.
  public var rootGroup: MemoryGroup {
    MemoryGroup(GroupHandle(adopting: core.rootGroup, parent: nil, allocator: handle))
  }

  /// Waits until the allocator has nothing left to do for what has ended so far, but for what live objects
  /// hold up. For tests and tools. Blocks the thread; waits for workers, deferred frees and open sections. Not inside a
  /// section.
  public func waitUntilIdle() { core.waitUntilIdle() }

  /// Gives memory that is not in use back to the system. O(caches + free pages); a system call for each
  /// run of free pages, short locks; waits for workers that are at work.
  ///
  /// Some stays. Idle slabs of users' own caches do, as do those of up to 32 KiB in groups: see `SlabCache.shrink`
  /// and `MemoryGroup.reclaim`. The memory of sheaves stays while any cache has one, the table of the groups'
  /// numbers while there is a group. For each of as many caches as there were at one time, 8 bytes stay
  /// for its number and 64 bytes for each CPU for its sums.
  public func trim() { core.trim() }

  /// Ends the allocator and gives all its addresses back; waits for its threads. Handles of its caches
  /// and groups may be dropped afterwards, and nothing else.
  ///
  /// - Precondition: no thread uses anything of it any more: no object, no slot, no group; no read-side
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
