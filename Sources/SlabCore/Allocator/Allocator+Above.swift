// SPDX-License-Identifier: Apache-2.0
// What the lower rooms call of the higher ones, put together where all of them are known.

internal import SlabPlatform

extension CachesAbove {
  static var ofThisModule: CachesAbove {
    unsafe CachesAbove(
      takeRun: { request in
        // SAFETY: a request of `Cache.requestRun`, which lives as long as this call.
        let request = unsafe Pointer<RunRequest>(
          request.assumingMemoryBound(to: RunRequest.self))
        request.pointee.answer()
      },
      giveBackRuns: { cache, runs, count in
        // SAFETY: so many runs, which live as long as this call.
        unsafe Pointer<Cache>(nonzeroAddress: cache).freeChargedRuns(
          runs.assumingMemoryBound(to: Run.self), count: count)
        // SAFETY: the caller of a function of these tables keeps what is at the address: see CachesAbove.
      },
      leastLimit: { unsafe Pointer<Cache>(nonzeroAddress: $0).pointee.group!.leastLimit },
      grantBarn: { unsafe Pointer<Cache>(nonzeroAddress: $0).barnGroup.grantBarn(bytes: $1) },
      endBarnGrant: { unsafe Pointer<Cache>(nonzeroAddress: $0).barnGroup.endBarnGrant(bytes: $1) },
      becomesIdle: { unsafe Pointer<Cache>(nonzeroAddress: $0).listGroup() },
      giveBackLater: { unsafe Pointer<Slab>(nonzeroAddress: $0).giveBackAfterGracePeriod() },
      giveBackShared: { state, payer, bytes in
        let allocator = unsafe Allocator(nonzeroAddress: state)
        allocator.giveBack(bytes, to: allocator.payer(payer))
      },
      isDying: {
        let cache = unsafe Pointer<Cache>(nonzeroAddress: $0)
        Allocator(seenAs: cache.pointee.allocator).isDying(cache)
      },
      isNameInUse: { unsafe Allocator(nonzeroAddress: $0).rules.pointee.isNameInUse($0, $1) },
      wakeWorkers: { unsafe Allocator(nonzeroAddress: $0).kickWorkers() })
  }
}

extension ReadersAbove {
  static var ofThisModule: ReadersAbove {
    // SAFETY: the address is the caller's own state.
    ReadersAbove(
      hasMore: { unsafe Allocator(nonzeroAddress: $0).hasDeferredFrees },
      putIn: { unsafe Allocator(nonzeroAddress: $0).flushDeferredFreesLazily($1) },
      barrierIsOver: { unsafe Allocator(nonzeroAddress: $0).noteBarrierBatchOver() })
  }
}
