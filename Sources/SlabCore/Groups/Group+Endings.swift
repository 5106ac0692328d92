// Ends that are under way, counted at a group and at all above it. A charge that is refused while there
// are some at or below the group that refused it waits for them: their memory goes back anyway.
//
// A group is counted while it is offline and not drained, or on its way through the discard worker: until
// the workers are done with it. What live objects keep after that is charged like anything else, and nobody
// waits for it.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == AllocatorState {
  /// Under the registry lock: takes groups that wait for a worker, chained by `nextInBatch`: all of them, or
  /// for somebody who helps the workers no more than 16 at and below a group, among the 64 that came last.
  func takeBatch(
    from batch: inout Pointer<Group>?, below group: Pointer<Group>?
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
  fileprivate func isAtOrBelow(_ group: Pointer<Group>) -> Bool {
    var candidate = self
    while candidate != group, candidate.pointee.depth > group.pointee.depth,
      let parent = candidate.pointee.parent
    {
      candidate = parent
    }
    return candidate == group
  }

  /// Under the registry lock, of a group that was not counted. O(depth).
  func beginEnding() { forEachAtAndAbove { $0.pointee.endingCount += 1 } }

  /// Under the registry lock: what was to go has gone. `endingIsOver` is signalled behind it. O(depth).
  func finishEnding() { forEachAtAndAbove { $0.pointee.endingCount -= 1 } }

  /// Under the registry lock, for checks. (Nobody waits for the ends of Linux 4.10's rules.)
  var isEnding: Bool {
    !pointee.allocator.isLinux410 && (state == .offline || pointee.isDiscarding)
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
    let registry = Pointer<Registry>(of: &pointee.allocator.pointee.registry)
    registry.pointee.lock.lock()
    defer { registry.pointee.lock.unlock() }
    return pointee.endingCount > 0
  }

  /// Waits until an end at or below this group is over, which was under way a moment ago; not beyond a
  /// time of the monotonic clock. False if that time has come. Holding no lock.
  func waitForEnding(until deadline: UInt64) -> Bool {
    let allocator = pointee.allocator
    // They let work gather for a millisecond.
    allocator.hurryWorkers()
    let ticket = allocator.pointee.lifecycle.endingIsOver.prepare()
    let now = SystemCall.monotonicNanoseconds
    guard now < deadline, hasEndings else {
      allocator.pointee.lifecycle.endingIsOver.cancel()
      return now < deadline
    }
    // Where there is no worker, and a fork kept this thread from the work, nobody signals.
    let isAlone = allocator.pointee.lifecycle.workers.isMissing.load(ordering: .relaxed)
    allocator.pointee.lifecycle.endingIsOver.wait(
      ticket, nanoseconds: isAlone ? min(deadline - now, Workers.batchNanoseconds) : deadline - now)
    return true
  }
}
