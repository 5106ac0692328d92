// SPDX-License-Identifier: Apache-2.0
// Slabs that are made ahead of need: of a cache that grows several at a time, so that one charge of each group above, one visit
// to the page lock and one turn of the cache's lock serve all of them (the kernel's charge stock and its lists of pages for
// each CPU). And of one that shrinks several go back at a time.
//
// What is ahead stands in no place of its own: it is the empty slabs of the cache's partial list. So it is charged, it is in
// `slabinfo` and in the statistics, and it ends where an empty slab does: in a reclaim before any charge is refused, with a cache
// that is cold (IdleClock.swift), with the group or the root, by `shrink` where it is the root's own or shared by groups.
//
//   which caches   those that have a barn: they turn over a page of objects on a CPU or more, and the idle clock looks after
//                  them. Not those of large objects, and of a constructor, which would run ahead of need as well
//   how much       eight slabs, 256 KiB, an eighth of what the cache has, a part of the least limit here and above: whatever
//                  is less. Where all of them together do not fit below each `max` and `high`, one is made, as ever
//
// A stock for each CPU would be one more place to look into, before a refusal and at the end of a group: the objects
// that a CPU has at hand are in its sheaf.
//
// Between its charge and the list a thread has slabs ahead in hand. Another one that is refused meanwhile waits for it, and
// finds them: a refusal that they could have avoided is none. The threads are counted by the topmost group above the one
// that is charged: no tenant waits for another one's, but for one of those that share its counter.

internal import SlabPlatform
internal import Synchronization

enum SlabsAhead {
  /// Bytes of slabs that are made at a time (MEMCG_CHARGE_BATCH pages).
  static var mostBytes: Int { 64 * PageAllocator.pageBytes }
  /// The part of what the cache has.
  static var partOfCache: Int { 8 }
  /// The part of the least limit.
  static var partOfLimit: Int { 64 }
}

/// Threads between a charge for slabs ahead and the list that they come onto.
struct ThreadsAhead: ~Copyable {
  fileprivate let counts = InlineArray<64, Atomic<Int>> { _ in Atomic(0) }
}

/// By what one of these threads is counted.
struct AheadInHand {
  fileprivate let index: Int

  static var none: AheadInHand { AheadInHand(index: -1) }
  var isNone: Bool { index < 0 }

  private init(index: Int) { self.index = index }

  /// Of those charged to groups below the topmost group with this number.
  init(number: UInt32) { self.init(index: Int(number % 64)) }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  private var threadsAhead: Pointer<ThreadsAhead> {
    Pointer<ThreadsAhead>(of: &cachesState.pointee.threadsAhead)
  }

  /// Before the charge. Sequentially consistent, as the charge: of a thread that is refused by it and looks here, and the one that
  /// has charged, the first sees the second.
  func beginAhead(_ ahead: AheadInHand) {
    threadsAhead.pointee.counts[ahead.index].add(1, ordering: .sequentiallyConsistent)
  }

  /// When the slabs are on their list, and a reclaim would find them. Releasing: pairs with the load in `hasAhead`.
  func endAhead(_ ahead: AheadInHand) {
    guard !ahead.isNone else { return }
    threadsAhead.pointee.counts[ahead.index].subtract(1, ordering: .releasing)
  }

  func hasAhead(_ ahead: AheadInHand) -> Bool {
    threadsAhead.pointee.counts[ahead.index].load(ordering: .sequentiallyConsistent) > 0
  }

  /// In a child of fork: the other threads are the parent's.
  func forgetThreadsAhead() {
    for index in 0..<64 { threadsAhead.pointee.counts[index].store(0, ordering: .relaxed) }
  }
}

extension Pointer where Pointee == Cache {
  /// How many slabs the cache makes at a time now, or gives back. O(depth), of a cache that has grown.
  func slabsAtATime(under lock: borrowing CacheLocked) -> Int {
    lock.check(pointee.lock)
    let root = pointee.root
    guard pointee.barn != nil, !hasLargeObjects, unsafe root.pointee.constructor == nil else {
      return 1
    }
    let units = 1 << root.pointee.geometry.fullOrder
    let bytes = units * UnitMap.unitBytes
    let most = min(
      RunBatch.most, SlabsAhead.mostBytes / bytes,
      Int(pointee.units) / units / SlabsAhead.partOfCache)
    guard most > 1 else { return 1 }
    return max(1, min(most, leastLimit(under: lock) / SlabsAhead.partOfLimit / bytes))
  }
}

/// Slabs that have been made and are on no list yet.
struct MadeSlabs {
  /// The last one that was made comes first.
  var chain = SlabChain()
  private(set) var count = 0
  var ahead = AheadInHand.none

  mutating func append(_ slab: Pointer<Slab>) {
    chain.push(slab)
    count += 1
  }
}

extension Pointer where Pointee == Cache {
  /// Makes so many slabs of the cache, or fewer; one at least. `units` is the memory that it had under its lock.
  func makeSlabs(_ count: Int, afterUnits units: Int) throws(AllocatorError) -> MadeSlabs {
    var made = MadeSlabs()
    var runs = RunBatch()
    made.ahead = try allocateRuns(count, afterUnits: units, into: &runs)
    for index in 0..<runs.count {
      do throws(AllocatorError) { made.append(try makeSlab(of: runs[index])) } catch {
        for rest in index + 1..<runs.count { freeRun(runs[rest]) }
        guard made.count == 0 else { return made }
        pointee.allocator.endAhead(made.ahead)
        throw error
      }
    }
    return made
  }

  /// Runs for the next slabs, charged to the cache's group.
  private func allocateRuns(
    _ count: Int, afterUnits units: Int, into runs: inout RunBatch
  ) throws(AllocatorError) -> AheadInHand {
    let geometry = pointee.root.pointee.geometry
    let pages = pointee.allocator.pages
    // A child's slabs are made by holders of a handle, during which its group does not change.
    guard isRoot else {
      var request = RunRequest(
        cache: self, shape: RunShape(order: geometry.nextOrder(afterUnits: units)),
        smallest: RunShape(order: geometry.firstOrder), count: count)
      try answer(&request)
      runs = request.runs
      return request.ahead
    }
    if count > 1 {
      pages.allocate(count, order: geometry.fullOrder, for: tenant, into: &runs)
    } else if let run = pages.allocate(order: geometry.fullOrder, for: tenant) {
      runs.append(run)
    }
    guard runs.count == 0 else { return .none }
    let smallest = max(UnitMap.pageOrder, geometry.firstOrder)
    guard count > 1 || smallest < geometry.fullOrder,
      let run = pages.allocate(order: smallest, for: tenant)
    else { throw .outOfMemory }
    runs.append(run)
    return .none
  }
}
