// SPDX-License-Identifier: Apache-2.0
// Ends that are under way, counted at a group and at all above it. A charge that is refused while there
// are some at or below the group that refused it waits for them: their memory goes back anyway.
//
// A group is counted while it is offline and not settled, or on its way through the discard worker: until
// the workers are done with it. What live objects keep after that is charged like anything else, and no thread
// waits for it.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Takes groups that wait for a worker, chained by `nextInBatch`: all of them, or for a thread that helps the
  /// workers no more than 16 at and below a group, among the 64 that came last.
  func takeBatch(
    from batch: inout Pointer<Group>?, below group: Pointer<Group>?,
    under registry: borrowing RegistryLocked
  ) -> Pointer<Group>? {
    var taken: Pointer<Group>?
    guard let group else {
      swap(&taken, &batch)
      return taken
    }
    var count = 0
    var before: Pointer<Group>?
    var next = batch
    for _ in 0..<Self.mostLookedAt where count < Self.mostTaken {
      guard let candidate = next else { break }
      next = candidate.pointee.nextInBatch
      guard candidate.isAtOrBelow(group) else {
        before = candidate
        continue
      }
      if let before { before.pointee.nextInBatch = next } else { batch = next }
      candidate.pointee.nextInBatch = taken
      taken = candidate
      count += 1
    }
    return taken
  }

  private static var mostTaken: Int { 16 }
  private static var mostLookedAt: Int { 64 }
}

extension Pointer where Pointee == Group {
  /// O(depth).
  func isAtOrBelow(_ group: Pointer<Group>) -> Bool {
    var candidate = self
    while candidate != group, candidate.pointee.depth > group.pointee.depth,
      let parent = candidate.pointee.parent
    {
      candidate = parent
    }
    return candidate == group
  }

  /// Of a group that was not counted. O(depth).
  func beginEnding(under registry: borrowing RegistryLocked) {
    forEachAtAndAbove { $0.pointee.endingCount += 1 }
  }

  /// What was to go has gone. `endingIsOver` is signalled behind it. O(depth).
  func finishEnding(under registry: borrowing RegistryLocked) {
    forEachAtAndAbove { $0.pointee.endingCount -= 1 }
  }

  /// For checks: whether it is counted.
  func isEnding(under registry: borrowing RegistryLocked) -> Bool {
    lifecycleState.rules.pointee.countsAwaited && (state == .offline || pointee.isDiscarding)
  }

  private func forEachAtAndAbove(_ body: (Pointer<Group>) -> Void) {
    var next: Pointer<Group>? = self
    while let group = next {
      body(group)
      next = group.pointee.parent
    }
  }

  /// Whether ends at or below this group are under way. Takes the registry lock.
  var hasEndings: Bool {
    let registry = pointee.allocator.lockRegistry()
    let isCounted = pointee.endingCount > 0
    registry.unlock()
    return isCounted
  }

  /// Waits until an end at or below this group is over, which was under way a moment ago; not beyond a
  /// time of the monotonic clock. False if that time has come. Holding no lock.
  func waitForEnding(until deadline: UInt64) -> Bool {
    let allocator = Pointer<EndingsState>(seenAs: pointee.allocator)
    // They let work gather for a millisecond.
    allocator.hurryWorkers()
    let ticket = allocator.lifecycle.pointee.endingIsOver.prepare()
    let now = SystemCall.monotonicNanoseconds
    guard now < deadline, hasEndings else {
      allocator.lifecycle.pointee.endingIsOver.cancel()
      return now < deadline
    }
    // Without a worker, if a fork kept this thread from the work, there is no signal.
    let isAlone = allocator.lifecycle.pointee.workers.isMissing.load(ordering: .relaxed)
    allocator.lifecycle.pointee.endingIsOver.wait(
      ticket, nanoseconds: isAlone ? min(deadline - now, Workers.batchNanoseconds) : deadline - now)
    return true
  }
}
