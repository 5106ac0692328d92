// SPDX-License-Identifier: Apache-2.0
// Clients that wait in poll(2) for a group's events. A task for each open file that is waited for awaits a change, and is
// told of it by the allocator's own notifier: no allocation does more than count.

#if FUSE
  internal import Slab
  internal import Synchronization

  final class Waiters: Sendable {
    private let state = Mutex(State())

    private struct State {
      var waiting: [UInt64: Waiting] = [:]
      var hasEnded = false
    }

    private struct Waiting {
      var waiter: Waiter
      let task: Task<Void, Never>
    }

    /// Wakes a waiter when the group's events change. One that is there for the same open file already is replaced.
    func add(_ waiter: Waiter, for handle: UInt64, of group: MemoryGroup) {
      state.withLock { state in
        guard !state.hasEnded else { return waiter.drop() }
        if let old = state.waiting[handle] {
          old.waiter.drop()
          state.waiting[handle]!.waiter = waiter
          return
        }
        // Before the caller looks at the events again: what changes from here on is told.
        let updates = group.eventUpdates
        let task = Task { [weak self] in
          for await _ in updates {
            self?.wake(handle)
            return
          }
          self?.wake(handle)
        }
        state.waiting[handle] = Waiting(waiter: waiter, task: task)
      }
    }

    /// Under the lock, so that the mount is there.
    private func wake(_ handle: UInt64) {
      state.withLock { $0.waiting.removeValue(forKey: handle)?.waiter.wake() }
    }

    func drop(_ handle: UInt64) {
      let task = state.withLock { state -> Task<Void, Never>? in
        guard let waiting = state.waiting.removeValue(forKey: handle) else { return nil }
        waiting.waiter.drop()
        return waiting.task
      }
      task?.cancel()
    }

    /// Drops all of them, and those that come.
    func end() {
      let tasks = state.withLock { state in
        state.hasEnded = true
        let waiting = state.waiting.values.map { $0 }
        state.waiting = [:]
        for one in waiting { one.waiter.drop() }
        return waiting.map(\.task)
      }
      for task in tasks { task.cancel() }
    }
  }

  extension MountServer {
    /// POLLIN and POLLOUT always; POLLPRI and POLLERR, as kernfs, when events have come since they were last read.
    func poll(_ handle: UInt64, _ waiter: Waiter?) -> UInt32 {
      let always: UInt32 = 0x1 | 0x4 | 0x40 | 0x100
      let news: UInt32 = 0x2 | 0x8
      guard let file = files[handle], case .groupFile(let key, let kind) = file.node,
        kind == .events || kind == .localEvents, let group = group(key)
      else {
        waiter?.drop()
        return always
      }
      func hasNews() -> Bool { file.hasNews(kind == .events ? group.events : group.localEvents) }
      if hasNews() {
        waiter?.drop()
        return always | news
      }
      guard let waiter else { return always }
      waiters.add(waiter, for: handle, of: group)
      return hasNews() ? always | news : always
    }
  }
#endif
