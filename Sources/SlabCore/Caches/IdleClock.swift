// SPDX-License-Identifier: Apache-2.0
// What idles is given back by itself. A cache whose sheaf holds a page of objects or more on a CPU has a barn
// (Barn.swift), and the barns stand in a list. A hand goes round this list every now and then, as that of
// ColdSheaves.swift does round all caches (second chance). At a cache with an open sheaf it does two things:
//
//   of the barn   it gives back the full sheaves that were not needed since the hand came before
//   of the sheaf  it closes it, and leaves it where it is (`restSheaf`). The next operation of the cache opens it
//                 again; if there was none when the hand comes next, the cache is cold: sheaf, barn and empty slabs go
//
// At the end of the round the free pages that it did not need go back to the system (PageAllocator+Rounds.swift).
//
// So memory follows a load down within a few rounds, and the fast path does nothing for it: a cache in use pays one slow
// operation for a round. A cold cache leaves the list with its barn, and where the list is empty the hand stands
// still, once the pages are given back: an idle process has no timer.
//
// The hand is moved by a worker, which sleeps with a time-out while the list is not empty; where `malloc` is served, by a
// thread in a slow operation, once a round is due. The lock of the list is held for 16 caches at a time, and for none
// of the work on them. No tenant waits for it but to add a barn or to end one.

internal import SlabPlatform
internal import Synchronization

/// The idle clock's lock.
enum IdleClockLock: LockClassOfFork { static var rank: LockRank { .idleClock } }
typealias IdleClockLocked = Held<IdleClockLock>

struct IdleClock: ~Copyable {
  let lock = RankedLock<IdleClockLock>()
  // Under `lock`:
  /// Sentinel of the barns, by their nodes.
  fileprivate var watched = ListNode()
  /// Where the hand is, while a round goes on.
  fileprivate var hand = ListNode()

  /// Barns in the list.
  let count = Atomic<Int>(0)
  /// When the next round begins, by the monotonic clock. Relaxed throughout: an old value makes a look too early or too late.
  fileprivate let due = Atomic<UInt64>(0)

  /// Caches that the hand passes in a look of a worker's.
  static var cachesPerLook: Int { 128 }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  var idleClock: Pointer<IdleClock> { Pointer<IdleClock>(of: &cachesState.pointee.idleClock) }

  private var watchedList: Pointer<ListNode> {
    Pointer<ListNode>(of: &idleClock.pointee.watched)
  }

  func makeIdleClock() { watchedList.makeEmptyList() }

  func watch(_ barn: Pointer<Barn>, under clock: borrowing IdleClockLocked) {
    watchedList.insertBefore(barn.node)
    // Sequentially consistent, as a worker's announcement that it falls asleep: see `sleepUntilWoken`.
    idleClock.pointee.count.add(1, ordering: .sequentiallyConsistent)
  }

  func unwatch(_ barn: Pointer<Barn>, under clock: borrowing IdleClockLocked) {
    barn.node.unlink()
    idleClock.pointee.count.subtract(1, ordering: .relaxed)
  }

  /// Nanoseconds from one round to the next; 0 where nothing is given back by itself.
  private var roundNanoseconds: UInt64 {
    UInt64(base.pointee.configuration.idleRoundMilliseconds) * 1_000_000
  }

  /// Holding no lock, when a cache has come into the list.
  func wakeForIdleClock() {
    if roundNanoseconds > 0 { wakeWorkers() }
  }

  /// How long a worker may sleep; 0 for as long as it likes.
  var nanosecondsUntilIdleRound: UInt64 {
    let isNeeded =
      idleClock.pointee.count.load(ordering: .sequentiallyConsistent) > 0
      || pages.pointee.rounds.isWanted.load(ordering: .sequentiallyConsistent)
    return isNeeded ? roundNanoseconds : 0
  }

  /// Whether a round goes on or is due. Two loads while nothing is watched; else reads a clock.
  var isIdleRoundDue: Bool {
    guard roundNanoseconds > 0,
      idleClock.pointee.count.load(ordering: .relaxed) > 0
        || pages.pointee.rounds.isWanted.load(ordering: .relaxed)
    else { return false }
    return SystemCall.coarseNanoseconds >= idleClock.pointee.due.load(ordering: .relaxed)
  }

  /// A worker's look: moves the hand if a round goes on or is due. True if the round goes on afterwards. O(128 caches).
  func giveBackCold() -> Bool {
    guard isIdleRoundDue else { return false }
    return moveIdleHand()
  }

  /// Moves the hand past 128 caches, or to the end of its round. True if the round goes on.
  func moveIdleHand() -> Bool {
    let hand = Pointer<ListNode>(of: &idleClock.pointee.hand)
    var passed = 0
    var clock = idleClock.pointee.lock.lock()
    if !hand.isLinked { watchedList.insertAfter(hand, isCursor: true) }
    var isOver = false
    while !isOver, passed < IdleClock.cachesPerLook, hand.isLinked {
      var batch = IdleBatch()
      for _ in 0..<SheafBatch.most {
        guard let node = hand.advance(in: watchedList) else {
          isOver = true
          break
        }
        passed += 1
        batch.add(Pointer<Barn>(node: node).pointee.cache, under: clock)
      }
      // The thread that finds the end takes the hand away, before another one finds it there.
      if isOver {
        hand.unlink()
        idleClock.pointee.due.store(
          SystemCall.coarseNanoseconds + roundNanoseconds, ordering: .relaxed)
      }
      clock.letGo {
        batch.finish(of: cachesState)
        if isOver { pages.endRound() }
      }
    }
    return !isOver
  }
}

/// What of 16 caches that the hand has met has something to give.
private struct IdleBatch {
  /// Those that are cold.
  var cold = SheafBatch()
  /// Those in use, and how many full sheaves each has too many. They are pinned.
  var used = InlineArray<16, Pointer<Cache>?>(repeating: nil)
  var surplus = InlineArray<16, UInt32>(repeating: 0)
  var usedCount = 0

  mutating func add(_ cache: Pointer<Cache>, under clock: borrowing IdleClockLocked) {
    let lock = cache.pointee.lock.lock()
    // One that is ending gives everything back by itself.
    guard cache.state == .active, cache.pointee.owner?.pointee.isOnline ?? true else { return }
    // Another thread has put its sheaf aside: the cache grows, or it is being shrunk. It is looked at in the next round.
    guard cache.pointee.isResting || cache.pointee.retiredSheaf.isClosed else { return }
    guard !cache.pointee.isResting, !cache.sheaf(under: lock).isClosed else {
      return cold.add(cache, under: lock)
    }
    cache.restSheaf(under: lock)
    guard let barn = cache.pointee.barn else { return }
    let count = barn.pointee.beginRound()
    guard count > 0 else { return }
    cache.pin(under: lock)
    used[usedCount] = cache
    surplus[usedCount] = UInt32(count)
    usedCount += 1
  }

  /// Holding no lock: gives it back. The caches may be gone afterwards.
  mutating func finish(of allocator: Pointer<CachesState>) {
    if cold.count > 0 {
      let count = cold.count
      if cold.finish(of: allocator, as: .cold) {
        allocator.counters.pointee.coldCaches += count
      }
    }
    allocator.beginIdleReturn()
    defer { allocator.endIdleReturn() }
    for index in 0..<usedCount {
      let cache = used[index]!
      cache.takeFromBarn(fullSheaves: Int(surplus[index]))
      cache.unpin()
    }
  }
}

extension Pointer where Pointee == Barn {
  // SAFETY: the one is the first field of the other.
  fileprivate var node: Pointer<ListNode> { unsafe Pointer<ListNode>(nonzeroAddress: address) }

  fileprivate init(node: Pointer<ListNode>) {
    // SAFETY: as above; the list has nodes of barns, and cursors, which no walk visits.
    unsafe self.init(nonzeroAddress: node.address)
  }
}
