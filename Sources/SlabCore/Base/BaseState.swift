// SPDX-License-Identifier: Apache-2.0
// What every room of an allocator needs: memory, the per-CPU region, the registry's lock, what fork waits
// for, the counters, the settings.
//
// Each room that has a state of its own has a struct for it, which begins with that of the room below. So
// all of them stand at one address, and a pointer to a state is one to those below it as well. The protocols
// say that to the compiler: a method of a room is written for every pointer to a state that has the room's,
// and cannot name what is above.
//
//   BaseState < CachesState < ReadersState < GroupsState < DeferredState < EndingsState <
//   Linux410State < AllocatorState

public import SlabPlatform

/// The registry lock.
enum RegistryLock: LockClassOfFork { static var rank: LockRank { .registry } }
typealias RegistryLocked = Held<RegistryLock>

/// A state that begins with `BaseState`.
@usableFromInline
package protocol HasBase: ~Copyable {}

@usableFromInline
package struct BaseState: ~Copyable, HasBase {
  @usableFromInline var pages: PageAllocator
  var region: PerCPURegion
  /// Guards which caches and groups exist, and what hangs on that. Every tenant needs it, to make and to end groups.
  let registryLock = RankedLock<RegistryLock>()
  var counters = Counters()
  let forkGate = ForkGate()
  let threadStart = ThreadStart()
  /// It is never signalled: a way to sleep.
  let pause = EventCount()
  let configuration: AllocatorConfiguration

  init(
    pages: consuming PageAllocator, region: consuming PerCPURegion,
    configuration: AllocatorConfiguration
  ) {
    self.pages = pages
    self.region = region
    self.configuration = configuration
  }
}

extension Pointer where Pointee: HasBase & ~Copyable {
  /// The same allocator, as a room sees it that knows the state of another one.
  @inlinable @inline(__always)
  init<Other: HasBase & ~Copyable>(seenAs other: Pointer<Other>) {
    // SAFETY: every state is the beginning of an `AllocatorState`.
    unsafe self.init(nonzeroAddress: other.address)
  }

  // SAFETY: every state begins with it.
  @inlinable @inline(__always)
  var base: Pointer<BaseState> { unsafe Pointer<BaseState>(nonzeroAddress: address) }

  @inlinable @inline(__always)
  package var pages: Pointer<PageAllocator> { Pointer<PageAllocator>(of: &base.pointee.pages) }
  @inline(__always)
  package var region: Pointer<PerCPURegion> { Pointer<PerCPURegion>(of: &base.pointee.region) }
  package var counters: Pointer<Counters> { Pointer<Counters>(of: &base.pointee.counters) }

  /// Takes the registry lock; waits for its holder.
  func lockRegistry() -> RegistryLocked { base.pointee.registryLock.lock() }

  /// For a function of a table of C functions, which cannot get a proof. Unsafe: the function that calls the one of the
  /// table has the proof, and passes it on.
  @unsafe func registryAlreadyHeld() -> RegistryLocked {
    unsafe base.pointee.registryLock.alreadyHeld()
  }

  /// The same where the caller goes on to hold the lock.
  @unsafe func withRegistryHeld<Result>(_ body: (borrowing RegistryLocked) -> Result) -> Result {
    let registry = unsafe registryAlreadyHeld()
    let result = body(registry)
    unsafe registry.leaveLocked()
    return result
  }
}
