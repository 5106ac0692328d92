// SPDX-License-Identifier: Apache-2.0
// Freeing after a grace period, without a head (the kernel's `kvfree_rcu`): the addresses gather on a
// sheaf of their own, per CPU, by the same restartable sequence as a plain free; a full one is moved
// to a page of addresses, and the page is one callback. So a grace period, and all that a callback
// costs, is shared by a page of objects (`DeferredPage.capacity`).
//
// `Sum.deferred` of each root counts its objects that are on their way, so that `destroy` knows that
// they have no user. The count is raised before the object is pushed, and falls before it is freed.

package import SlabPlatform
internal import Synchronization

/// The deferred lock.
enum DeferredLock: LockClassOfFork { static var rank: LockRank { .deferred } }
typealias DeferredLocked = Held<DeferredLock>

struct DeferredFrees: ~Copyable {
  /// The sheaf; opened by the first deferred free.
  var words = SheafWords()
  /// Something was put on the sheaf since the last flush began: the thread that set this has kicked the worker.
  let isUsed = Atomic<Bool>(false)
  /// What was on the sheaf is on its way to the queues, where a barrier would find it; or a child of
  /// fork has inherited it, and no worker has been kicked.
  let isMoving = Atomic<Bool>(false)
  /// Threads that free objects after their grace period: meanwhile these are neither deferred nor free.
  let freeing = Atomic<Int>(0)
  /// Threads that count live objects: meanwhile no thread begins to free.
  let counting = Atomic<Int>(0)
  /// Pages that wait.
  let pages = Atomic<Int>(0)
  let lock = RankedLock<DeferredLock>()
  /// Under `lock`: whether there is a sheaf.
  var isOpen = false

  /// Every so many pages the worker is asked not to wait for more; from so many on, a thread that
  /// fills one waits for a moment.
  static var flood: Int { 8 }
  static var limit: Int { 512 }

  /// How long a thread without memory for a record waits for a grace period.
  static var patienceNanoseconds: UInt64 { 1_000_000_000 }

  static var sheafClass: Int { PerCPURegion.sheafClassCount - 1 }
}

extension Pointer where Pointee: HasDeferred & ~Copyable {
  /// The sheaf had no room, or there is none.
  @inline(never)
  fileprivate func deferSlowly(_ object: UInt) {
    letForkGoFirst()
    let lock = deferredFrees.pointee.lock.lock()
    if !deferredFrees.pointee.isOpen { openDeferredSheaf(under: lock) }
    let words = Pointer<SheafWords>(of: &deferredFrees.pointee.words)
    guard let page = makePage() else {
      lock.unlock()
      return freeWithoutPage(object)
    }
    // SAFETY: the page has room for `capacity` addresses.
    let room = unsafe UnsafeMutableBufferPointer(
      start: page.objects, count: DeferredPage.capacity)
    page.pointee.count = unsafe region.pointee.popBatch(
      words, into: UnsafeMutableBufferPointer(rebasing: room[1...]))
    unsafe page.objects[0] = object
    page.pointee.count += 1
    page.queue()
    lock.unlock()
    if deferredFrees.pointee.pages.load(ordering: .relaxed) >= DeferredFrees.limit {
      throttle()
    }
    helpCallbackWorkers(isUrgent: true)
  }

  /// Without memory for a page the caller waits for the grace period.
  private func freeWithoutPage(_ object: UInt) {
    unsafe withOneObject(object) { unsafe countDeferred($0) }
    let allocator = self
    if allocator.waitWithoutRecord() {
      allocator.freeDeferred(object)
    } else {
      allocator.loseDeferred(object)
    }
  }

  func withOneObject(
    _ object: UInt, _ body: (UnsafeMutableBufferPointer<UInt>) -> Void
  ) {
    var object = object
    // SAFETY: the buffer is the one variable.
    unsafe withUnsafeMutablePointer(to: &object) { pointer in
      unsafe body(UnsafeMutableBufferPointer(start: pointer, count: 1))
    }
  }

  func makePage() -> Pointer<DeferredPage>? {
    // SAFETY: the object is ours, of the cache of these descriptors.
    guard
      let address = try? allocateInternal(bytes: DeferredPage.bytes),
      let page = unsafe Pointer<DeferredPage>(address: address)
    else { return nil }
    // SAFETY: the object is ours and large enough.
    unsafe page.unsafePointer.initialize(to: DeferredPage(allocator: deferredState))
    return page
  }

  /// Makes the sheaf, or opens it again. Without memory every deferred free is slow.
  private func openDeferredSheaf(under lock: borrowing DeferredLocked) {
    guard let first = region.allocateSheaf(ofClass: DeferredFrees.sheafClass) else { return }
    let capacity = min(
      DeferredPage.capacity - 1, PerCPURegion.sheafCapacity(ofClass: DeferredFrees.sheafClass))
    _ = deferredFrees.pointee.words.exchange(
      SheafWord(first: first, capacity: capacity), mode: region.pointee.mode)
    deferredFrees.pointee.isOpen = true
  }
}

extension Pointer where Pointee: HasDeferred & ~Copyable {
  /// Frees an object after a grace period (kvfree_rcu): to readers it stays what it is until their
  /// sections end. A restartable sequence; for each page of objects (`DeferredPage.capacity`) an allocation. With
  /// over 260,000 objects waiting, the call that fills a page waits for 0.2 ms at most. It waits for a grace
  /// period only where there is no memory for a page of addresses, for 1 s at most: in a section of the caller's
  /// own the object is lost then. The object counts as live, and stays charged, until it is free; `destroy` of
  /// its cache is not refused for it.
  package func freeAfterGracePeriod(_ object: UInt) {
    guard let cache = cache(of: object) else { reportForeignPointer() }
    // Now, and not when its grace period is over: then the caller would not be known any more.
    guard cache.isStartOfObject(object) else { fatal("free: not the start of an object") }
    cache.pointee.root.add(1, to: RootCache.Sum.deferred)
    let words = Pointer<SheafWords>(of: &deferredFrees.pointee.words)
    switch region.pointee.push(words, object) {
    case .done: break
    case .full: deferSlowly(object)
    case .doubleFree: Pointer<Cache>.reportDoubleFree()
    }
    // After the push: pairs with the flush, which clears it first. Acquiring: the look comes after
    // the sequence's look at the word, which the flush opened again after that.
    atomicMemoryFence(ordering: .acquiring)
    guard !deferredFrees.pointee.isUsed.load(ordering: .relaxed) else { return }
    deferredFrees.pointee.isUsed.store(true, ordering: .sequentiallyConsistent)
    kickCallbackWorker()
  }
}
