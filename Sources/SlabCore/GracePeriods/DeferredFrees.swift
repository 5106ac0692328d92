// Freeing after a grace period, without a head (the kernel's `kvfree_rcu`): the addresses gather on a
// sheaf of their own, per CPU, by the same restartable sequence as a plain free; a full one is moved
// to a page of addresses, and the page is one callback. So a grace period, and all that a callback
// costs, is shared by up to 512 objects.
//
// `Sum.deferred` of each root counts its objects that are on their way, so that `destroy` knows that
// nobody has them. The count is raised before the object is pushed, and falls before it is freed.

internal import SlabPlatform
internal import Synchronization

struct DeferredFrees: ~Copyable {
  /// The sheaf; opened by the first deferred free.
  var words = SheafWords()
  /// Something was put on the sheaf since the last flush began: whoever set this has kicked the worker.
  let isUsed = Atomic<Bool>(false)
  /// What was on the sheaf is on its way to the queues, where a barrier would find it; or a child of
  /// fork has inherited it, and nobody has been kicked.
  let isMoving = Atomic<Bool>(false)
  /// Threads that free objects after their grace period: meanwhile these are neither deferred nor free.
  let freeing = Atomic<Int>(0)
  /// Threads that count live objects: meanwhile nobody begins to free.
  let counting = Atomic<Int>(0)
  /// Pages that wait.
  let pages = Atomic<Int>(0)
  let lock = Lock()
  /// Under `lock`: whether there is a sheaf.
  var isOpen = false

  /// Every so many pages the worker is asked not to wait for more; from so many on, whoever fills one
  /// waits for a moment.
  static var flood: Int { 8 }
  static var limit: Int { 512 }

  /// How long whoever has no memory for a record waits for a grace period.
  static var patienceNanoseconds: UInt64 { 1_000_000_000 }

  static var sheafClass: Int { PerCPURegion.sheafClassCount - 1 }
}

/// A page of addresses that waits for a grace period.
struct DeferredPage: ~Copyable {
  /// First: its address is the page's.
  var callback = GracePeriodCallback()
  let allocator: Pointer<AllocatorState>
  var count = 0
  // Behind it, `count` addresses.

  init(allocator: Pointer<AllocatorState>) { self.allocator = allocator }

  static var bytes: Int { 4112 }
  static var capacity: Int { (bytes - 32) / 8 }
}

extension Pointer where Pointee == DeferredPage {
  /// The addresses behind the fields.
  var objects: UnsafeMutablePointer<UInt> {
    // SAFETY: the page has room for `capacity` words there, aligned to 8.
    unsafe UnsafeMutablePointer(bitPattern: address + 32).unsafelyUnwrapped
  }

  func queue() {
    let allocator = pointee.allocator
    // SAFETY: the first `count` addresses are initialised.
    unsafe allocator.countDeferred(
      UnsafeMutableBufferPointer(start: objects, count: pointee.count))
    let head = Pointer<GracePeriodCallback>(nonzeroAddress: address)
    let pages = allocator.pointee.callbacks.deferred.pages.add(1, ordering: .relaxed).newValue
    unsafe allocator.call(head, freeDeferredPage)
    if pages % DeferredFrees.flood == 0 { allocator.kickCallbackWorker(isHurried: true) }
  }
}

private func freeDeferredPage(_ head: UnsafeMutableRawPointer) {
  // SAFETY: the head is the first field of its page.
  let page = unsafe Pointer<DeferredPage>(head.assumingMemoryBound(to: DeferredPage.self))
  let state = page.pointee.allocator
  // SAFETY: the first `count` addresses are initialised.
  unsafe state.freeDeferred(
    UnsafeMutableBufferPointer(start: page.objects, count: page.pointee.count))
  state.freeInternal(page.address)
  state.pointee.callbacks.deferred.pages.subtract(1, ordering: .relaxed)
}

extension Pointer where Pointee == AllocatorState {
  /// After their grace period: runs of objects of one cache go together.
  fileprivate func freeDeferred(_ objects: UnsafeMutableBufferPointer<UInt>) {
    let allocator = Allocator(state: self)
    beginFreeing()
    defer { pointee.callbacks.deferred.freeing.subtract(1, ordering: .sequentiallyConsistent) }
    var start = 0
    while start < objects.count {
      guard let cache = unsafe allocator.cache(of: objects[start]) else {
        fatal("free: an object that awaited a grace period is gone (was its group discarded?)")
      }
      var end = start + 1
      while end < objects.count, unsafe allocator.cache(of: objects[end]) == cache { end += 1 }
      // Before the objects are free: afterwards the cache may be gone.
      cache.pointee.root.add(start - end, to: RootCache.Sum.deferred)
      // Partner: the acquiring load of `objectCount`. Who counts an object as free has seen that it is
      // not deferred any more; without it, it would be taken off the live ones twice.
      atomicMemoryFence(ordering: .releasing)
      pausePoint(.beforeFreeingDeferred)
      unsafe cache.freeAwaited(UnsafeMutableBufferPointer(rebasing: objects[start..<end]))
      start = end
    }
  }

  /// When they have left the sheaf: for their groups, as `freeDeferred` expects.
  fileprivate func countDeferred(_ objects: UnsafeMutableBufferPointer<UInt>) {
    let allocator = Allocator(state: self)
    var start = 0
    while start < objects.count {
      let cache = unsafe allocator.cache(of: objects[start])
      var end = start + 1
      while end < objects.count, unsafe allocator.cache(of: objects[end]) == cache { end += 1 }
      // One that is of no cache any more is found when it is to be freed.
      cache?.countAwaiting(end - start)
      start = end
    }
  }

  /// Waits while somebody counts. Sequentially consistent, as is the opposite: one of the two sees the
  /// other one.
  private func beginFreeing() {
    let deferred = Pointer<DeferredFrees>(of: &pointee.callbacks.deferred)
    var looks = 0
    while true {
      deferred.pointee.freeing.add(1, ordering: .sequentiallyConsistent)
      if deferred.pointee.counting.load(ordering: .sequentiallyConsistent) == 0 { return }
      deferred.pointee.freeing.subtract(1, ordering: .sequentiallyConsistent)
      looks += 1
      pause(afterLooks: looks)
    }
  }

  /// Runs a body while nobody frees objects after their grace period: every object is deferred, free
  /// or a user's. Waits for at most a page of objects for each thread that does. Not under a lock.
  func withoutFreeing<Result>(
    _ body: () throws(AllocatorError) -> Result
  ) throws(AllocatorError) -> Result {
    let deferred = Pointer<DeferredFrees>(of: &pointee.callbacks.deferred)
    deferred.pointee.counting.add(1, ordering: .sequentiallyConsistent)
    defer { deferred.pointee.counting.subtract(1, ordering: .sequentiallyConsistent) }
    var looks = 0
    while deferred.pointee.freeing.load(ordering: .sequentiallyConsistent) > 0 {
      looks += 1
      pause(afterLooks: looks)
    }
    return try body()
  }

  /// Whether something may be on the sheaf, or on its way from there to the queues.
  var hasDeferredFrees: Bool {
    // In this order: a flush sets the second before it clears the first.
    pointee.callbacks.deferred.isUsed.load(ordering: .sequentiallyConsistent)
      || pointee.callbacks.deferred.isMoving.load(ordering: .sequentiallyConsistent)
  }

  /// The sheaf had no room, or there is none.
  @inline(never)
  fileprivate func deferSlowly(_ object: UInt) {
    letForkGoFirst()
    pointee.callbacks.deferred.lock.lock()
    if !pointee.callbacks.deferred.isOpen { openDeferredSheaf() }
    let words = Pointer<SheafWords>(of: &pointee.callbacks.deferred.words)
    guard let page = makePage() else {
      pointee.callbacks.deferred.lock.unlock()
      return freeWithoutPage(object)
    }
    // SAFETY: the page has room for `capacity` addresses.
    let room = unsafe UnsafeMutableBufferPointer(
      start: page.objects, count: DeferredPage.capacity)
    page.pointee.count = unsafe pointee.region.popBatch(
      words, into: UnsafeMutableBufferPointer(rebasing: room[1...]))
    unsafe page.objects[0] = object
    page.pointee.count += 1
    page.queue()
    pointee.callbacks.deferred.lock.unlock()
    if pointee.callbacks.deferred.pages.load(ordering: .relaxed) >= DeferredFrees.limit {
      throttle()
    }
    helpCallbackWorkers(isUrgent: true)
  }

  /// Without memory for a page the caller waits for the grace period.
  private func freeWithoutPage(_ object: UInt) {
    unsafe withOneObject(object) { unsafe countDeferred($0) }
    let allocator = Allocator(state: self)
    if allocator.waitWithoutRecord() {
      allocator.freeDeferred(object)
    } else {
      allocator.loseDeferred(object)
    }
  }

  fileprivate func withOneObject(
    _ object: UInt, _ body: (UnsafeMutableBufferPointer<UInt>) -> Void
  ) {
    var object = object
    // SAFETY: the buffer is the one variable.
    unsafe withUnsafeMutablePointer(to: &object) { pointer in
      unsafe body(UnsafeMutableBufferPointer(start: pointer, count: 1))
    }
  }

  private func makePage() -> Pointer<DeferredPage>? {
    guard
      let address = try? allocateInternal(bytes: DeferredPage.bytes),
      let page = Pointer<DeferredPage>(address: address)
    else { return nil }
    // SAFETY: the object is ours and large enough.
    unsafe page.unsafePointer.initialize(to: DeferredPage(allocator: self))
    return page
  }

  /// Under the lock: makes the sheaf, or opens it again. Without memory every deferred free is slow.
  private func openDeferredSheaf() {
    guard let first = region.allocateSheaf(ofClass: DeferredFrees.sheafClass) else { return }
    let capacity = min(
      DeferredPage.capacity - 1, PerCPURegion.sheafCapacity(ofClass: DeferredFrees.sheafClass))
    _ = pointee.callbacks.deferred.words.exchange(
      SheafWord(first: first, capacity: capacity), mode: pointee.region.mode)
    pointee.callbacks.deferred.isOpen = true
  }

  /// Gives the sheaf's memory back; the next deferred free makes it again.
  func releaseDeferredSheaf() {
    flushDeferredFrees()
    pointee.callbacks.deferred.lock.lock()
    defer { pointee.callbacks.deferred.lock.unlock() }
    guard pointee.callbacks.deferred.isOpen, !hasDeferredFrees else { return }
    let mode = pointee.region.mode
    let word = pointee.callbacks.deferred.words.exchange(.closed, mode: mode)
    do { try fence() } catch {
      _ = pointee.callbacks.deferred.words.exchange(word, mode: mode)
      return
    }
    for slot in 0..<pointee.region.slotCount {
      _ = drainDeferred(word.first, onSlot: slot, mayWait: true)
    }
    region.freeSheaf(word.first, ofClass: DeferredFrees.sheafClass)
    pointee.callbacks.deferred.isOpen = false
  }

  /// Moves everything that is on the sheaf, on any CPU, to pages: one fence. Then the callbacks are
  /// queued, and a barrier waits for them. False if membarrier failed, or if it may not wait and would
  /// have to, for the lock or for memory: then they are where they were.
  @discardableResult
  func flushDeferredFrees(mayWait: Bool = true) -> Bool {
    guard hasDeferredFrees else { return true }
    if mayWait {
      pointee.callbacks.deferred.lock.lock()
    } else if !pointee.callbacks.deferred.lock.tryLock() {
      return false
    }
    defer { pointee.callbacks.deferred.lock.unlock() }
    // Another thread may just have done it.
    guard hasDeferredFrees else { return true }
    // Until the queues have it all: a barrier that is asked for meanwhile must wait for the lock.
    pointee.callbacks.deferred.isMoving.store(true, ordering: .sequentiallyConsistent)
    // Before the sheaf is closed: who pushes after this sets it again.
    pointee.callbacks.deferred.isUsed.store(false, ordering: .sequentiallyConsistent)
    pausePoint(.beforeFlushing)
    defer { pointee.callbacks.deferred.isMoving.store(false, ordering: .sequentiallyConsistent) }
    guard pointee.callbacks.deferred.isOpen else { return true }
    let mode = pointee.region.mode
    let word = pointee.callbacks.deferred.words.exchange(.closed, mode: mode)
    do { try fence() } catch {
      // Without a fence a sequence may still be at work in it; it stays what it was.
      _ = pointee.callbacks.deferred.words.exchange(word, mode: mode)
      pointee.callbacks.deferred.isUsed.store(true, ordering: .sequentiallyConsistent)
      return false
    }
    var isWhole = true
    for slot in 0..<pointee.region.slotCount
    where !drainDeferred(word.first, onSlot: slot, mayWait: mayWait) {
      isWhole = false
    }
    _ = pointee.callbacks.deferred.words.exchange(word, mode: mode)
    if !isWhole {
      pointee.callbacks.deferred.isUsed.store(true, ordering: .sequentiallyConsistent)
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
    let isOpen = pointee.callbacks.deferred.isOpen
    pointee.callbacks.deferred.isUsed.store(false, ordering: .relaxed)
    pointee.callbacks.deferred.isMoving.store(isOpen, ordering: .relaxed)
    // Whoever freed or counted is gone.
    pointee.callbacks.deferred.freeing.store(0, ordering: .relaxed)
    pointee.callbacks.deferred.counting.store(0, ordering: .relaxed)
  }

  /// False if it may not wait and has no memory for a page.
  private func drainDeferred(_ first: UInt, onSlot slot: Int, mayWait: Bool) -> Bool {
    let sheaf = Words(at: pointee.region.address(first, onSlot: slot))
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
    let isStopping = pointee.callbacks.workers.isStopping.load(ordering: .relaxed)
    if worker == 0 { flushDeferredFrees(mayWait: isStopping) }
  }
}

extension Allocator {
  /// Counts an object as one that is freed after a grace period, by a callback of the caller's: nobody
  /// has it from here on, so `destroy` of its cache is not refused for it. The callback calls
  /// `freeDeferred`. O(depth of its group); takes a short lock.
  package func deferObject(_ object: UInt) {
    guard let cache = cache(of: object) else { Self.reportForeignPointer() }
    cache.pointee.root.add(1, to: RootCache.Sum.deferred)
    cache.countAwaiting(1)
  }

  /// Frees an object that was counted so. As `free`; may wait for somebody who counts live objects.
  package func freeDeferred(_ object: UInt) {
    unsafe state.withOneObject(object) { unsafe state.freeDeferred($0) }
  }

  /// Memory for whoever calls after a grace period: of the core, not of the heap, charged to nobody. Goes
  /// back by `freeRecord`.
  package func allocateRecord(bytes: Int) throws(AllocatorError) -> UInt {
    try state.allocateInternal(bytes: bytes)
  }

  package func freeRecord(_ record: UInt) { state.freeInternal(record) }

  /// Where there is no memory for a record: waits for a grace period, which may be that of the caller's own
  /// section, and so with a bound. False if it is not over.
  package func waitWithoutRecord() -> Bool {
    state.waitForGracePeriod(
      state.gracePeriodSnapshot(),
      until: SystemCall.monotonicNanoseconds + DeferredFrees.patienceNanoseconds)
  }

  /// And then: the object that was counted as deferred stays what it is, for ever. Says so.
  package func loseDeferred(_ object: UInt) {
    let cache = cache(of: object)
    cache?.pointee.root.add(-1, to: RootCache.Sum.deferred)
    cache?.countAwaiting(-1)
    var line = ErrorLine()
    line.append("freeAfterGracePeriod: no memory for a record, and a section did not end within ")
    line.append(DeferredFrees.patienceNanoseconds / 1_000_000)
    line.append(" ms: an object is lost")
    line.write()
  }

  /// Frees an object after a grace period (kvfree_rcu): to readers it stays what it is until their
  /// sections end. A restartable sequence; every 500 objects an allocation. With over 260,000 objects
  /// waiting, every 500th call waits for 0.2 ms at most. It waits for a grace period only where there is
  /// no memory for a page of addresses, for 1 s at most: in a section of the caller's own the object is lost
  /// then. The object counts
  /// as live, and stays charged, until it is free; `destroy` of its cache is not refused for it.
  package func freeAfterGracePeriod(_ object: UInt) {
    guard let cache = cache(of: object) else { Self.reportForeignPointer() }
    // Now, and not when its grace period is over: then nobody would know by whom.
    guard cache.isStartOfObject(object) else { fatal("free: not the start of an object") }
    cache.pointee.root.add(1, to: RootCache.Sum.deferred)
    let words = Pointer<SheafWords>(of: &state.pointee.callbacks.deferred.words)
    switch state.pointee.region.push(words, object) {
    case .done: break
    case .full: state.deferSlowly(object)
    case .doubleFree: Pointer<Cache>.reportDoubleFree()
    }
    // After the push: pairs with the flush, which clears it first. Acquiring: the look comes after
    // the sequence's look at the word, which the flush opened again after that.
    atomicMemoryFence(ordering: .acquiring)
    guard !state.pointee.callbacks.deferred.isUsed.load(ordering: .relaxed) else { return }
    state.pointee.callbacks.deferred.isUsed.store(true, ordering: .sequentiallyConsistent)
    state.kickCallbackWorker()
  }
}
