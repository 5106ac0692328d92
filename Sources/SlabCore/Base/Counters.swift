// SPDX-License-Identifier: Apache-2.0
// What an allocator counts: a line for each counter, which is all that it needs besides the place that
// counts. A counter stands behind those that it cannot exceed. The numbers that are not counted but read
// where they are kept are in Inspection/Readings.swift.

package import SlabPlatform

package struct Counters: ~Copyable {
  package let groupsCreated = Counter(
    "groups_created", .groups, .count, "Groups that were made, the root group aside.")
  package let groupsOfflined = Counter(
    "groups_offlined", .groups, .count, "Groups that have gone offline.")
  package let groupsReleased = Counter(
    "groups_released", .groups, .count, "Groups that have ended and are gone.")
  package let childCachesCreated = Counter(
    "child_caches_created", .caches, .count, "Child caches that were made.")
  package let childCachesShutDown = Counter(
    "child_caches_shut_down", .caches, .count,
    "Child caches whose last slab is back after their end.")
  package let childCachesAwaitingBarrier = Counter(
    "child_caches_awaiting_barrier", .caches, .gauge,
    "Child caches that are shut down and await a barrier.")
  package let childCachesReleased = Counter(
    "child_caches_released", .caches, .count, "Child caches that are gone.")
  package let childCachesReparented = Counter(
    "child_caches_reparented", .caches, .count,
    "Child caches that a parent group took over, once or more often.")
  package let rootCachesCreated = Counter(
    "root_caches_created", .caches, .count, "Root caches that users have made.")
  package let rootCachesReleased = Counter(
    "root_caches_released", .caches, .count, "Root caches of users that are gone.")
  package let aliasesCreated = Counter(
    "aliases_created", .users, .count,
    "Users of caches that were merged into the root cache of an earlier one.")
  package let aliasesDropped = Counter(
    "aliases_dropped", .users, .count, "Merged users that are gone.")
  package let fenceBatches = Counter(
    "fence_batches", .batches, .count, "Batches of endings that awaited a fence.")
  package let fences = Counter("fences", .fences, .count, "Fences of endings.")
  package let sheafFences = Counter(
    "sheaf_fences", .fences, .count, "Fences for sheaves that grew or were flushed on request.")
  package let sheafRefusals = Counter(
    "sheaf_refusals", .refusals, .count,
    "Times that a cache found no place for a sheaf, or could not reserve runs for one.")
  package let sheavesTakenBack = Counter(
    "sheaves_taken_back", .sheaves, .count,
    "Sheaves and reservations that were taken back from cold caches.")
  package let coldCaches = Counter(
    "cold_caches", .caches, .count,
    "Times that a cache out of use gave back its sheaf, its barn and its empty slabs by itself.")
  package let barrierBatches = Counter(
    "barrier_batches", .batches, .count, "Batches of type-safe caches that a barrier has passed.")
  package let stalls = Counter(
    "stalls", .reports, .count, "Reports of grace periods that waited too long.")
  package let workerNanoseconds = Counter(
    "worker_nanoseconds", .nanoseconds, .count, "Time that workers spent on endings.")
  package let listSteps = Counter(
    "list_steps", .steps, .count,
    "Nodes of lists of caches that were visited by offline, batches, shutdown, creation and slabinfo."
  )
  package let reclaimSteps = Counter(
    "reclaim_steps", .steps, .count, "Groups and caches that reclaims have visited.")
  package let tableBytesBeforeTrim = Counter(
    "table_bytes_before_trim", .bytes, .peak,
    "The most that the tables of caches and groups had before a trim.")
  package let tableBytesReturned = Counter(
    "table_bytes_returned", .bytes, .count,
    "Memory of these tables that was given back to the system.")
}

extension Counters {
  /// How many there are.
  package static var count: Int { MemoryLayout<Self>.size / MemoryLayout<Counter>.stride }
  /// The most that there may be.
  package static var mostCounters: Int { 64 }

  /// Whether the struct consists of counters and nothing else, as the walk assumes.
  static var isHomogeneous: Bool {
    MemoryLayout<Self>.size % MemoryLayout<Counter>.stride == 0
      && MemoryLayout<Counter>.size == MemoryLayout<Counter>.stride && count <= mostCounters
  }
}

extension Pointer where Pointee == Counters {
  /// The counter that has a place among the declarations.
  subscript(index: Int) -> Pointer<Counter> {
    // SAFETY: the struct consists of counters and nothing else, which `isHomogeneous` has seen.
    unsafe Pointer<Counter>(
      nonzeroAddress: address + UInt(index * MemoryLayout<Counter>.stride))
  }

  /// Visits each counter with what it says now, in the order of their declarations. O(counters), no lock.
  package func visit(_ body: (CounterDescription, Int) -> Void) {
    var values = InlineArray<64, Int>(repeating: 0)
    // From the end: what cannot exceed another counter is read before it.
    for index in (0..<Counters.count).reversed() { values[index] = self[index].pointee.value }
    for index in 0..<Counters.count { body(self[index].pointee.description, values[index]) }
  }
}
