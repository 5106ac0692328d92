// SPDX-License-Identifier: Apache-2.0
// What a fork takes of one allocator, and gives back in both processes: every lock, in the lock order.

internal import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Takes every lock, if no worker is at work and no thread has anything in hand. O(caches). Waits for locks
  /// that are held shortly, and for nothing else.
  func tryLockForFork() -> Bool {
    guard base.pointee.forkGate.inHand.load(ordering: .acquiring) == 0 else { return false }
    for index in 0..<Workers.most {
      guard let busy = lifecycle.pointee.workers.busy[index].tryLock() else {
        unlockBusy(count: index)
        return false
      }
      unsafe busy.leaveLocked()
    }
    lockEverything()
    if base.pointee.forkGate.inHand.load(ordering: .acquiring) == 0 { return true }
    unlockEverything(inChild: false)
    unlockBusy(count: Workers.most)
    return false
  }

  /// While the allocator is made: what the child's side below asks the runtime for in a debug build. Another thread of the parent
  /// may hold the runtime's lock while it makes one of these types, and a child would wait for that for ever.
  func rehearseFork() {
    #if DEBUG
      _ = changedGroups.address
      forgetThreadsAhead()
    #endif
  }

  func unlockAfterFork(inChild: Bool) {
    if inChild {
      forgetWorkers()
      forgetCallbackWorkers()
      inheritDeferredFrees()
      forgetThreadsAhead()
      shared.pointee.isForked = true
    }
    unlockEverything(inChild: inChild)
    unlockBusy(count: Workers.most)
  }

  private func unlockBusy(count: Int) {
    for index in 0..<count {
      unsafe lifecycle.pointee.workers.busy[index].alreadyHeld().unlock()
    }
  }

  // SAFETY: what `lockEverything` leaves locked, `unlockEverything` lets go of, on the same thread.

  /// In the lock order.
  private func lockEverything() {
    unsafe linux410.pointee.groupLock.lock().leaveLocked()
    unsafe deferredFrees.pointee.lock.lock().leaveLocked()
    unsafe callbacks.pointee.barrier.lock.lock().leaveLocked()
    let registry = lockRegistry()
    unsafe idleClock.pointee.lock.lock().leaveLocked()
    forEachCache(under: registry) { unsafe $0.pointee.lock.lock().leaveLocked() }
    unsafe registry.leaveLocked()
    unsafe lifecycle.pointee.workers.lock.lock().leaveLocked()
    for index in 0..<callbacks.pointee.queueCount {
      unsafe callbackQueue(index).pointee.lock.lock().leaveLocked()
    }
    unsafe callbacks.pointee.workers.lock.lock().leaveLocked()
    unsafe readers.pointee.tracking.lock.lock().leaveLocked()
    unsafe pages.pointee.lock.lock().leaveLocked()
    region.pointee.prepareForFork()
  }

  private func unlockEverything(inChild: Bool) {
    region.pointee.resumeAfterFork(inChild: inChild)
    unsafe pages.pointee.lock.alreadyHeld().unlock()
    unsafe readers.pointee.tracking.lock.alreadyHeld().unlock()
    unsafe callbacks.pointee.workers.lock.alreadyHeld().unlock()
    for index in 0..<callbacks.pointee.queueCount {
      unsafe callbackQueue(index).pointee.lock.alreadyHeld().unlock()
    }
    unsafe lifecycle.pointee.workers.lock.alreadyHeld().unlock()
    let registry = unsafe registryAlreadyHeld()
    forEachCache(under: registry) { unsafe $0.pointee.lock.alreadyHeld().unlock() }
    unsafe idleClock.pointee.lock.alreadyHeld().unlock()
    registry.unlock()
    unsafe callbacks.pointee.barrier.lock.alreadyHeld().unlock()
    unsafe deferredFrees.pointee.lock.alreadyHeld().unlock()
    unsafe linux410.pointee.groupLock.alreadyHeld().unlock()
  }
}
