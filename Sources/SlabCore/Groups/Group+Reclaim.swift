// Making room in a group and below it, in the order of what it costs others least:
//
//   1  endings that wait for the workers: their slabs go back anyway
//   2  the shrinkers of the group that is short, with rising pressure, and after each round the empty
//      slabs and sheaves of its caches
//   3  the same for the other groups below the one whose limit it is: first those above their `low`,
//      then, with an event, those that are protected by it
//
// And before a charge is refused for good, it waits for what is on its way back already: ends of groups
// that the workers have in hand, and objects that are freed after a grace period. With a bound: the
// thread may be in a section that the grace period waits for.
//
// Everything here runs on the thread that allocates, holding no lock; it may have a slab in hand. What
// its shrinkers allocate reclaims nothing.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// The least pressure on shrinkers (DEF_PRIORITY).
  private static var leastPressure: Int { 12 }

  /// Tries to make `current` of a group fall by so many bytes. O(depth + groups below with shrinkers or idle
  /// memory, and their caches); calls shrinkers; takes the registry lock many times; may wait for fences. Not
  /// recursive.
  ///
  /// - Parameter first: the group to begin with, at or below the other one.
  /// - Returns: by how much `current` fell, or 0 if it did not.
  @discardableResult
  package func reclaim(
    bytes: Int, of group: Pointer<Group>, from first: Pointer<Group>? = nil
  ) -> Int {
    guard bytes > 0, !Threads.isReclaiming else { return 0 }
    Threads.isReclaiming = true
    defer { Threads.isReclaiming = false }
    let goal = Goal(group: group, bytes: bytes)
    state.helpWorkers(below: group)
    let first = first ?? group
    reclaimOwn(of: first, until: goal)
    var isSparing = false
    if !goal.isReached {
      reclaimBelow(group, except: first, protected: false, sparing: &isSparing, until: goal)
    }
    if isSparing, !goal.isReached {
      reclaimBelow(group, except: first, protected: true, sparing: &isSparing, until: goal)
    }
    return goal.reclaimed
  }

  /// How far a reclaim has come.
  private struct Goal {
    let group: Pointer<Group>
    let before: Int
    let bytes: Int

    init(group: Pointer<Group>, bytes: Int) {
      self.group = group
      self.bytes = bytes
      before = group.pointee.current.load(ordering: .relaxed)
    }

    var reclaimed: Int { max(0, before - group.pointee.current.load(ordering: .relaxed)) }
    var isReached: Bool { reclaimed >= bytes }
  }

  /// The group's own shrinkers and caches.
  private func reclaimOwn(of group: Pointer<Group>, until goal: Goal) {
    var priority = Self.leastPressure
    while !goal.isReached {
      let freeable = group.askShrinkers(priority: priority)
      group.giveBackIdle()
      if freeable == 0 || priority == 0 { return }
      priority -= 1
    }
  }

  /// Groups below that are, or are not, protected by their `low`, and the group itself. What `low` of the
  /// group whose limit it is says is for others' limits. `isSparing` is set where one was passed over that
  /// is protected.
  private func reclaimBelow(
    _ group: Pointer<Group>, except first: Pointer<Group>, protected: Bool,
    sparing isSparing: inout Bool, until goal: Goal
  ) {
    let current = group.pointee.current.load(ordering: .relaxed)
    // Then there is nothing below it either.
    guard current > 0 else { return }
    let isProtected =
      group != goal.group && current <= group.pointee.low.load(ordering: .relaxed)
    if group != first, isProtected == protected {
      if protected { group.note(.low) }
      reclaimOwn(of: group, until: goal)
    } else if isProtected {
      isSparing = true
    }
    var isSparingBelow = false
    group.forEachReclaimableChild { child in
      guard !goal.isReached else { return }
      reclaimBelow(
        child, except: first, protected: protected, sparing: &isSparingBelow, until: goal)
    }
    if isSparingBelow { isSparing = true }
  }
}

extension Pointer where Pointee == Group {
  /// How often a refused charge reclaims and tries again (MAX_RECLAIM_RETRIES).
  private static var mostRounds: Int { 16 }

  /// After a charge for the smallest slab was refused: reclaims below the group that refused it, and
  /// tries again as long as that helps.
  func allocateRunAfterReclaim(
    order: Int, refusedBy first: Pointer<Group>
  ) throws(AllocatorError) -> Run {
    guard !Threads.isDispensable else { throw .groupLimit(first) }
    let allocator = Allocator(state: pointee.allocator)
    var refusing = first
    refusing.note(.max)
    var rounds = 0
    var patience = Patience()
    rounds: while rounds < Self.mostRounds {
      // Before the try: what is over by then has been tried for.
      let underWay = patience.look(below: refusing)
      let bytes = UnitMap.unitBytes << max(order, UnitMap.pageOrder)
      let reclaimed = allocator.reclaim(bytes: bytes, of: refusing, from: self)
      do throws(AllocatorError) {
        return try allocateRun(order: order)
      } catch {
        guard case .groupLimit(let group) = error else { throw error }
        if reclaimed > 0 || group != refusing {
          rounds += 1
          refusing = group
        } else if !patience.wait(for: underWay, below: refusing) {
          // Without progress somebody else may still have made room a moment ago: that was the try.
          break rounds
        }
      }
    }
    refusing.note(.oom)
    throw .groupLimit(refusing)
  }

  /// After a charge: reclaims in each group here and above that is over its `high`, unless that has just
  /// been tried without success. Never refuses.
  func reclaimAboveHigh() {
    var next: Pointer<Group>? = self
    while let group = next {
      next = group.pointee.parent
      let current = group.pointee.current.load(ordering: .relaxed)
      let excess = current - group.pointee.high.load(ordering: .relaxed)
      guard excess > 0, !Threads.isReclaiming, !group.isFruitless(at: current) else { continue }
      group.note(.high)
      let allocator = Allocator(state: group.pointee.allocator)
      let reclaimed = allocator.reclaim(bytes: excess, of: group, from: self)
      // Relaxed, as all of it: a hint that saves work.
      group.pointee.fruitlessAt.store(reclaimed > 0 ? 0 : current, ordering: .relaxed)
    }
  }

  /// Bytes by which `current` must change before a reclaim for `high` that had no success is tried again
  /// (MEMCG_CHARGE_BATCH).
  private static var chargeBatch: Int { 64 * PageAllocator.pageBytes }

  /// Whether a reclaim for `high` had no success a moment ago.
  private func isFruitless(at current: Int) -> Bool {
    let last = pointee.fruitlessAt.load(ordering: .relaxed)
    return last > 0 && abs(current - last) < Self.chargeBatch
  }

  /// Somebody has something to give, or another limit: the next charge tries, here and above. O(depth).
  func forgetFruitlessReclaims() {
    var next: Pointer<Group>? = self
    while let group = next {
      group.pointee.fruitlessAt.store(0, ordering: .relaxed)
      next = group.pointee.parent
    }
  }
}

extension Allocator {
  /// Sets the most bytes that may be charged to a group and below it. For a value below `current` it
  /// reclaims first; what is left above it stays, and further charges are refused.
  package func setMax(_ bytes: Int, of group: Pointer<Group>) throws(AllocatorError) {
    try checkLimit(bytes, of: group)
    // Sequentially consistent, with the look behind it: see `charge`.
    group.pointee.max.store(bytes, ordering: .sequentiallyConsistent)
    for _ in 0..<16 {
      let excess = group.pointee.current.load(ordering: .sequentiallyConsistent) - bytes
      if excess <= 0 || reclaim(bytes: excess, of: group) == 0 { return }
    }
  }

  /// Sets above how many bytes a group reclaims with its charges. Setting it reclaims nothing.
  package func setHigh(_ bytes: Int, of group: Pointer<Group>) throws(AllocatorError) {
    try checkLimit(bytes, of: group)
    group.pointee.high.store(bytes, ordering: .relaxed)
    group.pointee.fruitlessAt.store(0, ordering: .relaxed)
  }

  /// Sets up to how many bytes a group is spared while others have something to give.
  package func setLow(_ bytes: Int, of group: Pointer<Group>) throws(AllocatorError) {
    try checkLimit(bytes, of: group)
    group.pointee.low.store(bytes, ordering: .relaxed)
  }

  private func checkLimit(_ bytes: Int, of group: Pointer<Group>) throws(AllocatorError) {
    guard group.pointee.parent != nil else { throw .rootGroup }
    guard bytes >= 0 else { throw .invalidLimit }
  }
}
