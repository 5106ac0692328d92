// SPDX-License-Identifier: Apache-2.0
// What an allocator says about itself in numbers: its counters, and what is read where it is kept, a declaration
// for each. Statistics, reports and JSON are made from this list.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Visits each counter and each reading, with what it says now. Each number is exact; together they are of
  /// one moment only if no thread works. O(counters); takes the registry lock, the page lock and the workers'
  /// lock, one after the other, and runs the body under none of them.
  package func forEachReading(_ body: (CounterDescription, Int) -> Void) {
    counters.visit(body)
    forEachOfExisting(body)
    forEachOfMemory(body)
    forEachOfSheaves(body)
    forEachOfEndings(body)
  }

  /// What exists: differences of counters, of which the smaller one is read first.
  private func forEachOfExisting(_ body: (CounterDescription, Int) -> Void) {
    let groupsReleased = counters.pointee.groupsReleased.value
    let groupsOfflined = counters.pointee.groupsOfflined.value
    body(
      .init("groups_dying", .groups, .gauge, "Groups that are offline and still exist."),
      groupsOfflined - groupsReleased)
    body(
      .init("groups_live", .groups, .gauge, "Groups that exist, online and dying ones."),
      counters.pointee.groupsCreated.value - groupsReleased)
    let childCachesReleased = counters.pointee.childCachesReleased.value
    body(
      .init("child_caches_live", .caches, .gauge, "Child caches that exist."),
      counters.pointee.childCachesCreated.value - childCachesReleased)
    let rootCachesReleased = counters.pointee.rootCachesReleased.value
    body(
      .init("root_caches", .caches, .gauge, "Root caches of users that exist."),
      counters.pointee.rootCachesCreated.value - rootCachesReleased)
    let aliasesDropped = counters.pointee.aliasesDropped.value
    body(
      .init("merged_caches", .users, .gauge, "Users that share the root cache of another one."),
      counters.pointee.aliasesCreated.value - aliasesDropped)
  }

  private func forEachOfMemory(_ body: (CounterDescription, Int) -> Void) {
    body(
      .init("charged_bytes", .bytes, .gauge, "Bytes that are charged to groups."),
      rootGroup.pointee.current.load(ordering: .relaxed))
    body(
      .init("charged_bytes_peak", .bytes, .peak, "The most that were charged at one time."),
      rootGroup.pointee.peak.load(ordering: .relaxed))
    let memory = memoryFigures
    body(
      .init("used_bytes", .bytes, .gauge, "Pages of the heap that are in use."), memory.used)
    body(
      .init("free_resident_bytes", .bytes, .gauge, "Free pages of the heap that are resident."),
      memory.freeResident)
    body(
      .init("committed_bytes", .bytes, .gauge, "The part of the heap that was ever in use."),
      memory.committed)
    body(
      .init(
        "system_bytes", .bytes, .gauge,
        "Memory of the system that the allocator holds: the heap's resident pages and its own tables."
      ), memory.system)
    body(
      .init(
        "system_bytes_peak", .bytes, .peak,
        "The sum of the most that each part of it had, perhaps at different times."),
      memory.systemPeak)
    body(
      .init("returned_bytes", .bytes, .count, "Memory that was given back to the system."),
      memory.returned)
    body(
      .init(
        "reserved_bytes", .bytes, .gauge,
        "Memory that caches of large objects may keep idle, in sheaves and empty slabs."),
      memory.reserved)
  }

  private func forEachOfSheaves(_ body: (CounterDescription, Int) -> Void) {
    body(
      .init("sheaf_bytes", .bytes, .gauge, "Addresses that sheaves have on each CPU."),
      region.sheafBytes)
    body(
      .init("sheaf_bytes_limit", .bytes, .gauge, "Addresses that sheaves can have on each CPU."),
      PerCPURegion.sheafBytesLimit)
    body(
      .init("barn_hits", .sheaves, .count, "Full sheaves of barns that allocations took."),
      barnSum(.hits))
    body(
      .init(
        "barn_misses", .refills, .count,
        "Allocations that found the sheaf and the barn of their cache empty."),
      barnSum(.misses))
    body(
      .init("barn_bytes", .bytes, .gauge, "Objects in the full sheaves of barns."),
      barnSum(.bytes))
    body(
      .init(
        "barn_bytes_given_back", .bytes, .count,
        "Objects of barns that went back to their slabs, since they were not needed or others needed them."
      ), barnSum(.bytesGivenBack))
    body(
      .init("watched_caches", .caches, .gauge, "Caches that the idle clock looks after."),
      idleClock.pointee.count.load(ordering: .relaxed))
  }

  private func forEachOfEndings(_ body: (CounterDescription, Int) -> Void) {
    body(
      .init("pending_endings", .endings, .gauge, "Groups and caches on their way through workers."),
      lifecycle.pointee.pending.load(ordering: .relaxed))
    body(
      .init(
        "caches_awaiting_barrier", .caches, .gauge,
        "Type-safe caches, roots too, that are shut down and await a barrier."),
      lifecycle.pointee.barrierBatch.count.load(ordering: .relaxed))
    body(
      .init("grace_periods", .gracePeriods, .count, "Grace periods that are over."),
      Int(gracePeriods.pointee.value.load(ordering: .relaxed) / 2))
    body(
      .init("barriers", .barriers, .count, "Barriers of all kinds that are over."),
      callbacks.pointee.barrier.count.load(ordering: .relaxed))
    body(
      .init("pending_callbacks", .callbacks, .gauge, "Callbacks that have not run yet."),
      pendingCallbacks)
    let lock = lifecycle.pointee.workers.lock.lock()
    let (running, most) = (lifecycle.pointee.workers.running, lifecycle.pointee.workers.peak)
    lock.unlock()
    body(.init("worker_threads", .threads, .gauge, "Threads of the allocator."), running)
    body(
      .init("worker_threads_peak", .threads, .peak, "The most threads at one time."), most)
  }

  /// How the CPU layer runs.
  package var perCPUMode: PerCPUMode { region.pointee.mode }

  /// Why it is the fallback; `nil` with restartable sequences.
  package var fallbackReason: PerCPUMode.FallbackReason? { region.pointee.fallbackReason }
}

/// Bytes of the heap and of the core's tables, of one moment.
private struct MemoryFigures {
  var used, freeResident, committed, system, systemPeak, returned, reserved: Int
}

extension Allocator {
  /// Takes the registry lock, then the page lock. O(1).
  fileprivate var memoryFigures: MemoryFigures {
    let registry = lockRegistry()
    let (tables, tablesPeak) = (tableBytes(under: registry), tableBytesPeak(under: registry))
    registry.unlock()
    let lock = pages.pointee.lock.lock()
    let page = PageAllocator.pageBytes
    let figures = MemoryFigures(
      used: pages.pointee.usedPages * page,
      freeResident: pages.pointee.dirtyPages * page,
      committed: pages.pointee.endUnit * UnitMap.unitBytes,
      system: pages.pointee.residentBytes + region.usedBytes + tables,
      systemPeak: pages.pointee.residentBytesPeak + region.usedBytesPeak + tablesPeak,
      returned: pages.pointee.returnedBytes + region.returnedBytes
        + counters.pointee.tableBytesReturned.value,
      reserved: pages.pointee.reservedBytes)
    lock.unlock()
    return figures
  }
}
