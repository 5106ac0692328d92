// SPDX-License-Identifier: Apache-2.0
// The barn of a cache, as in Linux 6.18: full sheaves between those of the CPUs and the slabs. A load that frees more
// than a sheaf holds, and allocates it again, moves whole sheaves to and fro. Without a barn each of their objects
// would go into its slab and out of it.
//
//   a CPU's sheaf is full     half of it becomes a full sheaf of the barn, with the freed object on top
//   a CPU's sheaf is empty    a full sheaf of the barn is moved into it
//
// Both are one sequence that copies up to 128 words, under the cache's lock, and no slab is touched. (A CPU's sheaf
// has a fixed place, so it cannot change hands by its address: the sequences would need one more load for that, which
// depends on another one.) Objects are in the sheaf or in the barn at every moment the lock is free, so a look for
// idle memory finds all of it.
//
// What is in the barn is idle, and adapts:
//
//   grows     by one full sheaf, when objects go to slabs after objects were taken from slabs: the load swings by
//             more than there is room for. Only where the CPUs' sheaves cannot grow any more, up to `mostBytes` of
//             objects, and up to what the group may have in all its barns (`BarnBounds`)
//   shrinks   at each round of the idle clock, by what was not needed since the round before (IdleClock.swift)
//   ends      with the cache's sheaf, by the same threads: the idle clock, a reclaim before a charge is refused,
//             `shrink` of the root's own cache and of the shared one, the hand of ColdSheaves.swift, a setting, the fence
//             worker. The objects go back to their slabs
//
// An object in the barn is looked at when it goes back to its slab, as one in a sheaf: an object that was freed twice
// is found there at the latest.
//
// The memory of full sheaves is the core's own, from its general caches, which therefore have no barn. It is
// allocated and freed without a cache's lock.

internal import SlabPlatform
internal import Synchronization

/// Room for the addresses of up to 128 objects, which follow the fields.
struct FullSheaf: ~Copyable {
  /// The next one of the same list.
  var next: Pointer<FullSheaf>? = nil
  var count = 0

  static var mostObjects: Int { 128 }
  static var headBytes: Int { 16 }
  static var bytes: Int { headBytes + mostObjects * 8 }
}

/// Made when the cache's sheaf is large enough for the idle clock to look after it; room for full sheaves comes later.
/// All but the node changes under the cache's lock.
struct Barn: ~Copyable {
  /// In the list of the idle clock, and under its lock. First, so that a barn's address is that of its node.
  var node = ListNode()
  let cache: Pointer<Cache>
  /// The last one that was filled comes first.
  fileprivate(set) var full: Pointer<FullSheaf>? = nil
  fileprivate var empty: Pointer<FullSheaf>? = nil
  fileprivate(set) var fullCount: UInt32 = 0
  /// How many may be full.
  fileprivate(set) var most: UInt32 = 0
  /// The fewest that were full since the idle clock came: so many were not needed.
  fileprivate(set) var fewest: UInt32 = 0
  /// Bytes that the group's bound has granted for those that may be full.
  fileprivate var granted = 0

  static var bytes: Int { 64 }
  /// Bytes of objects that a cache may have in its barn.
  static var mostBytes: Int { 4 << 20 }
  /// Bytes of objects on a CPU from which on a sheaf is worth the idle clock's while.
  static var leastWatched: Int { 4096 }

  init(of cache: Pointer<Cache>) { self.cache = cache }

  /// The idle clock has come; how many were not needed since it came before.
  mutating func beginRound() -> Int {
    defer { fewest = fullCount }
    return Int(fewest)
  }

  fileprivate mutating func pushFull(_ sheaf: Pointer<FullSheaf>) {
    sheaf.pointee.next = full
    full = sheaf
    fullCount += 1
  }

  fileprivate mutating func popFull() -> Pointer<FullSheaf>? {
    guard let sheaf = full else { return nil }
    full = sheaf.pointee.next
    fullCount -= 1
    fewest = min(fewest, fullCount)
    return sheaf
  }

  fileprivate mutating func pushEmpty(_ sheaf: Pointer<FullSheaf>) {
    sheaf.pointee.count = 0
    sheaf.pointee.next = empty
    empty = sheaf
  }

  fileprivate mutating func popEmpty() -> Pointer<FullSheaf>? {
    guard let sheaf = empty else { return nil }
    empty = sheaf.pointee.next
    return sheaf
  }
}

extension Pointer where Pointee == FullSheaf {
  /// The first objects of the sheaf, as many as are asked for.
  func objects(_ count: Int) -> UnsafeMutableBufferPointer<UInt> {
    let start = address + UInt(FullSheaf.headBytes)
    // SAFETY: within the sheaf's memory; all callers stay below `mostObjects`.
    return unsafe UnsafeMutableBufferPointer(
      start: UnsafeMutablePointer(bitPattern: start), count: count)
  }
}

extension Pointer where Pointee == Cache {
  /// Before a free that found the sheaf full: half of it, and the freed object, become a full sheaf of the barn. False
  /// where the barn has no room for one; then nothing has happened. O(1): one sequence.
  @inline(__always)
  func putIntoBarn(_ object: UInt, under lock: borrowing CacheLocked) -> Bool {
    guard let barn = pointee.barn, barn.pointee.fullCount < barn.pointee.most else { return false }
    return put(object, into: barn, under: lock)
  }

  private func put(
    _ object: UInt, into barn: Pointer<Barn>, under lock: borrowing CacheLocked
  ) -> Bool {
    lock.check(pointee.lock)
    // Between offline and the fence what is freed goes to its slab at once.
    guard state == .active, pointee.owner?.pointee.isOnline ?? true
    else { return false }
    let most = objectsOfFullSheaf(ofCapacity: pointee.words.load(mode: mode).capacity)
    guard most > 1, let sheaf = barn.pointee.popEmpty() else { return false }
    let room = unsafe sheaf.objects(most - 1)
    let taken = unsafe pointee.allocator.region.pointee.popBatch(words, into: room)
    guard taken > 0 else {
      barn.pointee.pushEmpty(sheaf)
      return false
    }
    // SAFETY: taken < most <= mostObjects.
    unsafe sheaf.objects(taken + 1)[taken] = object
    sheaf.pointee.count = taken + 1
    barn.pointee.pushFull(sheaf)
    pointee.allocator.addToBarnSum((taken + 1) * Int(pointee.placeBytes), .bytes)
    return true
  }

  /// For an allocation that found the sheaf empty: an object of the barn, and the rest of a full sheaf in the running
  /// CPU's, as far as it has room. 0 if the barn is empty. O(1): one sequence.
  @inline(__always)
  func takeFromBarn(under lock: borrowing CacheLocked) -> UInt {
    guard let barn = pointee.barn, let sheaf = barn.pointee.full else { return 0 }
    return take(sheaf, from: barn, under: lock)
  }

  private func take(
    _ sheaf: Pointer<FullSheaf>, from barn: Pointer<Barn>, under lock: borrowing CacheLocked
  ) -> UInt {
    lock.check(pointee.lock)
    let rest = sheaf.pointee.count - 1
    let objects = unsafe sheaf.objects(rest + 1)
    let object = unsafe objects[rest]
    let put = unsafe pointee.allocator.region.pointee.pushBatch(
      words, UnsafeMutableBufferPointer(rebasing: objects[..<rest]))
    sheaf.pointee.count = rest - put
    // SAFETY: both indices are below the count.
    for index in 0..<rest - put { unsafe objects[index] = objects[put + index] }
    if put == rest, let sheaf = barn.pointee.popFull() { barn.pointee.pushEmpty(sheaf) }
    pointee.allocator.addToBarnSum(1, .hits)
    pointee.allocator.addToBarnSum(-(put + 1) * Int(pointee.placeBytes), .bytes)
    return object
  }

  /// Half of a sheaf; fewer than two objects are not worth it.
  private func objectsOfFullSheaf(ofCapacity capacity: Int) -> Int {
    min(FullSheaf.mostObjects, capacity / 2)
  }

  /// Objects in full sheaves of the barn. O(full sheaves).
  func objectsInBarn(under lock: borrowing CacheLocked) -> Int {
    var count = 0
    var next = pointee.barn.flatMap { $0.pointee.full }
    while let sheaf = next {
      count += sheaf.pointee.count
      next = sheaf.pointee.next
    }
    return count
  }
}

// MARK: - Growing and ending

/// What a slow operation leaves to be done about a barn.
enum BarnNeed { case nothing, barn, fullSheaf }

extension Pointer where Pointee == Cache {
  /// At the end of a slow operation. If there is something the caller calls `growBarn` when it holds no lock; until
  /// then the cache is pinned.
  ///
  /// - Parameter wasFull: whether objects went to slabs, since neither the sheaf nor the barn had room for them.
  @inline(__always)
  func barnNeed(wasFull: Bool, under lock: borrowing CacheLocked) -> BarnNeed {
    guard pointee.barn != nil else {
      let capacity = pointee.words.load(mode: mode).capacity
      guard capacity * Int(pointee.placeBytes) >= Barn.leastWatched else { return .nothing }
      return needsBarn(under: lock) ? .barn : .nothing
    }
    guard wasFull, pointee.hasTakenFromSlabs else { return .nothing }
    pointee.hasTakenFromSlabs = false
    return needsLargerBarn(under: lock) ? .fullSheaf : .nothing
  }

  private func needsBarn(under lock: borrowing CacheLocked) -> Bool {
    guard state == .active, !pointee.root.pointee.isInternal else { return false }
    pin(under: lock)
    return true
  }

  private func needsLargerBarn(under lock: borrowing CacheLocked) -> Bool {
    let capacity = pointee.words.load(mode: mode).capacity
    let objects = objectsOfFullSheaf(ofCapacity: capacity)
    guard state == .active, objects > 1 else { return false }
    let isLargest =
      capacity >= mostInSheaf(under: lock)
      || Int(pointee.sheafClass) + 1 == PerCPURegion.sheafClassCount
    let bytes = objects * Int(pointee.placeBytes)
    guard isLargest, let barn = pointee.barn, barn.pointee.granted + bytes <= Barn.mostBytes,
      grantBarn(bytes: bytes, under: lock)
    else { return false }
    barn.pointee.granted += bytes
    pin(under: lock)
    return true
  }

  /// Holding no lock, when `barnNeed` has said so. The cache may be gone when this returns. Without memory objects go to
  /// their slabs, as before.
  @inline(never)
  func growBarn(_ need: BarnNeed) {
    let allocator = pointee.allocator
    let bytes = need == .barn ? Barn.bytes : FullSheaf.bytes
    if let memory = try? allocator.allocateInternal(bytes: bytes) {
      pausePoint(.beforeGrowingBarn)
      let isUsed = need == .barn ? addBarn(in: memory) : addToBarn(memory)
      if !isUsed { allocator.freeInternal(memory) }
    } else if need == .fullSheaf {
      let lock = pointee.lock.lock()
      if let barn = pointee.barn { endUnusedGrant(of: barn, under: lock) }
    }
    unpin()
    if need == .barn { allocator.wakeForIdleClock() }
  }

  /// Whether the barn stands in that memory now. From here on the idle clock looks after the cache.
  private func addBarn(in memory: UInt) -> Bool {
    // SAFETY: the memory is ours, and large enough.
    let barn = unsafe Pointer<Barn>(nonzeroAddress: memory)
    let clock = pointee.allocator.idleClock.pointee.lock.lock()
    let lock = pointee.lock.lock()
    // A look for idle memory finds a cache by its sheaf.
    guard state == .active, pointee.barn == nil, !sheaf(under: lock).isClosed else { return false }
    unsafe barn.unsafePointer.initialize(to: Barn(of: self))
    pointee.barn = barn
    pointee.allocator.watch(barn, under: clock)
    return true
  }

  /// Whether there is a barn, to which an empty sheaf has been added.
  private func addToBarn(_ memory: UInt) -> Bool {
    // SAFETY: the memory is ours, and large enough.
    let sheaf = unsafe Pointer<FullSheaf>(nonzeroAddress: memory)
    unsafe sheaf.unsafePointer.initialize(to: FullSheaf())
    let lock = pointee.lock.lock()
    guard let barn = pointee.barn else { return false }
    guard state == .active, !self.sheaf(under: lock).isClosed else {
      endUnusedGrant(of: barn, under: lock)
      return false
    }
    barn.pointee.pushEmpty(sheaf)
    barn.pointee.most += 1
    return true
  }

  /// What was granted for a sheaf that has not come to the barn.
  private func endUnusedGrant(of barn: Pointer<Barn>, under lock: borrowing CacheLocked) {
    endGrant(of: barn, parts: Int(barn.pointee.most) + 1, under: lock)
  }

  /// Of so many equal parts of what the barn has been granted, one ends.
  private func endGrant(of barn: Pointer<Barn>, parts: Int, under lock: borrowing CacheLocked) {
    let bytes = barn.pointee.granted / parts
    barn.pointee.granted -= bytes
    endBarnGrant(bytes: bytes, under: lock)
  }

  /// Holding no lock, of a cache that cannot end meanwhile: everything goes back to the slabs, and the barn ends
  /// with the sheaf. O(objects in it), the lock for one full sheaf at a time.
  func endBarn() {
    while !endEmptyBarn() { takeFromBarn(fullSheaves: 1) }
  }

  /// Holding no lock, of a cache that cannot end meanwhile: so many full sheaves less, now and from now on; where fewer
  /// are full, empty ones. O(objects in them), the lock for one of them at a time.
  func takeFromBarn(fullSheaves count: Int) {
    let allocator = pointee.allocator
    for _ in 0..<count {
      var chain = SlabChain()
      let lock = pointee.lock.lock()
      guard let barn = pointee.barn,
        let sheaf = barn.pointee.popFull() ?? barn.pointee.popEmpty()
      else { return }
      endGrant(of: barn, parts: Int(barn.pointee.most), under: lock)
      barn.pointee.most -= 1
      let bytes = sheaf.pointee.count * Int(pointee.placeBytes)
      allocator.addToBarnSum(-bytes, .bytes)
      allocator.addToBarnSum(bytes, .bytesGivenBack)
      let before = pointee.objectsInUse
      unsafe putObjects(sheaf.objects(sheaf.pointee.count), emptied: &chain, under: lock)
      countObjects(since: before, under: lock)
      lock.unlock()
      release(chain)
      allocator.freeInternal(sheaf.address)
    }
  }

  /// Whether nothing is left to do: not while sheaves are in the barn. If another thread has opened a sheaf of an active
  /// cache meanwhile, the empty barn stays, for the idle clock to watch that.
  private func endEmptyBarn() -> Bool {
    let allocator = pointee.allocator
    let clock = allocator.idleClock.pointee.lock.lock()
    let lock = pointee.lock.lock()
    guard let barn = pointee.barn else { return true }
    guard barn.pointee.most == 0 else { return false }
    let isInUse = !sheaf(under: lock).isClosed || !pointee.retiredSheaf.isClosed
    guard state != .active || !isInUse else { return true }
    allocator.unwatch(barn, under: clock)
    // Granted for a sheaf that has not come yet: it finds no barn.
    endBarnGrant(bytes: barn.pointee.granted, under: lock)
    pointee.barn = nil
    pointee.hasTakenFromSlabs = false
    lock.unlock()
    clock.unlock()
    allocator.freeInternal(barn.address)
    return true
  }
}

// MARK: - What all barns of an allocator have in common

/// Sums over all barns, kept in a block of the per-CPU region.
enum BarnSum: Int {
  /// Full sheaves that allocations took.
  case hits
  /// Allocations that found the sheaf and the barn empty.
  case misses
  /// Bytes of objects in barns, and of those that went back to their slabs from there.
  case bytes, bytesGivenBack
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// A restartable sequence; no atomic operation.
  func addToBarnSum(_ delta: Int, _ sum: BarnSum) {
    region.pointee.add(delta, toCounter: sum.rawValue, of: cachesState.pointee.barnSums)
  }

  /// Exact while no thread changes it. O(CPUs).
  func barnSum(_ sum: BarnSum) -> Int {
    region.pointee.sum(ofCounter: sum.rawValue, of: cachesState.pointee.barnSums)
  }
}
