// SPDX-License-Identifier: Apache-2.0
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
    #if DEBUG
      if !isOfTheCore { HeldLocks.expectNone(below: .inHand, "an object") }
    #endif
    letForkGoFirst()
    // Locked stripes are tried here only, and a sequence that was restarted again.
    if hasSheaf {
      let object = allocator.region.pointee.pop(words)
      if object != 0 { return object }
    }
    var lock = pointee.lock.lock()
    if keepSheaf(under: lock) {
      let object = allocator.region.pointee.pop(words)
      if object != 0 { return object }
    }
    var object: UInt = 0
    var ahead = AheadInHand.none
    // Not before the group is told of what is idle.
    defer { allocator.endAhead(ahead) }
    while true {
      if let refusal { throw refusal }
      object = takeFromBarn(under: lock)
      if object != 0 || pointee.partialFirst != nil { break }
      allocator.endAhead(ahead)
      ahead = .none
      lock = try addSlabs(under: lock, ahead: &ahead)
    }
    let before = pointee.objectsInUse
    if object == 0 {
      object = takeObject(under: lock)
      refillSheaf(under: lock)
      pointee.hasTakenFromSlabs = true
      if pointee.barn != nil { allocator.addToBarnSum(1, .misses) }
    }
    let grows = noteSlowOperation(under: lock)
    let need = barnNeed(wasFull: false, under: lock)
    countObjects(since: before, under: lock)
    let isNews = isNewlyIdle(under: lock)
    lock.unlock()
    if grows { growSheaf() }
    if need != .nothing { growBarn(need) }
    if isNews { tellOwner() }
    allocator.wakeForSheaves()
    return object
  }

  private var hasSheaf: Bool {
    !pointee.words.load(mode: pointee.allocator.region.pointee.mode).isClosed
  }

  /// Why the cache allocates no more, if so. For holders of a handle.
  var refusal: AllocatorError? {
    guard let owner = pointee.owner else { return state == .active ? nil : .cacheDestroyed }
    guard owner.pointee.isOnline else { return .groupOffline }
    return state == .active ? nil : .cacheDestroyed
  }

  /// Adds one slab, or several (SlabsAhead.swift), unless free objects come to hand instead. Lets go of the lock meanwhile.
  @inline(never)
  private func addSlabs(
    under lock: consuming CacheLocked, ahead: inout AheadInHand
  ) throws(AllocatorError) -> CacheLocked {
    let units = Int(pointee.units)
    let wanted = slabsAtATime(under: lock)
    pointee.slabCount += UInt32(wanted)
    pointee.allocator.takeInHand(wanted, under: lock)
    lock.unlock()
    do throws(AllocatorError) {
      let made = try makeSlabs(wanted, afterUnits: units)
      ahead = made.ahead
      pausePoint(.beforeAddingSlab)
      var lock = pointee.lock.lock()
      pointee.slabCount -= UInt32(wanted - made.count)
      addSlabs(made.chain, under: lock)
      pointee.allocator.putDown(wanted)
      // If the cache was deactivated meanwhile, the slabs must not stay.
      if state != .active {
        var chain = SlabChain()
        detachEmptySlabs(to: &chain, under: lock)
        lock.letGo { release(chain) }
      }
      return lock
    } catch {
      let lock = pointee.lock.lock()
      pointee.slabCount -= UInt32(wanted)
      // The reclaim before a refusal flushes sheaves: other CPUs' objects may be at hand now. Or another thread
      // has freed some.
      if pointee.partialFirst != nil || pointee.barn?.pointee.full != nil {
        pointee.allocator.putDown(wanted)
        return lock
      }
      let isLast = becomesDyingIfEmpty(under: lock)
      let allocator = pointee.allocator
      lock.unlock()
      if isLast { allocator.handOver(self) }
      allocator.putDown(wanted)
      throw error
    }
  }

  @usableFromInline @inline(never)
  package func freeSlow(_ object: UInt) {
    guard pointee.kind != .gate else { return freeShared(object) }
    let allocator = pointee.allocator
    letForkGoFirst()
    if hasSheaf {
      switch allocator.region.pointee.push(words, object) {
      case .done: return
      case .full: break
      case .doubleFree: Self.reportDoubleFree()
      }
    }
    var chain = SlabChain()
    let lock = pointee.lock.lock()
    if keepSheaf(under: lock) {
      switch allocator.region.pointee.push(words, object) {
      case .done: return
      case .full: break
      case .doubleFree: Self.reportDoubleFree()
      }
    }
    let before = pointee.objectsInUse
    let isInBarn = putIntoBarn(object, under: lock)
    if !isInBarn {
      flushHalfSheaf(emptied: &chain, under: lock)
      putObject(object, emptied: &chain, under: lock)
    }
    let grows = noteSlowOperation(under: lock)
    let need = barnNeed(wasFull: !isInBarn, under: lock)
    countObjects(since: before, under: lock)
    let isNews = isNewlyIdle(under: lock)
    lock.unlock()
    // Without a detached slab there is at least one slab left, and so nothing that could end here.
    release(chain)
    if grows { growSheaf() }
    if need != .nothing { growBarn(need) }
    if isNews { tellOwner() }
    allocator.wakeForSheaves()
  }

  /// Brings the root's running sum up to date.
  func countObjects(since before: UInt64, under lock: borrowing CacheLocked) {
    let delta = Int(pointee.objectsInUse) - Int(before)
    if delta != 0 { pointee.root.add(delta, to: RootCache.Sum.objectsInUse) }
  }
}

extension Pointer where Pointee == Cache {
  /// Holding no lock, at the start of a slow operation: lets a fork go first. Not in the core's own
  /// caches, which are used under locks.
  @inline(__always)
  func letForkGoFirst() {
    guard ForkGate.isForking, !isOfTheCore else { return }
    ForkGate.waitForFork()
  }

  private var isOfTheCore: Bool {
    // The root of a child that has ended may be gone.
    isRoot && pointee.root.pointee.isInternal
  }
}
