// SPDX-License-Identifier: Apache-2.0
// What happens to groups at their limits, counted (memory.events of cgroup v2), and how a watcher learns of it, for
// which no thread waits.
//
// A thread that allocates counts, and if the group is watched puts it on the stack of changed groups,
// once until it is taken off; one thread takes them off. The stack keeps the descriptor of each group in
// it (`changeHolds`), and has no handle: a group whose user gives the last handle back ends then, whether
// the change has been told or not.

package import SlabPlatform
internal import Synchronization

/// What `GroupEvents` counts. `max` is told of a charge that exceeds it, also of the smallest slab.
package enum GroupEvent: Int, CaseIterable, Sendable {
  case low
  case high
  case max
  case oom
  /// A charge has gone beyond `max`, after a reclaim: of a group whose policy it is.
  case overcharge
}

extension Pointer where Pointee: HasGroups & ~Copyable {
  /// The counters of a group, and unless `local` of all groups below it. O(1), no lock.
  package func events(of group: Pointer<Group>, local: Bool) -> GroupEvents {
    var events = GroupEvents()
    events.low = group.count(of: .low, local: local)
    events.high = group.count(of: .high, local: local)
    events.max = group.count(of: .max, local: local)
    events.oom = group.count(of: .oom, local: local)
    events.overcharge = group.count(of: .overcharge, local: local)
    return events
  }

  /// From now on changes of the group's counters, and its becoming empty, put it on the stack of changed
  /// groups. The caller has a handle, until `unwatch`.
  package func watch(_ group: Pointer<Group>) {
    // Sequentially consistent: a thread that watches and then looks sees every change that was made before.
    group.pointee.watchers.add(1, ordering: .sequentiallyConsistent)
  }

  package func unwatch(_ group: Pointer<Group>) {
    group.pointee.watchers.subtract(1, ordering: .relaxed)
  }

  /// Whether the group has ended, and nothing is charged to it or below it: then nothing ever is again.
  package func isDrained(_ group: Pointer<Group>) -> Bool {
    group.pointee.current.isClosedAndEmpty
  }

  /// The next changed group, which perhaps has ended and whose descriptor is kept until
  /// `putBackChangedGroup`; waits for one. `nil` after `wakeForChanges`. For one thread of the process.
  package func takeChangedGroup() -> Pointer<Group>? {
    while true {
      let ticket = changedGroups.pointee.changed.prepare()
      if let group = changedGroups.pointee.take() {
        changedGroups.pointee.changed.cancel()
        return group
      }
      if changedGroups.pointee.isWoken.exchange(false, ordering: .acquiringAndReleasing) {
        changedGroups.pointee.changed.cancel()
        return nil
      }
      changedGroups.pointee.changed.wait(ticket)
    }
  }

  /// The same without waiting: `nil` if there is none now.
  package func takeChangedGroupAtOnce() -> Pointer<Group>? { changedGroups.pointee.take() }

  /// Makes `takeChangedGroup` return.
  package func wakeForChanges() {
    changedGroups.pointee.isWoken.store(true, ordering: .sequentiallyConsistent)
    changedGroups.pointee.changed.signal()
  }
}

/// The stack of changed groups.
struct ChangedGroups: ~Copyable {
  /// The last one that was put on; pushed without a lock.
  private let first = Atomic<UInt>(0)
  /// Those that have been taken off and not handed out; the taker's.
  private var taken: Pointer<Group>? = nil
  let isWoken = Atomic<Bool>(false)
  let changed = EventCount()

  borrowing func push(_ group: Pointer<Group>) {
    var head = first.load(ordering: .relaxed)
    while true {
      // SAFETY: what has been pushed keeps its descriptor until it is taken off.
      group.pointee.nextChanged = unsafe Pointer(address: head)
      // Releasing: pairs with the acquiring exchange in `take`.
      let (done, now) = first.compareExchange(
        expected: head, desired: group.address, ordering: .acquiringAndReleasing)
      if done { break }
      head = now
    }
    changed.signal()
  }

  mutating func take() -> Pointer<Group>? {
    // SAFETY: what has been pushed keeps its descriptor until it is taken off.
    if taken == nil { taken = unsafe Pointer(address: first.exchange(0, ordering: .acquiring)) }
    guard let group = taken else { return nil }
    taken = group.pointee.nextChanged
    // Before the watcher looks at the group: a later change puts it on again.
    group.pointee.isChanged.store(false, ordering: .sequentiallyConsistent)
    return group
  }
}

extension Pointer where Pointee == Group {
  func count(of event: GroupEvent, local: Bool) -> Int {
    let counts = local ? event.rawValue : event.rawValue + GroupEvent.allCases.count
    return pointee.events[counts].load(ordering: .relaxed)
  }

  /// Counts an event here and upwards. The caller has a handle on this group or one below. O(depth).
  func note(_ event: GroupEvent) {
    pointee.events[event.rawValue].wrappingAdd(1, ordering: .relaxed)
    var next: Pointer<Group>? = self
    while let group = next {
      group.pointee.events[event.rawValue + GroupEvent.allCases.count].wrappingAdd(
        1, ordering: .sequentiallyConsistent)
      group.noteChange()
      next = group.pointee.parent
    }
  }

  /// The group is kept by a handle, by a group below it that is kept, or by a lock of the caller's.
  func noteChange() {
    guard pointee.watchers.load(ordering: .sequentiallyConsistent) > 0,
      !pointee.isChanged.exchange(true, ordering: .sequentiallyConsistent)
    else { return }
    // Relaxed: a thread that looks for it under the registry lock has seen the end of what keeps the group now.
    pointee.changeHolds.add(1, ordering: .relaxed)
    pointee.allocator.changedGroups.pointee.push(self)
  }
}
