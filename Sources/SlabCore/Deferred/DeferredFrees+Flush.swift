// SPDX-License-Identifier: Apache-2.0
// What lies on the sheaf of deferred frees on its way to the queues, by one fence: for a barrier, for a
// thread that waits for memory, and in the end by the worker.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasDeferred & ~Copyable {
  /// Whether something may be on the sheaf, or on its way from there to the queues.
  var hasDeferredFrees: Bool {
    // In this order: a flush sets the second before it clears the first.
    deferredFrees.pointee.isUsed.load(ordering: .sequentiallyConsistent)
      || deferredFrees.pointee.isMoving.load(ordering: .sequentiallyConsistent)
  }

  /// Gives the sheaf's memory back; the next deferred free makes it again.
  func releaseDeferredSheaf() {
    flushDeferredFrees()
    let lock = deferredFrees.pointee.lock.lock()
    guard deferredFrees.pointee.isOpen, !hasDeferredFrees else { return }
    let mode = region.pointee.mode
    let word = deferredFrees.pointee.words.exchange(.closed, mode: mode)
    do { try fence() } catch {
      _ = deferredFrees.pointee.words.exchange(word, mode: mode)
      return
    }
    for stripe in 0..<region.pointee.stripeCount {
      _ = flushDeferred(word.first, onStripe: stripe, mayWait: true, under: lock)
    }
    region.freeSheaf(word.first, ofClass: DeferredFrees.sheafClass)
    deferredFrees.pointee.isOpen = false
  }

  private func lockDeferredFrees(mayWait: Bool) -> DeferredLocked? {
    if mayWait { return deferredFrees.pointee.lock.lock() }
    return deferredFrees.pointee.lock.tryLock()
  }

  /// Moves everything that is on the sheaf, on any CPU, to pages: one fence. Then the callbacks are
  /// queued, and a barrier waits for them. False if membarrier failed, or if it may not wait and would
  /// have to, for the lock or for memory: then they are where they were.
  @discardableResult
  func flushDeferredFrees(mayWait: Bool = true) -> Bool {
    guard hasDeferredFrees else { return true }
    guard let lock = lockDeferredFrees(mayWait: mayWait) else { return false }
    // Another thread may just have done it.
    guard hasDeferredFrees else { return true }
    // Until the queues have it all: a barrier that is asked for meanwhile must wait for the lock.
    deferredFrees.pointee.isMoving.store(true, ordering: .sequentiallyConsistent)
    // Before the sheaf is closed: a thread that pushes after this sets it again.
    deferredFrees.pointee.isUsed.store(false, ordering: .sequentiallyConsistent)
    pausePoint(.beforeFlushing)
    defer { deferredFrees.pointee.isMoving.store(false, ordering: .sequentiallyConsistent) }
    guard deferredFrees.pointee.isOpen else { return true }
    let mode = region.pointee.mode
    let word = deferredFrees.pointee.words.exchange(.closed, mode: mode)
    do { try fence() } catch {
      // Without a fence a sequence may still be at work in it; it stays what it was.
      _ = deferredFrees.pointee.words.exchange(word, mode: mode)
      deferredFrees.pointee.isUsed.store(true, ordering: .sequentiallyConsistent)
      return false
    }
    var isWhole = true
    for stripe in 0..<region.pointee.stripeCount
    where !flushDeferred(word.first, onStripe: stripe, mayWait: mayWait, under: lock) {
      isWhole = false
    }
    _ = deferredFrees.pointee.words.exchange(word, mode: mode)
    if !isWhole {
      deferredFrees.pointee.isUsed.store(true, ordering: .sequentiallyConsistent)
    }
    return isWhole
  }

  /// The same, until it is done.
  func flushDeferredFreesWaiting() {
    while !flushDeferredFrees() {
      checkFence()
      waitForMembarrier()
    }
  }

  /// In a child of fork: another thread may have put something on the sheaf and not said so.
  func inheritDeferredFrees() {
    let isOpen = deferredFrees.pointee.isOpen
    deferredFrees.pointee.isUsed.store(false, ordering: .relaxed)
    deferredFrees.pointee.isMoving.store(isOpen, ordering: .relaxed)
    // The threads that freed or counted are gone.
    deferredFrees.pointee.freeing.store(0, ordering: .relaxed)
    deferredFrees.pointee.counting.store(0, ordering: .relaxed)
  }

  /// False if it may not wait and has no memory for a page.
  private func flushDeferred(
    _ first: UInt, onStripe stripe: Int, mayWait: Bool, under lock: borrowing DeferredLocked
  ) -> Bool {
    let sheaf = Words(at: region.pointee.address(first, onStripe: stripe))
    let count = Int(sheaf[0]) / 8
    guard count > 0 else { return true }
    if let page = makePage() {
      // SAFETY: a sheaf has at most one address less than a page.
      for index in 0..<count { unsafe page.objects[index] = UInt(sheaf[index + 1]) }
      page.pointee.count = count
      sheaf[0] = 0
      page.queue()
    } else if !mayWait {
      return false
    } else {
      guard waitForGracePeriod(gracePeriodSnapshot()) else { return false }
      for index in 1...count {
        unsafe withOneObject(UInt(sheaf[index])) {
          unsafe countDeferred($0)
          unsafe freeDeferred($0)
        }
      }
      sheaf[0] = 0
    }
    return true
  }

  /// A turn of worker 0: what lay on the sheaf for a turn is moved on.
  /// What finds no memory for a page stays for the next turn: a thread in a section may wait for the lock.
  func flushDeferredFreesLazily(_ worker: Int) {
    let isStopping = callbacks.pointee.workers.isStopping.load(ordering: .relaxed)
    if worker == 0 { flushDeferredFrees(mayWait: isStopping) }
  }
}
