// The registry's lock. Every tenant needs it, to make and to end groups: so nobody waits for a fence, runs
// users' code or looks through slabs while holding it. Debug builds assert that, by a mark of who holds it.

internal import SlabPlatform
internal import Synchronization

struct RegistryLock: ~Copyable {
  private let word = Lock()
  #if DEBUG
    /// The holder's identity; 0 for nobody. Relaxed: a thread finds its own only if it wrote it itself.
    private let holder = Atomic<UInt>(0)
  #endif

  /// Takes the lock; waits for its holder. Not recursive.
  borrowing func lock() {
    word.lock()
    markHolder()
  }

  /// Takes the lock if it is free.
  borrowing func tryLock() -> Bool {
    guard word.tryLock() else { return false }
    markHolder()
    return true
  }

  borrowing func unlock() {
    #if DEBUG
      holder.store(0, ordering: .relaxed)
    #endif
    word.unlock()
  }

  private borrowing func markHolder() {
    #if DEBUG
      holder.store(Threads.identity, ordering: .relaxed)
    #endif
  }

  #if DEBUG
    fileprivate borrowing func isHeldHere() -> Bool {
      holder.load(ordering: .relaxed) == Threads.identity
    }
  #endif
}

extension Pointer where Pointee == AllocatorState {
  /// What follows takes longer than others may wait: in a debug build ends a process whose thread holds the
  /// registry lock. Not under the rules of Linux 4.10, which hold it over everything.
  @inline(__always)
  func expectRegistryUnlocked(_ message: StaticString) {
    #if DEBUG
      if !isLinux410, pointee.registry.lock.isHeldHere() { fatal(message) }
    #endif
  }

  /// A fence: see `PerCPURegion.fence`.
  func fence() throws(Errno) {
    expectRegistryUnlocked("registry lock: held over a fence")
    try pointee.region.fence()
  }
}
