// How a sheaf ends while its cache lives on: it grows, or somebody wants what is in it. Nobody holds a lock
// over the fence: others wait for a cache's lock, some of them under the registry lock.
//
//   under the lock   the sheaf is closed and put aside (`retireSheaf`), the cache is pinned
//   without          the fence; one for up to 16 caches (`SheafBatch`)
//   under the lock   what is in it goes back to the slabs, one CPU's part at a time
//
// Whoever retires a sheaf drains it, unless the cache is deactivated meanwhile: then the fence worker does,
// after its own fence. Others who want to be sure that nothing is in it wait for that.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// Under the lock of a cache with slabs, or of one that nobody can end: keeps it on all its lists until
  /// `unpin`, as a slab that is being made does. Fork waits for it.
  func pin() {
    pointee.slabCount += 1
    pointee.allocator.takeInHand()
  }

  /// Holding no lock of a cache. The cache may be gone when this returns.
  func unpin() {
    let allocator = pointee.allocator
    pointee.lock.lock()
    pointee.slabCount -= 1
    let isLast = becomesDyingIfEmpty()
    pointee.lock.unlock()
    if isLast { allocator.enqueueDying(self) }
    allocator.putDown()
  }

  /// Under the lock: closes the sheaf and puts it aside. False if there is none, or one that another
  /// thread has put aside.
  func retireSheaf() -> Bool {
    keepSheaf()
    guard pointee.retiredSheaf.isClosed else { return false }
    pointee.retiredSheaf = pointee.words.exchange(.closed, mode: mode)
    return !pointee.retiredSheaf.isClosed
  }

  /// By whoever has retired it, where the fence failed: a sequence may still be at work in it, so it
  /// becomes what it was, but that nothing is put in beyond what has been set meanwhile. In a cache that has ended meanwhile it is the fence worker's.
  fileprivate func reopenRetiredSheaf() {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    guard state == .active else { return }
    let word = pointee.retiredSheaf
    let capacity = min(word.capacity, pointee.root.sheafCapacity)
    _ = pointee.words.exchange(SheafWord(first: word.first, capacity: capacity), mode: mode)
    pointee.retiredSheaf = .closed
  }

  /// Under the lock, after the fence: the whole of it.
  func drainRetiredSheaf(emptied chain: inout SlabChain) {
    guard !pointee.retiredSheaf.isClosed else { return }
    let slots = pointee.allocator.pointee.region.slotCount
    for slot in 0..<slots { drainRetiredSheaf(onSlot: slot, emptied: &chain) }
  }

  /// By whoever has retired it and pinned the cache, after the fence: takes the lock for each CPU.
  fileprivate func drainRetiredSheaf() {
    for slot in 0..<pointee.allocator.pointee.region.slotCount {
      var chain = SlabChain()
      pointee.lock.lock()
      guard state == .active else { return pointee.lock.unlock() }
      let before = pointee.objectsInUse
      drainRetiredSheaf(onSlot: slot, emptied: &chain)
      countObjects(since: before)
      pointee.lock.unlock()
      release(chain)
    }
  }

  /// Under the lock: one CPU's part; with the last one its block is free.
  private func drainRetiredSheaf(onSlot slot: Int, emptied chain: inout SlabChain) {
    let allocator = pointee.allocator
    let first = pointee.retiredSheaf.first
    let sheaf = Words(at: allocator.pointee.region.address(first, onSlot: slot))
    let count = Int(sheaf[0]) / 8
    if count > 0 {
      for index in 1...count { putObject(UInt(sheaf[index]), emptied: &chain) }
      sheaf[0] = 0
    }
    guard slot == allocator.pointee.region.slotCount - 1 else { return }
    allocator.region.freeSheaf(first, ofClass: Int(pointee.sheafClass))
    pointee.retiredSheaf = .closed
  }

  /// Holding no lock, with the cache pinned: until nobody has a retired sheaf of it.
  fileprivate func waitForRetiredSheaf() {
    var looks = 0
    while true {
      pointee.lock.lock()
      let isOver = pointee.retiredSheaf.isClosed || pointee.isResting || state != .active
      pointee.lock.unlock()
      if isOver { return }
      looks += 1
      pointee.allocator.pause(afterLooks: looks)
    }
  }

  /// Holding no lock, when `noteSlowOperation` has said so: a larger sheaf instead of the retired one.
  @inline(never)
  func growSheaf() {
    let allocator = pointee.allocator
    do {
      try allocator.fence()
      allocator.pointee.sheafFences.add(1, ordering: .relaxed)
      pausePoint(.beforeGrowing)
      drainRetiredSheaf()
      pointee.lock.lock()
      let isClosed = pointee.words.load(mode: mode).isClosed && pointee.retiredSheaf.isClosed
      if state == .active, isClosed { openSheaf(ofClass: Int(pointee.sheafClass) + 1) }
      let isNews = isNewlyIdle()
      pointee.lock.unlock()
      if isNews { listGroup() }
    } catch {
      reopenRetiredSheaf()
    }
    unpin()
  }
}

extension Pointer where Pointee == Cache {
  /// Of a cache that is deactivated and pinned, and that nobody else uses: gives all slabs back, whatever
  /// objects are live. O(slabs), the lock for 256 of them at a time.
  func giveBackAllSlabs() {
    var isOver = false
    while !isOver {
      var chain = SlabChain()
      pointee.lock.lock()
      let before = pointee.objectsInUse
      isOver = detachSlabs(to: &chain, atMost: SheafBatch.slabsPerPiece)
      countObjects(since: before)
      pointee.lock.unlock()
      release(chain)
    }
  }
}

/// Caches whose sheaves end together, with one fence.
struct SheafBatch {
  private var caches = InlineArray<16, Pointer<Cache>?>(repeating: nil)
  /// Bits of those whose sheaf this thread has retired.
  private var retired: UInt16 = 0
  private(set) var count = 0

  static var most: Int { 16 }
  /// Slabs that go back, and slabs that are sorted, while a cache's lock is held once.
  fileprivate static var slabsPerPiece: Int { 256 }
  private static var mostSorted: Int { 1024 }

  /// Under the lock of a cache that is active, or that nobody can end.
  mutating func add(_ cache: Pointer<Cache>) {
    cache.pin()
    if cache.retireSheaf() { retired |= 1 << UInt16(count) }
    caches[count] = cache
    count += 1
  }

  /// Holding no lock: the fence, if any sheaf was open; then what was in the sheaves goes back to the
  /// slabs, and empty slabs to where they came from. False if the fence failed, and the sheaves are as they
  /// were. The caches may be gone afterwards, and the batch is empty.
  @discardableResult
  mutating func finish(of allocator: Pointer<AllocatorState>, sorting: Bool = false) -> Bool {
    allocator.expectRegistryUnlocked("registry lock: held over a walk of slabs")
    var isFenced = true
    if retired != 0 {
      do {
        try allocator.fence()
        allocator.pointee.sheafFences.add(1, ordering: .relaxed)
      } catch {
        isFenced = false
      }
    }
    for index in 0..<count {
      let cache = caches[index]!
      if retired & 1 << UInt16(index) == 0 {
        cache.waitForRetiredSheaf()
      } else if isFenced {
        cache.drainRetiredSheaf()
      } else {
        cache.reopenRetiredSheaf()
      }
      Self.giveBackEmptySlabs(of: cache, sorting: sorting)
      cache.unpin()
    }
    count = 0
    retired = 0
    return isFenced
  }

  private static func giveBackEmptySlabs(of cache: Pointer<Cache>, sorting: Bool) {
    var isOver = false
    while !isOver {
      var chain = SlabChain()
      cache.pointee.lock.lock()
      cache.detachEmptySlabs(to: &chain, atMost: slabsPerPiece)
      isOver = cache.pointee.emptyCount == 0 || chain.first == nil
      if isOver, sorting { cache.sortPartialList(atMost: mostSorted) }
      cache.pointee.lock.unlock()
      cache.release(chain)
    }
  }
}
