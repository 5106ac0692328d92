// SPDX-License-Identifier: Apache-2.0
// Locks as types. Taking a `RankedLock` yields a `Held`, the only proof that the lock is held: a function that must be
// called under a lock has a parameter `under`, and a caller without the lock does not compile.
//
//   let registry = lockRegistry()          held until the scope ends, or `registry.unlock()`
//   releaseIfUnused(group, under: registry)
//   let lock = try addSlab(under: lock)    a consuming parameter: the function lets go of the lock, and may return it
//   registry.letGo { … }                   let go and taken again; the proof cannot be used meanwhile
//
// Why the proof lets go of the lock when it ends, and there is no closure that holds the lock: most functions leave in
// several places, by a `throw` among others, and each of them lets go then without saying so. Closures for two locks
// nest, and a `return`, a `continue` and a typed error have to be carried out of them. A proof without a stored
// property would be smaller, but one that is forgotten would leave its lock held. As it is, none can be forgotten. The
// address costs nothing where a function is inlined or does not use it: the optimiser drops the argument.
//
// A proof names the class of the lock, which is enough where there is one lock of a class, as in every class but that
// of caches and that of callbacks' queues. Those are told apart in debug builds, by `check`. A thread holds one lock
// of a class at most (LockRank.swift).

/// Which lock of the order a `RankedLock` is: an enumeration without cases, beside the lock's field.
@usableFromInline
package protocol LockClass {
  static var rank: LockRank { get }
}

/// A class whose locks a fork takes. What a thread takes in hand under one of them, the fork sees when it has them all.
@usableFromInline
package protocol LockClassOfFork: LockClass {}

/// A lock of the lock order.
@usableFromInline @frozen
package struct RankedLock<Class: LockClass>: ~Copyable {
  @usableFromInline let word: Lock

  @inlinable @inline(__always)
  package init() { word = Lock(Class.rank) }

  /// Takes the lock; waits for its holder. Not recursive.
  @inlinable @inline(__always)
  package borrowing func lock() -> Held<Class> {
    word.lock()
    return unsafe Held(lock: address)
  }

  /// Takes the lock if it is free; otherwise `nil`, at once.
  @inlinable @inline(__always)
  package borrowing func tryLock() -> Held<Class>? {
    guard word.tryLock() else { return nil }
    return unsafe Held(lock: address)
  }

  /// The proof for a lock that this thread holds since a `leaveLocked`. Unsafe: the caller says why it does.
  @unsafe @inlinable @inline(__always)
  package borrowing func alreadyHeld() -> Held<Class> {
    #if DEBUG
      if !word.isOwn { fatal("lock: the proof of a lock that is not held") }
    #endif
    return unsafe Held(lock: address)
  }

  /// In a child of fork: see `Lock.resetAfterFork`.
  package borrowing func resetAfterFork() { word.resetAfterFork() }

  @inlinable @inline(__always)
  var address: Pointer<Lock> {
    // SAFETY: a lock stands in a descriptor, where its address is stable, and outlives its holders.
    unsafe withUnsafePointer(to: word) { unsafe Pointer(UnsafeMutablePointer(mutating: $0)) }
  }
}

/// The proof that the running thread holds a lock of a class. When it ends the lock is free.
@usableFromInline @frozen
package struct Held<Class: LockClass>: ~Copyable {
  @usableFromInline let lock: Pointer<Lock>

  @unsafe @inlinable @inline(__always)
  init(lock: Pointer<Lock>) { self.lock = lock }

  @inlinable @inline(__always)
  deinit { lock.pointee.unlock() }

  /// Lets go of the lock before the scope ends.
  @inlinable @inline(__always)
  package consuming func unlock() {}

  /// Lets go of the lock while the body runs, then takes it again: what the caller knew under it may have changed.
  @inlinable @inline(__always)
  package mutating func letGo<Failure>(
    while body: () throws(Failure) -> Void
  ) throws(Failure) {
    lock.pointee.unlock()
    defer { lock.pointee.lock() }
    try body()
  }

  /// Ends the proof and leaves the lock held, for `alreadyHeld`: of a fork, which holds all locks over a system call;
  /// of a table of C functions, which cannot get a proof; of tests. Unsafe: the caller says what lets go of the lock.
  @unsafe @inlinable @inline(__always)
  package consuming func leaveLocked() { discard self }

  /// In a debug build a process ends where this is the proof of another lock of the class.
  @inlinable @inline(__always)
  package borrowing func check(_ expected: borrowing RankedLock<Class>) {
    #if DEBUG
      if lock != expected.address { fatal("lock: the proof of another lock of its class") }
    #endif
  }
}
