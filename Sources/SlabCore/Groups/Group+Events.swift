// What happens to groups at their limits, counted (memory.events of cgroup v2), and how somebody learns
// of it who must not be waited for.
//
// A thread that allocates counts, and if the group is watched puts it on the stack of changed groups,
// once until it is taken off; one thread takes them off. The stack keeps the descriptor of each group in
// it (`changeHolds`), and has no handle: a group whose user gives the last handle back ends then, told of
// or not.

package import SlabPlatform
internal import Synchronization

package enum GroupEvent: Int, CaseIterable, Sendable {
  /// Reclaimed although below `low`, since nobody else had anything left.
  case low
  /// Above `high` after a charge, and a reclaim was tried.
  case high
  /// A charge would have exceeded `max`, also of the smallest slab.
  case max
  /// An allocation failed, after reclaim.
  case oom
}

/// A moment's counters of a group.
package struct GroupEvents: Equatable, Sendable {
  private var counts = InlineArray<4, Int>(repeating: 0)

  package init() {}

  package subscript(_ event: GroupEvent) -> Int {
    get { counts[event.rawValue] }
    set { counts[event.rawValue] = newValue }
  }

  package static func == (left: GroupEvents, right: GroupEvents) -> Bool {
    for event in GroupEvent.allCases where left[event] != right[event] { return false }
    return true
  }
}

extension Allocator {
  /// The counters of a group, and unless `local` of all groups below it. O(1), no lock.
  package func events(of group: Pointer<Group>, local: Bool) -> GroupEvents {
    var events = GroupEvents()
    for event in GroupEvent.allCases { events[event] = group.count(of: event, local: local) }
    return events
  }

  /// From now on changes of the group's counters, and its becoming empty, put it on the stack of changed
  /// groups. The caller has a handle, until `unwatch`.
  package func watch(_ group: Pointer<Group>) {
    // Sequentially consistent: who watches and then looks misses no change that was made before.
    group.pointee.watchers.add(1, ordering: .sequentiallyConsistent)
  }

  package func unwatch(_ group: Pointer<Group>) {
    group.pointee.watchers.subtract(1, ordering: .relaxed)
  }

  /// Whether the group has ended, and nothing is charged to it or below it: then nothing ever is again.
  package func isEmpty(_ group: Pointer<Group>) -> Bool {
    group.pointee.current.isClosedAndEmpty
  }

  /// The next changed group, which perhaps has ended and whose descriptor is kept until
  /// `putBackChangedGroup`; waits for one. `nil` after `wakeForChanges`. For one thread of the process.
  package func takeChangedGroup() -> Pointer<Group>? {
    while true {
      let ticket = state.pointee.changedGroups.changed.prepare()
      if let group = state.pointee.changedGroups.take() {
        state.pointee.changedGroups.changed.cancel()
        return group
      }
      if state.pointee.changedGroups.isWoken.exchange(false, ordering: .acquiringAndReleasing) {
        state.pointee.changedGroups.changed.cancel()
        return nil
      }
      state.pointee.changedGroups.changed.wait(ticket)
    }
  }

  /// The same without waiting: `nil` if there is none now.
  package func takeChangedGroupAtOnce() -> Pointer<Group>? { state.pointee.changedGroups.take() }

  /// For each `takeChangedGroup`: its descriptor is not needed any more. O(1), or O(depth) for one that
  /// nothing else keeps; takes the registry lock.
  package func putBackChangedGroup(_ group: Pointer<Group>) {
    var released = ReleasedDescriptors()
    state.pointee.registry.lock.lock()
    // Under the lock: somebody who saw none would release the group under us.
    let left = group.pointee.changeHolds.subtract(1, ordering: .relaxed).newValue
    if left == 0 {
      if state.isLinux410 { state.queueFreeing(of: group) }
      state.releaseIfUnused(group, released: &released)
    }
    let hasWork = left == 0 && state.pointee.lifecycle.pending.load(ordering: .relaxed) > 0
    // The descriptors outlive the lock in this thread's hand.
    state.takeInHand()
    state.pointee.registry.lock.unlock()
    released.free(to: state)
    state.putDown()
    if hasWork { state.kickWorkers() }
  }

  /// Makes `takeChangedGroup` return.
  package func wakeForChanges() {
    state.pointee.changedGroups.isWoken.store(true, ordering: .sequentiallyConsistent)
    state.pointee.changedGroups.changed.signal()
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
      group.pointee.nextChanged = Pointer(address: head)
      // Releasing: pairs with the acquiring exchange in `take`.
      let (done, now) = first.compareExchange(
        expected: head, desired: group.address, ordering: .acquiringAndReleasing)
      if done { break }
      head = now
    }
    changed.signal()
  }

  mutating func take() -> Pointer<Group>? {
    if taken == nil { taken = Pointer(address: first.exchange(0, ordering: .acquiring)) }
    guard let group = taken else { return nil }
    taken = group.pointee.nextChanged
    // Before whoever is told looks at the group: a later change puts it on again.
    group.pointee.isChanged.store(false, ordering: .sequentiallyConsistent)
    return group
  }
}

extension Pointer where Pointee == Group {
  func count(of event: GroupEvent, local: Bool) -> Int {
    let counts = local ? event.rawValue : event.rawValue + GroupEvent.allCases.count
    return pointee.events[counts].load(ordering: .relaxed)
  }

  /// Counts an event here and upwards. By somebody who has a handle on this group or one below. O(depth).
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
    // Relaxed: whoever looks for it under the registry lock has seen the end of what keeps the group now.
    pointee.changeHolds.add(1, ordering: .relaxed)
    pointee.allocator.pointee.changedGroups.push(self)
  }
}
