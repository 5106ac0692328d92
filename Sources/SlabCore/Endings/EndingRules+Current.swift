// SPDX-License-Identifier: Apache-2.0
// The rules by which everything ends that is not measured as Linux 4.10.

internal import SlabPlatform

extension EndingRules {
  /// A thread that ends something waits for nothing but the registry lock; workers do the rest, in batches.
  static var current: EndingRules {
    // SAFETY: the caller of a function of the table keeps what is at the address: see CachesAbove.
    unsafe EndingRules(
      close: { group, refusal in
        let group = unsafe Pointer<Group>(nonzeroAddress: group)
        Refusal.note(at: refusal) { () throws(AllocatorError) in
          try group.lifecycleState.closeSubtree(group)
        }
      },
      discard: { group, _ in
        let group = unsafe Pointer<Group>(nonzeroAddress: group)
        group.lifecycleState.discardAll(group)
      },
      releaseLast: {
        let group = unsafe Pointer<Group>(nonzeroAddress: $0)
        group.lifecycleState.releaseLast(group)
      },
      abandon: { root, alias in
        let root = unsafe Pointer<RootCache>(nonzeroAddress: root)
        Pointer<EndingsState>(seenAs: root.pointee.cache.allocator).leaveOrEnd(
          CacheReference(root: root, alias: unsafe Pointer<CacheAlias>(address: alias)))
      },
      endRoot: {
        let root = unsafe Pointer<RootCache>(nonzeroAddress: $0)
        let state = Pointer<EndingsState>(seenAs: root.pointee.cache.allocator)
        state.batch(root, under: unsafe state.registryAlreadyHeld())
      },
      isDying: { cache in
        let cache = unsafe Pointer<Cache>(nonzeroAddress: cache)
        Pointer<EndingsState>(seenAs: cache.pointee.allocator).enqueueDying(cache)
      },
      isLetGo: { _ in },
      look: { unsafe Pointer<EndingsState>(nonzeroAddress: $0).lookAtQueues() },
      lockGroups: { _ in },
      unlockGroups: { _ in },
      idIsTaken: { _, _ in },
      isNameInUse: { state, name in
        let state = unsafe Pointer<EndingsState>(nonzeroAddress: state)
        return unsafe state.withRegistryHeld { registry in
          unsafe state.hasUser(
            named: name.assumingMemoryBound(to: CacheName.self).pointee, under: registry)
        }
      },
      endings: nil, countsAwaited: true, childrenEndWithTheirGroup: false,
      readsSlabinfoByPosition: false)
  }
}
