// SPDX-License-Identifier: Apache-2.0
// fork: the child gets the memory as it is at that moment, and the calling thread alone. So fork
// waits until no other thread is in the middle of anything (ForkGate.swift): it takes every lock of every
// allocator, in the lock order, and releases them in both processes. O(caches).
//
// While it waits it holds no lock: the threads that it waits for may need any, also the one of the list, by which
// an object of another allocator is freed, and an allocator made or ended.

internal import SlabPlatform
internal import Synchronization

/// The fork handlers' lock.
enum ForkHandlersLock: LockClassOfFork { static var rank: LockRank { .forkHandlers } }
typealias ForkHandlersLocked = Held<ForkHandlersLock>

enum ForkHandlers {
  private static let lock = RankedLock<ForkHandlersLock>()
  /// Under `lock`: the allocators of this process, chained by `nextAllocator`.
  private static let first = Atomic<UInt>(0)
  private static let isRegistered = Atomic<Bool>(false)

  /// From now on forks wait for this allocator.
  static func add(_ state: Pointer<AllocatorState>) {
    if !isRegistered.exchange(true, ordering: .acquiringAndReleasing) {
      // Without memory for the handlers a fork is only safe while no other thread is at work.
      try? SystemCall.registerForkHandlers(
        prepare: { ForkHandlers.prepare() }, parent: { ForkHandlers.resume(inChild: false) },
        child: { ForkHandlers.resume(inChild: true) })
    }
    let list = lock.lock()
    // SAFETY: an allocator is on the list until `remove`, under the lock.
    state.pointee.nextAllocator = unsafe Pointer(address: first.load(ordering: .relaxed))
    first.store(state.address, ordering: .relaxed)
    list.unlock()
  }

  static func remove(_ state: Pointer<AllocatorState>) {
    let list = lock.lock()
    var before: Pointer<AllocatorState>?
    // SAFETY: as in `add`.
    var current = unsafe Pointer<AllocatorState>(address: first.load(ordering: .relaxed))
    while let other = current, other != state {
      before = other
      current = other.pointee.nextAllocator
    }
    if let before {
      before.pointee.nextAllocator = state.pointee.nextAllocator
    } else {
      first.store(state.pointee.nextAllocator?.address ?? 0, ordering: .relaxed)
    }
    list.unlock()
  }

  /// The cache of whichever allocator an object belongs to. O(allocators).
  static func cache(of object: UInt) -> Pointer<Cache>? {
    let list = lock.lock()
    var found: Pointer<Cache>?
    forEach(under: list) { state in found = found ?? state.pages.pointee.map.cache(at: object) }
    return found
  }

  private static func forEach(
    under list: borrowing ForkHandlersLocked, _ body: (Pointer<AllocatorState>) -> Void
  ) {
    // SAFETY: as in `add`.
    var current = unsafe Pointer<AllocatorState>(address: first.load(ordering: .relaxed))
    while let state = current {
      current = state.pointee.nextAllocator
      body(state)
    }
  }

  private static func prepare() {
    checkMayFork()
    HeldLocks.expectNone(below: .inHand, "a fork")
    ForkGate.beginFork()
    while !tryLockAll() { ForkGate.pauseBetweenLooks() }
  }

  /// A thread that has something in hand would wait for itself.
  private static func checkMayFork() {
    guard Threads.thingsInHand > 0 else { return }
    guard !Threads.isReclaiming else { fatal("fork: called from a shrinker (deadlock)") }
    let list = lock.lock()
    var isInCallback = false
    forEach(under: list) { if $0.isInCallback { isInCallback = true } }
    list.unlock()
    if isInCallback { fatal("fork: called from a callback (deadlock)") }
    fatal("fork: called from a constructor (deadlock)")
  }

  /// The list's lock and all of every allocator, or none.
  private static func tryLockAll() -> Bool {
    let list = lock.lock()
    var locked = 0
    var isWhole = true
    forEach(under: list) { state in
      guard isWhole else { return }
      HeldLocks.beginFork()
      if state.tryLockForFork() { locked += 1 } else { isWhole = false }
    }
    guard !isWhole else {
      // SAFETY: `resume` lets go of it.
      unsafe list.leaveLocked()
      return true
    }
    forEach(under: list) { state in
      guard locked > 0 else { return }
      state.unlockAfterFork(inChild: false)
      locked -= 1
    }
    return false
  }

  private static func resume(inChild: Bool) {
    // SAFETY: `tryLockAll` has left it locked.
    let list = unsafe lock.alreadyHeld()
    forEach(under: list) { $0.unlockAfterFork(inChild: inChild) }
    // When no lock of any allocator is held: it takes some.
    if inChild { forEach(under: list) { $0.resetReadersAfterFork() } }
    list.unlock()
    ForkGate.endFork(inChild: inChild)
  }
}
