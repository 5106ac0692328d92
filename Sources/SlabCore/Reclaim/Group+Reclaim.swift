// SPDX-License-Identifier: Apache-2.0
// Making room in a group and below it, in the order of what it costs others least:
//
//   1  what CPUs have in stock, and endings that wait for the workers: their slabs go back anyway
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

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// The least pressure on shrinkers (DEF_PRIORITY).
  private static var leastPressure: Int { 12 }

  /// Tries to make `current` of a group fall by so many bytes. O(depth + groups below with shrinkers or idle
  /// memory, and their caches); calls shrinkers; takes the registry lock many times; may wait for fences. Not
  /// recursive. A caller may not try again as a refused charge does, so idle memory that other threads have in hand is
  /// waited for, with a bound; not in a shrinker's call or a callback, for which others wait.
  ///
  /// - Returns: by how much `current` fell, or 0 if it did not.
  @discardableResult
  package func reclaim(bytes: Int, of group: Pointer<Group>) -> Int {
    var goal = Goal(group: group, bytes: bytes)
    reclaim(from: group, until: &goal)
    if !goal.isReached, !Threads.isReclaiming, !isInCallback { _ = waitForIdleReturns() }
    return goal.reclaimed
  }

  /// The same, beginning with a group at or below the goal's.
  fileprivate func reclaim(from first: Pointer<Group>, until goal: inout Goal) {
    guard goal.bytes > 0, !Threads.isReclaiming else { return }
    Threads.isReclaiming = true
    defer { Threads.isReclaiming = false }
    if drainStocks(atOrBelow: goal.group) > 0 { goal.hasFound = true }
    helpWorkers(below: goal.group)
    reclaimOwn(of: first, until: &goal)
    var isSparing = false
    if !goal.isReached {
      reclaimBelow(goal.group, except: first, protected: false, sparing: &isSparing, until: &goal)
    }
    if isSparing, !goal.isReached {
      reclaimBelow(goal.group, except: first, protected: true, sparing: &isSparing, until: &goal)
    }
  }

  /// The group's own shrinkers and caches.
  private func reclaimOwn(of group: Pointer<Group>, until goal: inout Goal) {
    var priority = Self.leastPressure
    while !goal.isReached {
      let freeable = group.askShrinkers(priority: priority)
      if group.giveBackIdle() { goal.hasFound = true }
      if freeable == 0 || priority == 0 { return }
      priority -= 1
    }
  }

  /// Groups below that are, or are not, protected by their `low`, and the group itself. What `low` of the
  /// group whose limit it is says is for others' limits. `isSparing` is set where one was passed over that
  /// is protected.
  private func reclaimBelow(
    _ group: Pointer<Group>, except first: Pointer<Group>, protected: Bool,
    sparing isSparing: inout Bool, until goal: inout Goal
  ) {
    let current = group.pointee.current.load(ordering: .relaxed)
    // Then there is nothing below it either.
    guard current > 0 else { return }
    let isProtected =
      group != goal.group && current <= group.pointee.low.load(ordering: .relaxed)
    if group != first, isProtected == protected {
      if protected { group.note(.low) }
      reclaimOwn(of: group, until: &goal)
    } else if isProtected {
      isSparing = true
    }
    var isSparingBelow = false
    group.forEachReclaimableChild { child in
      guard !goal.isReached else { return }
      reclaimBelow(
        child, except: first, protected: protected, sparing: &isSparingBelow, until: &goal)
    }
    if isSparingBelow { isSparing = true }
  }
}

/// How far a reclaim has come.
private struct Goal {
  let group: Pointer<Group>
  let before: Int
  let bytes: Int
  /// Whether there was idle memory. Other threads may have charged again what went back, so that `current` is
  /// where it was: the charge is tried again all the same (the kernel counts what it has reclaimed, too).
  var hasFound = false

  init(group: Pointer<Group>, bytes: Int) {
    self.group = group
    self.bytes = bytes
    before = group.pointee.current.load(ordering: .relaxed)
  }

  var reclaimed: Int { max(0, before - group.pointee.current.load(ordering: .relaxed)) }
  var isReached: Bool { reclaimed >= bytes }
}

extension RunRequest {
  /// The group's answer: the run that is wanted, or the smallest that will do, or that after a reclaim. What the
  /// group has above its `high` afterwards is reclaimed.
  mutating func answer() {
    // Made by holders of a handle, during which the group does not change.
    let group = cache.pointee.group!
    guard count == 1 || !group.takeRunsAhead(for: &self) else { return }
    do throws(AllocatorError) {
      runs.append(try group.takeRun(shape, orAtLeast: smallest))
      group.reclaimAboveHigh()
    } catch {
      refusal = error
    }
  }
}

extension Pointer where Pointee == Group {
  /// A run that is wanted, or the smallest that will do, or that after a reclaim and by the group's policy.
  func takeRun(
    _ shape: RunShape, orAtLeast smallest: RunShape
  ) throws(AllocatorError) -> Run {
    do throws(AllocatorError) {
      return try allocateRun(shape)
    } catch {
      if shape.units > smallest.units, let run = try? allocateRun(smallest) { return run }
      guard case .groupLimit(let refusing) = error, !Threads.isDispensable else { throw error }
      refusing.group.note(.max)
      guard policy == .overcharge else {
        return try allocateRunAfterReclaim(smallest, refusedBy: refusing.group)
      }
      return try overchargeRun(smallest, refusedBy: refusing.group)
    }
  }

  /// How often a refused charge reclaims and tries again (MAX_RECLAIM_RETRIES).
  private static var mostRounds: Int { 16 }

  /// After a charge for the smallest slab was refused: reclaims below the group that refused it, and
  /// tries again as long as that helps.
  func allocateRunAfterReclaim(
    _ shape: RunShape, refusedBy first: Pointer<Group>, isOver: Bool = false
  ) throws(AllocatorError) -> Run {
    let allocator = Pointer<EndingsState>(seenAs: pointee.allocator)
    var refusing = first
    var rounds = 0
    var patience = Patience()
    rounds: while rounds < Self.mostRounds {
      // Before the try: what is over by then has been tried for.
      let underWay = patience.look(below: refusing)
      var goal = Goal(group: refusing, bytes: shape.chargedBytes)
      if patience.waitForSlabsAhead(below: refusing) { goal.hasFound = true }
      allocator.reclaim(from: self, until: &goal)
      do throws(AllocatorError) {
        return try allocateRun(shape, isOver: isOver)
      } catch {
        guard case .groupLimit(let other) = error else { throw error }
        let group = other.group
        if goal.hasFound || goal.reclaimed > 0 || group != refusing {
          rounds += 1
          refusing = group
        } else if !patience.wait(for: underWay, below: refusing) {
          // Without progress another thread may still have made room a moment ago: that was the try.
          break rounds
        }
      }
    }
    refusing.note(.oom)
    throw .groupLimit(refusing)
  }

  /// The same where the policy is to overcharge: one reclaim, unless that has just been tried without success; then
  /// the charge goes beyond `max`. Only a `stop` refuses it, after all that another charge would have tried.
  func overchargeRun(
    _ shape: RunShape, refusedBy refusing: Pointer<Group>
  ) throws(AllocatorError) -> Run {
    let current = refusing.pointee.current.load(ordering: .relaxed)
    if !refusing.isFruitless(at: current) {
      var goal = Goal(group: refusing, bytes: shape.chargedBytes)
      let allocator = Pointer<EndingsState>(seenAs: pointee.allocator)
      var patience = Patience()
      _ = patience.waitForSlabsAhead(below: refusing)
      allocator.reclaim(from: self, until: &goal)
      do throws(AllocatorError) { return try allocateRun(shape) } catch {
        guard case .groupLimit = error else { throw error }
      }
      refusing.pointee.fruitlessAt.store(current, ordering: .relaxed)
    }
    do throws(AllocatorError) {
      let run = try allocateRun(shape, isOver: true)
      refusing.note(.overcharge)
      return run
    } catch {
      guard case .groupLimit(let stopping) = error else { throw error }
      return try allocateRunAfterReclaim(shape, refusedBy: stopping.group, isOver: true)
    }
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
      let allocator = Pointer<EndingsState>(seenAs: group.pointee.allocator)
      var goal = Goal(group: group, bytes: excess)
      allocator.reclaim(from: self, until: &goal)
      // Relaxed, as all of it: a hint that saves work.
      group.pointee.fruitlessAt.store(goal.reclaimed > 0 ? 0 : current, ordering: .relaxed)
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

  /// A group has something to give, or another limit: the next charge tries, here and above. O(depth).
  func forgetFruitlessReclaims() {
    var next: Pointer<Group>? = self
    while let group = next {
      group.pointee.fruitlessAt.store(0, ordering: .relaxed)
      next = group.pointee.parent
    }
  }
}
