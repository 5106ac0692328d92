// Allocating from a cache and freeing to it. The fast paths are one restartable sequence each and
// are inlined into the caller; the slow paths take the cache's lock.

public import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Cache {
  /// An object of the cache. A restartable sequence if the sheaf has one; else under the lock, and
  /// perhaps a new slab with a charge and a system call.
  @inlinable @inline(__always)
  package func allocate() throws(AllocatorError) -> UInt {
    let object = Sheaf.pop(address)
    if object != 0 { return object }
    return try allocateSlow()
  }

  /// Frees an object that is known to be of this cache. The cache may be gone when this returns.
  @inlinable @inline(__always)
  package func free(_ object: UInt) {
    switch Sheaf.push(address, object) {
    case .done: return
    case .full: freeSlow(object)
    case .doubleFree: Self.reportDoubleFree()
    }
  }

  @usableFromInline @inline(never)
  package static func reportDoubleFree() -> Never {
    fatal("free: object is free already (double free)")
  }

  @usableFromInline @inline(never)
  package func allocateSlow() throws(AllocatorError) -> UInt {
    let allocator = pointee.allocator
    letForkGoFirst()
    // Locked slots are tried here only, and a sequence that was restarted again.
    if hasSheaf {
      let object = allocator.pointee.region.pop(words)
      if object != 0 { return object }
    }
    pointee.lock.lock()
    if keepSheaf() {
      let object = allocator.pointee.region.pop(words)
      if object != 0 {
        pointee.lock.unlock()
        return object
      }
    }
    while true {
      if let refused = refusal {
        pointee.lock.unlock()
        throw refused
      }
      if pointee.partialFirst != nil { break }
      try addSlabUnlocking()
    }
    let before = pointee.objectsInUse
    let object = takeObject()
    refillSheaf()
    let grows = noteSlowOperation()
    countObjects(since: before)
    let isNews = isNewlyIdle()
    pointee.lock.unlock()
    if grows { growSheaf() }
    if isNews { listGroup() }
    allocator.kickForSheaves()
    return object
  }

  private var hasSheaf: Bool {
    !pointee.words.load(mode: pointee.allocator.pointee.region.mode).isClosed
  }

  /// Why the cache allocates no more, if so. For holders of a handle.
  private var refusal: AllocatorError? {
    guard let group = pointee.group else { return state == .active ? nil : .cacheDestroyed }
    guard group.isOnline else { return .groupOffline }
    return state == .active ? nil : .cacheDestroyed
  }

  /// Under the lock, which it gives up and takes again: one slab more, or free objects that came to
  /// hand instead. When it throws, the lock is not held.
  private func addSlabUnlocking() throws(AllocatorError) {
    let units = Int(pointee.units)
    pointee.slabCount += 1
    pointee.allocator.takeInHand()
    pointee.lock.unlock()
    do throws(AllocatorError) {
      let slab = try makeSlab(afterUnits: units)
      pausePoint(.beforeAddingSlab)
      pointee.lock.lock()
      addSlab(slab, isLast: state != .active)
      pointee.allocator.putDown()
      // If the cache was deactivated meanwhile, the slab must not stay.
      if state != .active {
        var chain = SlabChain()
        detachEmptySlabs(to: &chain)
        pointee.lock.unlock()
        release(chain)
        pointee.lock.lock()
      }
    } catch {
      pointee.lock.lock()
      pointee.slabCount -= 1
      // The reclaim before a refusal drains sheaves: other CPUs' objects may be at hand now.
      if pointee.partialFirst != nil {
        pointee.allocator.putDown()
        return
      }
      let isLast = becomesDyingIfEmpty()
      let allocator = pointee.allocator
      pointee.lock.unlock()
      if isLast { allocator.enqueueDying(self) }
      allocator.putDown()
      throw error
    }
  }

  @usableFromInline @inline(never)
  package func freeSlow(_ object: UInt) {
    let allocator = pointee.allocator
    letForkGoFirst()
    if hasSheaf {
      switch allocator.pointee.region.push(words, object) {
      case .done: return
      case .full: break
      case .doubleFree: Self.reportDoubleFree()
      }
    }
    var chain = SlabChain()
    pointee.lock.lock()
    if keepSheaf() {
      switch allocator.pointee.region.push(words, object) {
      case .done: return pointee.lock.unlock()
      case .full: break
      case .doubleFree: Self.reportDoubleFree()
      }
    }
    let before = pointee.objectsInUse
    flushHalfSheaf(emptied: &chain)
    putObject(object, emptied: &chain)
    let grows = noteSlowOperation()
    countObjects(since: before)
    let isNews = isNewlyIdle()
    pointee.lock.unlock()
    // Without a detached slab there is at least one slab left, and so nothing that could end here.
    release(chain)
    if grows { growSheaf() }
    if isNews { listGroup() }
    allocator.kickForSheaves()
  }

  /// Under the lock: brings the root's running sum up to date.
  func countObjects(since before: UInt64) {
    let delta = Int(pointee.objectsInUse) - Int(before)
    if delta != 0 { pointee.root.add(delta, to: RootCache.Sum.objectsInUse) }
  }
}
