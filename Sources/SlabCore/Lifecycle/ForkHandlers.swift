// fork: the child gets the memory as it is at that moment, and the calling thread alone. So fork
// waits until no other thread is in the middle of anything (ForkGate.swift): it takes every lock of every
// allocator, in the lock order, and releases them in both processes. O(caches).
//
// While it waits it holds no lock: whoever it waits for may need any, also the one of the list, by which
// an object of another allocator is freed, and an allocator made or ended.

internal import SlabPlatform
internal import Synchronization

enum ForkHandlers {
  private static let lock = Lock()
  /// Under `lock`: the allocators of this process, chained by `nextAllocator`.
  private static let first = Atomic<UInt>(0)
  private static let isRegistered = Atomic<Bool>(false)
  /// Threads that wait to fork, or do.
  private static let forks = Atomic<Int>(0)
  /// When the first of them began to wait, by the monotonic clock.
  private static let since = Atomic<UInt64>(0)
  /// Signalled when a fork is over.
  private static let over = EventCount()

  /// How long a fork sleeps between two looks. It does not yield: where threads outnumber CPUs, whoever yields
  /// goes behind them all, and whoever wakes up before them.
  private static var lookNanoseconds: UInt64 { 20_000 }

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

  @inline(__always)
  static var isForking: Bool { forks.load(ordering: .relaxed) != 0 }

  /// Whether a fork waits that began a short while ago: what can wait is left for it.
  static var isForkingSoon: Bool {
    isForking
      && SystemCall.monotonicNanoseconds
        < since.load(ordering: .relaxed) + ForkGate.patienceNanoseconds
  }

  /// Holding no lock: lets forks go first, unless one of them waits for this thread. With a bound.
  @inline(never)
  static func waitForFork() {
    guard Threads.thingsInHand == 0 else { return }
    let deadline = max(
      since.load(ordering: .relaxed) + ForkGate.patienceNanoseconds,
      SystemCall.monotonicNanoseconds + ForkGate.momentNanoseconds)
    while true {
      let ticket = over.prepare()
      let now = SystemCall.monotonicNanoseconds
      guard isForking, now < deadline else { return over.cancel() }
      over.wait(ticket, nanoseconds: deadline - now)
    }
  }

  private static func prepare() {
    checkMayFork()
    // Relaxed: whoever sees the one without the other waits for a moment.
    if forks.load(ordering: .relaxed) == 0 {
      since.store(SystemCall.monotonicNanoseconds, ordering: .relaxed)
    }
    forks.add(1, ordering: .relaxed)
    while !tryLockAll() {
      let ticket = over.prepare()
      over.wait(ticket, nanoseconds: lookNanoseconds)
    }
  }

  /// A thread that has something in hand would wait for itself.
  private static func checkMayFork() {
    guard Threads.thingsInHand > 0 else { return }
    guard !Threads.isReclaiming else { fatal("fork: called from a shrinker (deadlock)") }
    lock.lock()
    var isInCallback = false
    forEach { if $0.isInCallback { isInCallback = true } }
    lock.unlock()
    if isInCallback { fatal("fork: called from a callback (deadlock)") }
    fatal("fork: called from a constructor (deadlock)")
  }

  /// The list's lock and all of every allocator, or none.
  private static func tryLockAll() -> Bool {
    lock.lock()
    var locked = 0
    var isWhole = true
    forEach { state in
      guard isWhole else { return }
      if state.tryLockForFork() { locked += 1 } else { isWhole = false }
    }
    guard !isWhole else { return true }
    forEach { state in
      guard locked > 0 else { return }
      state.unlockAfterFork(inChild: false)
      locked -= 1
    }
    lock.unlock()
    return false
  }

  private static func resume(inChild: Bool) {
    forEach { $0.unlockAfterFork(inChild: inChild) }
    lock.unlock()
    guard inChild else {
      forks.subtract(1, ordering: .relaxed)
      return over.signal()
    }
    // Other threads that were about to fork are the parent's.
    forks.store(0, ordering: .relaxed)
    over.resetAfterFork()
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
