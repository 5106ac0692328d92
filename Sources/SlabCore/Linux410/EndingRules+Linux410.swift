// SPDX-License-Identifier: Apache-2.0
// The table of the rules of Linux 4.10; what its functions do is in Linux410.swift.

internal import SlabPlatform

extension EndingRules {
  static var linux410: EndingRules {
    // SAFETY: the caller of a function of the table keeps what is at the address: see CachesAbove.
    unsafe EndingRules(
      close: { group, refusal in
        let group = unsafe Pointer<Group>(nonzeroAddress: group)
        Refusal.note(at: refusal) { () throws(AllocatorError) in
          try group.linux410State.closeAsLinux410(group)
        }
      },
      // There is nothing of the kind: objects stay until they are freed.
      discard: { group, refusal in
        let group = unsafe Pointer<Group>(nonzeroAddress: group)
        Refusal.note(at: refusal) { () throws(AllocatorError) in
          try group.linux410State.closeAsLinux410(group)
        }
      },
      releaseLast: {
        let group = unsafe Pointer<Group>(nonzeroAddress: $0)
        group.linux410State.releaseLastAsLinux410(group)
      },
      // A cache with live objects stays.
      abandon: { root, alias in
        let root = unsafe Pointer<RootCache>(nonzeroAddress: root)
        try? Pointer<Linux410State>(seenAs: root.pointee.cache.allocator).destroy(
          CacheReference(root: root, alias: unsafe Pointer<CacheAlias>(address: alias)))
      },
      endRoot: {
        let root = unsafe Pointer<RootCache>(nonzeroAddress: $0)
        let state = Pointer<Linux410State>(seenAs: root.pointee.cache.allocator)
        state.endRootAsLinux410(root, under: unsafe state.registryAlreadyHeld())
      },
      isDying: { cache in
        let cache = unsafe Pointer<Cache>(nonzeroAddress: cache)
        Pointer<Linux410State>(seenAs: cache.pointee.allocator).isDyingAsLinux410(cache)
      },
      isLetGo: {
        let group = unsafe Pointer<Group>(nonzeroAddress: $0)
        let state = group.linux410State
        unsafe state.withRegistryHeld { state.queueFreeing(of: group, under: $0) }
      },
      look: {
        let state = unsafe Pointer<Linux410State>(nonzeroAddress: $0)
        let hasWorked = state.lookAtQueues()
        return (!ForkGate.isForkingSoon && state.runGroupFreeing()) || hasWorked
      },
      lockGroups: {
        let state = unsafe Pointer<Linux410State>(nonzeroAddress: $0)
        unsafe state.linux410.pointee.groupLock.lock().leaveLocked()
      },
      unlockGroups: {
        let state = unsafe Pointer<Linux410State>(nonzeroAddress: $0)
        unsafe state.linux410.pointee.groupLock.alreadyHeld().unlock()
      },
      // The root group has no child caches, so it has no entry there.
      idIsTaken: { state, id in
        let state = unsafe Pointer<Linux410State>(nonzeroAddress: state)
        unsafe state.withRegistryHeld { state.growChildArrays(toHold: id - 1, under: $0) }
      },
      isNameInUse: { state, name in
        let state = unsafe Pointer<Linux410State>(nonzeroAddress: state)
        return unsafe state.withRegistryHeld { registry in
          unsafe state.hasUserAsLinux410(
            named: name.assumingMemoryBound(to: CacheName.self).pointee, under: registry)
        }
      },
      endings: .keep, countsAwaited: false, childrenEndWithTheirGroup: true,
      readsSlabinfoByPosition: true)
  }
}

extension Pointer where Pointee == Group {
  fileprivate var linux410State: Pointer<Linux410State> {
    Pointer<Linux410State>(seenAs: pointee.allocator)
  }
}
