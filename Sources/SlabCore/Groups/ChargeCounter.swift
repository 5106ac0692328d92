// SPDX-License-Identifier: Apache-2.0
// What is charged to a group and below it, and whether anything may be. Both are one word: a thread that
// has seen the group online and charges late finds out by the very exchange that would have charged. So an
// empty group that has ended is empty for good, and a watcher that was told so was told the truth.

internal import SlabPlatform
internal import Synchronization

package struct ChargeCounter: ~Copyable {
  /// Bytes, an even number, and in the lowest bit whether the group has ended.
  private let word = Atomic<Int>(0)

  private static var closed: Int { 1 }

  package enum LoadOrdering { case relaxed, sequentiallyConsistent }

  /// Bytes that are charged now.
  package borrowing func load(ordering: LoadOrdering) -> Int {
    switch ordering {
    case .relaxed: word.load(ordering: .relaxed) & ~Self.closed
    case .sequentiallyConsistent: word.load(ordering: .sequentiallyConsistent) & ~Self.closed
    }
  }

  /// Whether the group has ended and nothing is charged: then nothing ever is again.
  var isClosedAndEmpty: Bool { word.load(ordering: .sequentiallyConsistent) == Self.closed }

  var isClosed: Bool { word.load(ordering: .sequentiallyConsistent) & Self.closed != 0 }

  /// From now on nothing is charged: the group goes offline. Sequentially consistent, as `subtract`: of the two the
  /// later one tells the watchers of an empty group.
  borrowing func close(under registry: borrowing RegistryLocked) {
    word.bitwiseOr(Self.closed, ordering: .sequentiallyConsistent)
  }

  /// Adds bytes unless the group has ended or more than a limit would be charged. The new value.
  @inline(__always)
  borrowing func add(_ bytes: Int, atMost limit: @autoclosure () -> Int) -> Int? {
    var current = word.load(ordering: .relaxed)
    while true {
      guard current & Self.closed == 0, bytes <= limit() - current else {
        return nil
      }
      pausePoint(.beforeAddingCharge)
      // The counters guard no memory; the pages come from the page lock. Sequentially consistent for
      // `setMax`, which stores the limit and then looks here: one of the two sees the other.
      let (done, now) = word.compareExchange(
        expected: current, desired: current + bytes, ordering: .sequentiallyConsistent)
      if done { return current + bytes }
      current = now
    }
  }

  /// Takes bytes off. Whether an ended group is empty now.
  borrowing func subtract(_ bytes: Int) -> Bool {
    let left = word.subtract(bytes, ordering: .sequentiallyConsistent).newValue
    invariant(left >= 0, "group: uncharged more than was charged")
    return left == Self.closed
  }

  /// Of a group that has ended: its charges are its parent's now.
  borrowing func handOver() { word.store(Self.closed, ordering: .relaxed) }
}
