// SPDX-License-Identifier: Apache-2.0
// Idle memory that a thread has taken out of caches and that is still charged: by the hands of the clocks, by `shrink` and
// `trim`. A reclaim finds it nowhere, so one that has found nothing waits for those that are under way: a charge is not refused
// for memory that nobody uses. (What reclaims take out is counted by their group.)

internal import SlabPlatform
internal import Synchronization

struct IdleReturns: ~Copyable {
  fileprivate let begun = Atomic<Int>(0)
  fileprivate let ended = Atomic<Int>(0)
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// Before the first lock of a cache is taken. Relaxed: the lock orders it, by which a reclaim then finds nothing.
  func beginIdleReturn() { cachesState.pointee.idleReturns.begun.add(1, ordering: .relaxed) }

  /// Releasing: pairs with the acquiring load below; what has been given back is uncharged.
  func endIdleReturn() { cachesState.pointee.idleReturns.ended.add(1, ordering: .releasing) }

  /// Holding no lock, after a look that has found nothing: until those are over that are under way, with a bound. Whether there
  /// was one.
  func waitForIdleReturns() -> Bool {
    let returns = Pointer<IdleReturns>(of: &cachesState.pointee.idleReturns)
    let begun = returns.pointee.begun.load(ordering: .relaxed)
    var looks = 0
    while looks < Self.mostLooks, returns.pointee.ended.load(ordering: .acquiring) < begun {
      looks += 1
      pause(afterLooks: looks)
    }
    return looks > 0
  }

  /// About 40 ms.
  private static var mostLooks: Int { 280 }
}
