// SPDX-License-Identifier: Apache-2.0
// Taking sheaves back from caches that are cold. Blocks for sheaves are few: the CPU layer has 56 MiB of
// addresses for them on each CPU, so 13,693 of the largest, and a sheaf stays when its tenant falls asleep.
//
// When a cache finds no block, a worker moves a hand around the list of all caches (a clock, second chance).
// At a cache with a sheaf the hand closes it, and leaves it where it is (`restSheaf`):
//
//   the next operation of the cache misses, and its slow path opens the same sheaf again: hot
//   the hand comes again before: cold; the sheaf is flushed, and its block is free
//
// Large objects of a cache without a sheaf may have an empty slab that is reserved (LargeRuns.swift): it is cold if
// the cache has done nothing since the hand came before.
//
// So the fast path has nothing to do for it. A cache that is hot pays one slow operation for each time that
// the hand goes round, which it does only as far as caches are refused. What is taken back ends as any other
// sheaf (Cache+Retire.swift): 16 with one fence, and the registry lock held over none of it.
//
// Why the addresses are not more instead: there is a stride of them for each CPU that the machine can have, and
// with 64 MiB that is 16 GiB for 256 CPUs, all of it counted by `ulimit -v`. What is taken back from the cold
// serves any number of tenants, of which 13,693 and more can be hot at a time.

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
  /// A cache has found no block since the last look.
  let isWanted = Atomic<Bool>(false)

  /// Caches that the hand passes in a look of a worker's, 16 while the registry lock is held once.
  static var cachesPerLook: Int { 512 }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// A block of a class, or of the next larger one that has one; `nil` where there is none. Then those that
  /// are cold will be taken back: a cache that asks again, after as many slow operations, finds one. `wakeForSheaves`
  /// follows when the lock is free.
  func takeSheafBlock(
    ofClass wanted: Int, under lock: borrowing CacheLocked
  ) -> SheafBlock? {
    for index in wanted..<PerCPURegion.sheafClassCount {
      if let first = region.allocateSheaf(ofClass: index) {
        return SheafBlock(first: first, index: index)
      }
    }
    takeBackCold(under: lock)
    return nil
  }

  /// Counts a refusal, and has what is cold taken back by the next look.
  func takeBackCold(under lock: borrowing CacheLocked) {
    counters.pointee.sheafRefusals += 1
    // Sequentially consistent, as the worker's announcement that it falls asleep.
    coldSheaves.pointee.isWanted.store(true, ordering: .sequentiallyConsistent)
  }

  /// Holding no lock.
  func wakeForSheaves() {
    if coldSheaves.pointee.isWanted.load(ordering: .relaxed) { wakeWorkers() }
  }

  /// Whether there is a place for one of a class or a larger one, at this moment. As `takeSheafBlock`.
  func hasSheafBlock(ofClass wanted: Int, under lock: borrowing CacheLocked) -> Bool {
    guard let block = takeSheafBlock(ofClass: wanted, under: lock) else { return false }
    region.freeSheaf(block.first, ofClass: block.index)
    return true
  }

  /// A worker's look. True if a cache had found no block. O(512 caches).
  func takeBackColdSheaves() -> Bool {
    guard coldSheaves.pointee.isWanted.exchange(false, ordering: .sequentiallyConsistent) else {
      return false
    }
    let hand = Pointer<ListNode>(of: &coldSheaves.pointee.hand)
    let all = allCachesList
    var passed = 0
    var registry = lockRegistry()
    if !hand.isLinked { all.insertAfter(hand, isCursor: true) }
    while passed < ColdSheaves.cachesPerLook, hand.isLinked {
      var batch = SheafBatch()
      for _ in 0..<SheafBatch.most {
        guard let node = hand.advance(in: all) else {
          // At the end; from the start with the next look.
          hand.unlink()
          break
        }
        passed += 1
        pass(Pointer<Cache>(allNode: node), into: &batch, under: registry)
      }
      let count = batch.count
      registry.letGo {
        if count > 0, batch.finish(of: cachesState, as: .shrunk) {
          counters.pointee.sheavesTakenBack += count
        }
      }
    }
    return true
  }

  /// The hand comes to a cache.
  private func pass(
    _ cache: Pointer<Cache>, into batch: inout SheafBatch, under registry: borrowing RegistryLocked
  ) {
    let lock = cache.pointee.lock.lock()
    guard cache.state == .active else { return }
    if cache.pointee.isResting { return batch.add(cache, under: lock) }
    guard cache.sheaf(under: lock).isClosed, cache.pointee.reservedRuns > 0 else {
      return cache.restSheaf(under: lock)
    }
    // An empty slab without a sheaf: each operation of the cache is a slow one.
    if cache.pointee.slowOperations == 0 { return batch.add(cache, under: lock) }
    cache.pointee.slowOperations = 0
  }
}
