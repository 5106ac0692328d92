// SPDX-License-Identifier: Apache-2.0
// What an allocator has, visited a few entries at a time: groups, caches and, in Readings.swift, counters.
// Everything that reports is made from these readers; a caller that asks for less pays for less. No lock is held
// over more than 16 entries, and none while a body runs.

package import SlabPlatform
internal import Synchronization

/// What one group says at a moment.
package struct GroupReading: Sendable {
  package let isOnline: Bool
  /// Bytes that are charged to the group and below it, and the most at one time.
  package let chargedBytes: Int
  package let peakBytes: Int
  /// Bytes; `Group.unlimited` for no limit.
  package let max: Int
  package let high: Int
  package let low: Int
  /// Its child caches, inherited ones too.
  package let cacheCount: Int
  package let descendants: GroupDescendants
}

extension Allocator {
  /// What a group says, on which the caller holds a handle. O(1); takes the registry lock.
  package func reading(of group: Pointer<Group>) -> GroupReading {
    let registry = lockRegistry()
    let cacheCount = Int(group.pointee.cacheCount)
    let descendants = group.descendants(under: registry)
    registry.unlock()
    return GroupReading(
      isOnline: group.isOnline,
      chargedBytes: group.pointee.current.load(ordering: .relaxed),
      peakBytes: group.pointee.peak.load(ordering: .relaxed),
      max: group.pointee.max.load(ordering: .relaxed),
      high: group.pointee.high.load(ordering: .relaxed),
      low: group.pointee.low.load(ordering: .relaxed), cacheCount: cacheCount,
      descendants: descendants)
  }

  /// Visits a group, on which the caller holds a handle, and the groups below it, each before those below
  /// itself, without a handle for the body. One that ends meanwhile may be visited twice, and those whose
  /// caches are on their way to the parent are not. O(groups); as deep on the stack as the tree.
  package func forEachGroup(
    atAndBelow group: Pointer<Group>, _ body: (Pointer<Group>) -> Void
  ) {
    body(group)
    forEachChild(of: group, endedToo: true) { child in
      forEachGroup(atAndBelow: child, body)
      release(child)
    }
  }

  /// Visits the root caches that are not being destroyed, the core's own ones too, newest first: each together with
  /// all its children. One that is there all the while is visited once. O(roots × CPUs).
  package func forEachRootCache(_ body: (CacheUsage) -> Void) {
    var found = InlineArray<16, CacheUsage?>(repeating: nil)
    var registry = lockRegistry()
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    withCursor(in: rootsList, under: &registry) { cursor, registry in
      var isThrough = false
      while !isThrough {
        var count = 0
        for _ in 0..<16 {
          guard let node = cursor.advance(in: rootsList) else {
            isThrough = true
            break
          }
          let root = Pointer<RootCache>(rootNode: node)
          guard !root.pointee.isDestroying else { continue }
          found[count] = root.usage(under: registry)
          count += 1
        }
        registry.letGo {
          for index in 0..<count { body(found[index]!) }
        }
      }
    }
    putDown()
  }
}
