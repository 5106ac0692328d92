// SPDX-License-Identifier: Apache-2.0
// What happens to a group at its limits: as counters, and as a sequence.

internal import SlabCore

extension MemoryGroup {
  /// How often things happened to a group (`memory.events` of cgroup v2).
  public typealias Events = GroupEvents

  /// What happened to the group and below it. O(1).
  public var events: Events { allocator.events(of: core, local: false) }

  /// What happened to the group itself (`memory.events.local`). O(1).
  public var localEvents: Events { allocator.events(of: core, local: true) }

  /// The counters of `events`, again whenever one of them has changed since this was called, or since the
  /// last element. Changes are not queued: the next element has all that came before it. There is at most
  /// one element in 10 ms, and the first change after a pause is told at once: so a task that is told, and then
  /// allocates in the group itself, does not go round without end. No allocation waits for it. To be iterated
  /// once.
  ///
  /// The sequence holds the group; it ends when the task that iterates is cancelled, and when the group
  /// is drained, then with what there is left to tell. O(1); takes a short lock, and starts a
  /// thread of the allocator's if this is the first sequence.
  public var eventUpdates: some AsyncSequence<Events, Never> & Sendable { EventUpdates(of: self) }
}

/// The elements of `MemoryGroup.eventUpdates`.
private struct EventUpdates: AsyncSequence, Sendable {
  private let group: MemoryGroup
  private let changes: AsyncStream<Void>
  private let before: MemoryGroup.Events

  init(of group: MemoryGroup) {
    self.group = group
    // In this order: a change after the look is told of.
    changes = group.handle.allocator.notifier.changes(of: group.handle)
    before = group.events
  }

  func makeAsyncIterator() -> Iterator {
    Iterator(group: group, changes: changes.makeAsyncIterator(), last: before)
  }

  struct Iterator: AsyncIteratorProtocol {
    fileprivate let group: MemoryGroup
    fileprivate var changes: AsyncStream<Void>.Iterator
    fileprivate var last: MemoryGroup.Events
    /// When the next element may come at the earliest (CGROUP_FILE_NOTIFY_MIN_INTV).
    private var earliest: ContinuousClock.Instant? = nil
    private static var interval: Duration { .milliseconds(10) }

    fileprivate init(
      group: MemoryGroup, changes: AsyncStream<Void>.Iterator, last: MemoryGroup.Events
    ) {
      self.group = group
      self.changes = changes
      self.last = last
    }

    mutating func next(
      isolation actor: isolated (any Actor)? = #isolation
    ) async -> MemoryGroup.Events? {
      if let earliest, (try? await Task.sleep(until: earliest)) == nil { return nil }
      // A task that is cancelled before it begins may begin when the allocator has ended.
      while !Task.isCancelled {
        // In this order: a drained group has no event any more.
        let isOver = group.isDrained
        let events = group.events
        if events != last {
          last = events
          earliest = .now + Self.interval
          return events
        }
        if isOver { return nil }
        guard await changes.next(isolation: actor) != nil else { return nil }
      }
      return nil
    }
  }
}
