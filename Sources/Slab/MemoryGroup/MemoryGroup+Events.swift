// What happens to a group at its limits: as counters, and as a sequence.

internal import SlabCore

extension MemoryGroup {
  /// How often things happened to a group (`memory.events` of cgroup v2).
  public struct Events: Sendable, Equatable {
    /// The group gave memory back though it was below its `low`, since nobody else had any.
    public var low = 0
    /// The group was above its `high` after a charge, and gave memory back.
    public var high = 0
    /// An allocation would have exceeded `max`, so that memory was reclaimed first.
    public var max = 0
    /// An allocation failed, since reclaim did not make room enough.
    public var oom = 0
  }

  /// What happened to the group and below it. O(1).
  public var events: Events { Events(allocator.events(of: core, local: false)) }

  /// What happened to the group itself (`memory.events.local`). O(1).
  public var localEvents: Events { Events(allocator.events(of: core, local: true)) }

  /// The counters of `events`, again whenever one of them has changed. Changes that nobody awaits are
  /// not queued: the next element has them all. Nobody who allocates waits for it.
  ///
  /// The sequence holds the group; it ends with the task that iterates, and when the group is empty
  /// after its end.
  public var eventUpdates: some AsyncSequence<Events, Never> & Sendable {
    let group = self
    return AsyncStream { continuation in
      let task = Task {
        var last = group.events
        var changes = group.handle.allocator.notifier.changes(of: group.handle)
          .makeAsyncIterator()
        while true {
          let isOver = group.isEmpty
          let events = group.events
          if events != last { continuation.yield(events) }
          last = events
          if isOver { break }
          if await changes.next() == nil { break }
        }
        continuation.finish()
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }
}

extension MemoryGroup.Events {
  init(_ events: GroupEvents) {
    self.init(
      low: events[.low], high: events[.high], max: events[.max], oom: events[.oom])
  }
}
