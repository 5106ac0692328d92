// Taking sheaves back from caches that are cold. Blocks for sheaves are few: the CPU layer has 56 MiB of
// addresses for them on each CPU, so 13,694 of the largest, and a sheaf stays when its tenant falls asleep.
//
// When a cache finds no block, a worker moves a hand around the list of all caches (a clock, second chance).
// At a cache with a sheaf the hand closes it, and keeps it where it is, as `retiredSheaf`:
//
//   the next operation of the cache misses, and its slow path opens the same sheaf again: hot
//   the hand comes again before: cold; the sheaf is drained, and its block is free
//
// So the fast path has nothing to do for it. A cache that is hot pays one slow operation for each time that
// the hand goes round, which it does only as far as caches are refused. Each look of the worker begins with
// one fence, which is behind all sheaves that earlier looks have closed, and meets a cache once at most: what
// it finds closed has been fenced.
//
// Why the addresses are not more instead: there is a stride of them for each CPU that the machine can have, and
// with 64 MiB that is 16 GiB for 256 CPUs, all of it counted by `ulimit -v`. What is taken back from the cold
// serves any number of tenants, of whom 13,694 and more can be hot at a time.

internal import SlabPlatform
internal import Synchronization

/// Where a sheaf may stand.
struct SheafBlock {
  let first: UInt
  /// Its class, which may be a larger one than was asked for.
  let index: Int
}

/// The clock.
struct ColdSheaves: ~Copyable {
  /// Where the hand is in the list of all caches, once it has moved. Under the registry lock.
  fileprivate var hand = ListNode()
  /// Somebody has found no block since the last look.
  let isWanted = Atomic<Bool>(false)
  /// How often that was, and how many sheaves were taken back.
  let refusals = Atomic<Int>(0)
  let takenBack = Atomic<Int>(0)

  /// Caches that the hand passes in a look of a worker's, and while the registry lock is held once.
  static var cachesPerLook: Int { 512 }
  static var cachesPerPiece: Int { 16 }
}

extension Pointer where Pointee == AllocatorState {
  /// A block of a class, or of the next larger one that has one; `nil` where there is none. Then those that
  /// are cold will be taken back: whoever asks again, after as many slow operations, finds one. Under a cache's
  /// lock, after which `kickForSheaves` follows.
  func takeSheafBlock(ofClass wanted: Int) -> SheafBlock? {
    for index in wanted..<PerCPURegion.sheafClassCount {
      if let first = region.allocateSheaf(ofClass: index) {
        return SheafBlock(first: first, index: index)
      }
    }
    pointee.coldSheaves.refusals.add(1, ordering: .relaxed)
    // Sequentially consistent, as the worker's announcement that it falls asleep.
    pointee.coldSheaves.isWanted.store(true, ordering: .sequentiallyConsistent)
    return nil
  }

  /// Holding no lock.
  func kickForSheaves() {
    if pointee.coldSheaves.isWanted.load(ordering: .relaxed) { kickWorkers() }
  }

  /// A worker's look. True if somebody had found no block.
  func takeBackColdSheaves() -> Bool {
    guard pointee.coldSheaves.isWanted.load(ordering: .relaxed),
      pointee.lifecycle.batchLock.tryLock()
    else { return false }
    defer { pointee.lifecycle.batchLock.unlock() }
    pointee.coldSheaves.isWanted.store(false, ordering: .sequentiallyConsistent)
    moveHand()
    return true
  }

  /// One worker at a time. O(512 caches).
  private func moveHand() {
    do { try pointee.region.fence() } catch {
      // What is closed stays closed, until its cache uses it or the next look comes.
      return
    }
    pointee.sheafFences.add(1, ordering: .relaxed)
    let hand = Pointer<ListNode>(of: &pointee.coldSheaves.hand)
    let all = allCachesList
    pointee.registry.lock.lock()
    if !hand.isLinked { all.insertAfter(hand, isCursor: true) }
    var passed = 0
    while passed < ColdSheaves.cachesPerLook, let node = hand.advance(in: all) {
      takeBackUnlocking(Pointer<Cache>(allNode: node))
      passed += 1
      if passed % ColdSheaves.cachesPerPiece == 0 {
        pointee.registry.lock.unlock()
        pointee.registry.lock.lock()
      }
    }
    // At the end; from the start with the next look, whose fence is behind what this one has closed.
    if hand.successor(in: all) == nil { hand.unlink() }
    pointee.registry.lock.unlock()
  }

  /// Under the registry lock, which it gives up where there is something to drain: an active cache stays
  /// while its lock is held, since it is deactivated under that.
  private func takeBackUnlocking(_ cache: Pointer<Cache>) {
    cache.pointee.lock.lock()
    guard cache.state == .active else { return cache.pointee.lock.unlock() }
    let word = cache.pointee.retiredSheaf
    guard !word.isClosed else {
      cache.pointee.retiredSheaf = cache.words.pointee.exchange(
        .closed, mode: pointee.region.mode)
      return cache.pointee.lock.unlock()
    }
    pointee.registry.lock.unlock()
    var chain = SlabChain()
    let before = cache.pointee.objectsInUse
    cache.pointee.retiredSheaf = .closed
    cache.drain(word, emptied: &chain)
    cache.countObjects(since: before)
    cache.pointee.lock.unlock()
    cache.release(chain)
    pointee.coldSheaves.takenBack.add(1, ordering: .relaxed)
    pointee.registry.lock.lock()
  }
}
