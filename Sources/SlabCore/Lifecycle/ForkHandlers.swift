// fork: the child gets the memory as it is at that moment, and the calling thread alone. So fork
// waits until no other thread is in the middle of anything (ForkGate.swift): it takes every lock, in
// the lock order, and releases them in both processes. O(caches).

internal import SlabPlatform
internal import Synchronization

enum ForkHandlers {
  private static let lock = Lock()
  /// Under `lock`: the allocators of this process, chained by `nextAllocator`.
  private static let first = Atomic<UInt>(0)
  private static let isRegistered = Atomic<Bool>(false)

  /// From now on forks wait for this allocator.
  static func add(_ state: Pointer<AllocatorState>) {
    if !isRegistered.exchange(true, ordering: .acquiringAndReleasing) {
      // Without memory for the handlers a fork is only safe while nobody else is at work.
      try? SystemCall.registerForkHandlers(
        prepare: { ForkHandlers.prepare() }, parent: { ForkHandlers.resume(inChild: false) },
        child: { ForkHandlers.resume(inChild: true) })
    }
    lock.lock()
    state.pointee.nextAllocator = Pointer(address: first.load(ordering: .relaxed))
    first.store(state.address, ordering: .relaxed)
    lock.unlock()
  }

  static func remove(_ state: Pointer<AllocatorState>) {
    lock.lock()
    var before: Pointer<AllocatorState>?
    var current = Pointer<AllocatorState>(address: first.load(ordering: .relaxed))
    while let other = current, other != state {
      before = other
      current = other.pointee.nextAllocator
    }
    if let before {
      before.pointee.nextAllocator = state.pointee.nextAllocator
    } else {
      first.store(state.pointee.nextAllocator?.address ?? 0, ordering: .relaxed)
    }
    lock.unlock()
  }

  /// The cache of whichever allocator an object belongs to. O(allocators).
  static func cache(of object: UInt) -> Pointer<Cache>? {
    lock.lock()
    defer { lock.unlock() }
    var found: Pointer<Cache>?
    forEach { state in found = found ?? state.pointee.pages.map.cache(at: object) }
    return found
  }

  private static func forEach(_ body: (Pointer<AllocatorState>) -> Void) {
    var current = Pointer<AllocatorState>(address: first.load(ordering: .relaxed))
    while let state = current {
      current = state.pointee.nextAllocator
      body(state)
    }
  }

  private static func prepare() {
    // This thread has a cursor in hand: the fork would wait for itself.
    guard !Threads.isReclaiming else { fatal("fork: called from a shrinker (deadlock)") }
    lock.lock()
    forEach { $0.lockForFork() }
  }

  private static func resume(inChild: Bool) {
    forEach { $0.unlockAfterFork(inChild: inChild) }
    lock.unlock()
  }
}

extension Pointer where Pointee == AllocatorState {
  /// Under the registry lock: visits every cache, roots and children, the core's own ones last.
  func forEachCache(_ body: (Pointer<Cache>) -> Void) {
    let all = allCachesList
    var node = all.successor(in: all)
    while let current = node {
      node = current.successor(in: all)
      body(Pointer<Cache>(allNode: current))
    }
  }
}
