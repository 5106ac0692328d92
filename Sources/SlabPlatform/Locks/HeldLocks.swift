// SPDX-License-Identifier: Apache-2.0
// Which locks the running thread holds, and what it must not do meanwhile. Debug builds only: a release build
// compiles all of this to nothing.

internal import CSlabPlatform

@usableFromInline
package enum HeldLocks {
  /// What follows takes longer than others may wait, or takes locks itself: a fence, users' code, a walk over
  /// slabs, a call to the system that waits. In a debug build a process ends whose thread holds a lock below a
  /// rank. (A fork holds all of them, and makes the calls that a child needs.)
  @inline(__always)
  package static func expectNone(below rank: LockRank, _ what: StaticString) {
    #if DEBUG
      guard slab_takes_all() == 0, let held = innermost else { return }
      if held.rawValue > rank.rawValue { end(held, "held over", what) }
    #endif
  }

  /// By a fork, before it takes the locks of another allocator: it has those of the allocators before, and takes
  /// several of one rank. No thread takes locks of two allocators otherwise, so this thread cannot wait for one
  /// that waits for it. Also by tests that keep all others from something.
  @inline(__always)
  package static func beginFork() {
    #if DEBUG
      slab_set_held_aside(bit(.forkHandlers))
    #endif
  }

  #if DEBUG
    /// Before a thread waits for a lock, or when it has got one that it tried.
    @usableFromInline
    static func check(_ height: UInt32) {
      guard let rank = LockRank(height: height) else { return }
      let below = slab_held_heights() & (1 << height - 1)
      let same = slab_takes_all() == 0 ? slab_held_heights() & 1 << height : 0
      guard below | same != 0 else { return }
      end(rank, "taken under", innermost!.name)
    }

    @usableFromInline
    static func add(_ count: Int32, _ height: UInt32) {
      if LockRank(height: height) != nil { slab_add_held(count, height) }
    }

    /// How many locks of a rank the running thread has taken so far. Debug builds count them.
    package static func taken(_ rank: LockRank) -> Int { Int(slab_locks_taken(rank.height)) }

    private static var innermost: LockRank? {
      let heights = slab_held_heights()
      return heights == 0 ? nil : LockRank(height: UInt32(heights.trailingZeroBitCount))
    }

    private static func bit(_ rank: LockRank) -> UInt32 { 1 << rank.height }

    private static func end(_ rank: LockRank, _ verb: StaticString, _ what: StaticString) -> Never {
      var line = ErrorLine()
      line.append(rank.name)
      line.append(": ")
      line.append(verb)
      line.append(" ")
      line.append(what)
      line.end()
    }
  #endif
}
